"""What a sweep will do, before anything starts: its points, commands, hours, cost and memory.

Starts nothing and writes nothing. What can't be known is None with a reason; the rest is a guess (`guess`), said as
one.
"""

from harness.plan.text import render
from harness.plan.work import Command, Plan, PlannedPoint, PlannedRun, plan

__all__ = ["Command", "Plan", "PlannedPoint", "PlannedRun", "plan", "render"]

"""What a results folder has, what is being measured in it, what went wrong and what is left: from its files alone."""

from harness.status.read import PointStatus, Server, State, Status, read
from harness.status.text import render

__all__ = ["PointStatus", "Server", "State", "Status", "read", "render"]

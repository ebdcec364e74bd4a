"""`mtpbench doctor`: what this machine has for measuring, what is wrong with each thing, and what to do about it.

    finding     one thing that was looked at, and what is looked at for what
    machine     cores, clock, company, priority
    limits      files, memory, disk, ports
    hardware    GPUs before any library is asked
    boards      GPUs as their libraries show them
    needs       what a sweep needs of them
    host        power of the rest of the machine
    engines     engines, their PyTorch; Slurm
    models      weights, and the hub
    client      what the load generator can take; only when asked
    text        the table that a person reads

It starts no server and changes nothing. Without a sweep it looks at the machine; with one, at what that sweep needs.
"""

import importlib.metadata
import platform
from collections.abc import Callable, Iterator

from harness.doctor.boards import boards
from harness.doctor.client import load_generator
from harness.doctor.engines import engines
from harness.doctor.finding import Examination, Finding, Report, State
from harness.doctor.hardware import hardware
from harness.doctor.host import host_power
from harness.doctor.limits import limits
from harness.doctor.machine import machine
from harness.doctor.models import models

__all__ = ["Examination", "Finding", "Report", "State", "examine"]

LOOKS: tuple[Callable[[Examination], Iterator[Finding]], ...] = (
    machine,
    limits,
    hardware,
    boards,
    host_power,
    engines,
    models,
    load_generator,
)


def examine(examination: Examination) -> Report:
    """Look at everything, in the order in which it is shown."""
    return Report(
        mtpbench=importlib.metadata.version("mtpbench"),
        node=platform.node(),
        sweep=None if examination.sweep is None else examination.sweep.name,
        findings=tuple(finding for look in LOOKS for finding in look(examination)),
    )

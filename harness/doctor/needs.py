"""What a sweep needs of the GPUs: that they are there, of the kind that it names, seen by its server, large enough."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from harness.doctor.finding import Examination, Finding, blocks, good, warning
from harness.doctor.hardware import AREA, MAKERS, present
from harness.plan.memory import memory
from harness.power.meters import METERS
from harness.power.stream import Device
from harness.spec import Run, Vendor
from harness.units import number

_WORD = re.compile(r"[A-Z0-9]+")
_RACK = re.compile(r"NVL\d+")


def needs(examination: Examination, devices: Mapping[Vendor, Sequence[Device]]) -> Iterator[Finding]:
    """One line for each way in which the sweep uses GPUs.

    Args:
        examination: what is asked.
        devices: the GPUs that could be asked who they are.
    """
    runs = [run for run in examination.runs if run.gpu.vendor in MAKERS and run.engine.name != "emulator"]
    here = present(examination)
    for run in {(run.gpu.name, run.parallel.gpus): run for run in runs}.values():
        vendor = run.gpu.vendor
        if vendor not in here:
            says = f"{run.parallel.gpus} x {run.gpu.label} asked for, no GPU of {MAKERS[vendor].name} here"
            yield blocks(AREA, "sweep", says, "run it where they are, or with --engine emulator")
        elif vendor in devices:
            yield _seen(run, devices[vendor])
            yield from _other_kind(run, devices[vendor])
    yield from _too_small(runs)


def _seen(run: Run, devices: Sequence[Device]) -> Finding:
    """Whether the server will see enough of them, by the variables that it inherits or is given."""
    seen = len(METERS[run.gpu.vendor].visible(devices, {**os.environ, **run.engine.env}))
    wanted = run.parallel.gpus
    says = f"{wanted} x {run.gpu.label} asked for, {seen} of {len(devices)} GPUs seen by the server"
    if seen >= wanted:
        return good(AREA, "sweep", says)
    if wanted <= len(devices):
        return blocks(AREA, "sweep", says, "unset the visibility variables that hide the others (*_VISIBLE_DEVICES)")
    return blocks(AREA, "sweep", says, "ask for fewer (tp, pp, dp), or run it on a larger machine")


def _other_kind(run: Run, devices: Sequence[Device]) -> Iterator[Finding]:
    """GPUs of another kind than asked, by the words of the label.

    `H100` is one of `NVIDIA H100 80GB HBM3`, `B200` none of `NVIDIA GB200`.
    """
    wanted = {word for word in _WORD.findall(run.gpu.label.upper()) if not _RACK.fullmatch(word)}
    others = sorted({d.name for d in devices if not wanted <= set(_WORD.findall(d.name.upper()))})
    if others:
        says = f"the sweep is of {run.gpu.label}, here is {', '.join(others)}: prices and peaks would be another GPU's"
        yield warning(AREA, "kind", says, "name the right file of configs/gpus as the sweep's gpu")


def _too_small(runs: Sequence[Run]) -> Iterator[Finding]:
    sizes = {memory(run): run for run in runs}
    for size, run in sizes.items():
        if size.fits is False:
            needed, available = number(size.needed_gb), number(size.available_gb)
            says = f"{needed} GB of weights and KV cache, {available} GB in {run.key}'s GPUs"
            yield warning(AREA, "memory", says, "lower max_running_requests or the context, or take more GPUs")

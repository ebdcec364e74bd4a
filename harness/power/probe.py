"""A few seconds of a vendor's GPUs: who they are, and whether their sensors say anything. No sweep needs it."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness.errors import NoMeter
from harness.power.sampler import Job
from harness.power.sampler_process import DESCRIBE_LIMIT_S, STOP_LIMIT_S, command_line
from harness.power.stream import Stream, read_stream
from harness.spec import Vendor

SWEEPS = 4
"""Readings that say whether a counter moves."""

_POLL_S = 0.05


def probe(vendor: Vendor, seconds: float) -> Stream:
    """A stream of so many seconds, of all GPUs, read in a process of its own; its header describes them.

    Raises:
        NoMeter: why they can't be read, and the remedy.
    """
    with tempfile.TemporaryDirectory(prefix="mtpbench-") as folder:
        path = Path(folder) / "power.jsonl"
        errors = _run_sampler(Job(vendor=vendor, path=str(path)), path, seconds)
        stream = read_stream(path) if path.exists() else None
    if stream is None or stream.header is None:
        raise NoMeter(errors[-1] if errors else f"{vendor.value}: its library said nothing in {DESCRIBE_LIMIT_S:.0f} s")
    return stream


def _run_sampler(job: Job, path: Path, seconds: float) -> list[str]:
    """Run a sampler until it has read for so long, and often enough on a machine that is busy; its lines on stderr."""
    sampler = subprocess.Popen(command_line(job), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + DESCRIBE_LIMIT_S
    _wait(lambda: path.exists() and path.stat().st_size > 0, sampler, deadline)
    began = time.monotonic()
    _wait(lambda: time.monotonic() - began >= seconds and _count_sweeps(path) >= SWEEPS, sampler, deadline)
    try:
        _, errors = sampler.communicate(timeout=STOP_LIMIT_S)  # which closes its standard input, and so ends it
    except subprocess.TimeoutExpired:
        sampler.kill()
        _, errors = sampler.communicate()
    return errors.strip().splitlines()


def _wait(until: Callable[[], bool], sampler: subprocess.Popen[str], deadline: float) -> None:
    while sampler.poll() is None and time.monotonic() < deadline and not until():
        time.sleep(_POLL_S)


def _count_sweeps(path: Path) -> int:
    return len({sample.sweep for sample in read_stream(path).samples})

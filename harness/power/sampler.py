"""Read the GPUs at fixed times and write every reading down, in a process of its own.

    python -m harness.power.sampler JOB

JOB is a `Job` as JSON. Without a path the GPUs are described, a header on stdout; with one they are read until
standard input ends, on another node to stdout.

A sampler inside the load's process would wake as late as 0.4 s beside four busy threads. It ends when standard input
does: with whoever wanted it, however that ended. What libraries print goes to stderr.
"""

import importlib.metadata
import math
import os
import platform
import select
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from harness.errors import NoMeter
from harness.launch.processes import boot_id, with_variable
from harness.power.meter import Meter
from harness.power.meters import open_meter
from harness.power.rapl import POWERCAP
from harness.power.stream import Device, Header, PowerSample, encode_line
from harness.power.visible import VARIABLES
from harness.units import NS_PER_S

HZ = 10.0
STDOUT = "-"

Clock = Callable[[], int]
Wait = Callable[[float], bool]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to read.

    Attributes:
        vendor: whose GPUs; or what beside them.
        gpus: UUIDs; None for all of them.
        path: the stream; `-` is stdout, None only describes.
        mark: `NAME=VALUE`: processes that were started with it are named where GPUs are described.
        powercap: the kernel's folder of RAPL zones.
    """

    vendor: str
    gpus: tuple[str, ...] | None = None
    path: str | None = None
    hz: float = HZ
    powercap: str = POWERCAP
    mark: str | None = None


def header(meter: Meter, name: str, devices: Sequence[Device], hz: float) -> Header:
    """The first line of a stream."""
    return Header(
        mtpbench=importlib.metadata.version("mtpbench"),
        meter=name,
        versions=dict(meter.versions()),
        node=platform.node(),
        boot_id=boot_id(),
        hz=hz,
        t_ns=time.monotonic_ns(),
        wall_ns=time.time_ns(),
        devices=tuple(devices),
    )


def sample(
    meter: Meter,
    gpus: Sequence[str],
    out: BinaryIO,
    hz: float,
    ends: Wait,
    *,
    clock: Clock = time.monotonic_ns,
    wall: Clock = time.time_ns,
) -> None:
    """Sweep over the GPUs at fixed times; those that a slow sweep has missed pass.

    Args:
        meter: reads.
        gpus: UUIDs.
        out: unbuffered: what is written is seen at once, whole sweeps.
        hz: sweeps a second.
        ends: waits so many seconds, or until it is time to end; whether it is.
        clock: CLOCK_MONOTONIC, ns.
        wall: unix time, ns.
    """
    period_ns, start_ns, slot, number = NS_PER_S / hz, clock(), 0, 0
    while not ends(max(0.0, start_ns + slot * period_ns - clock()) / NS_PER_S):
        late_us = int(clock() - start_ns - slot * period_ns) // 1000
        out.write(b"".join(_sample_line(meter, gpu, number, late_us, clock, wall) for gpu in gpus))
        number += 1
        slot = max(slot + 1, math.ceil((clock() - start_ns) / period_ns))


def _sample_line(meter: Meter, gpu: str, sweep: int, late_us: int, clock: Clock, wall: Clock) -> bytes:
    before_ns = clock()
    reading = meter.read(gpu)
    took_ns = clock() - before_ns
    stamped = PowerSample(
        **msgspec.structs.asdict(reading),
        gpu=gpu,
        t_ns=before_ns + took_ns // 2,
        wall_ns=wall() - took_ns // 2,
        took_us=took_ns // 1000,
        sweep=sweep,
        late_us=late_us,
    )
    return encode_line(stamped)


def _stdin_ends(seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def _with_environment(described: Header, job: Job) -> Header:
    """A description with the visibility variables of this process and the processes that bear the job's mark."""
    visible = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    name, _, value = (job.mark or "").partition("=")
    marked = with_variable(name, value) if name else ()
    return msgspec.structs.replace(described, visible=visible, marked=marked)


def _run(job: Job, out: BinaryIO) -> None:
    meter = open_meter(job.vendor, Path(job.powercap))
    try:
        wanted = [device for device in meter.devices() if job.gpus is None or device.gpu in job.gpus]
        first = header(meter, job.vendor, wanted, job.hz)
        out.write(encode_line(_with_environment(first, job) if job.path is None else first))
        if job.path is not None:
            sample(meter, [device.gpu for device in wanted], out, job.hz, _stdin_ends)
    finally:
        meter.close()


def main() -> int:
    """Do one job; 2 and a line on stderr when there is no meter."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    stdout = os.dup(1)
    os.dup2(2, 1)  # amdsmi prints when it finds no library
    try:
        to_file = job.path not in (None, STDOUT)
        with Path(str(job.path)).open("ab", buffering=0) if to_file else os.fdopen(stdout, "wb", buffering=0) as out:
            _run(job, out)
    except NoMeter as error:
        print(error, file=sys.stderr)  # noqa: T201 - to whoever started it
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

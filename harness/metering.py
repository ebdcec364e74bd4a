"""Power of one launch's GPUs, from before its server starts until it has ended; kept for each point.

An attached server (`engine.endpoint`) does not say which GPUs it has. The emulator uses none, whatever its Run says: it
is metered only where power is required, for a trial.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from harness.atomic_files import atomic
from harness.errors import NoMeter
from harness.load import Measurement
from harness.power.meters import METERS
from harness.power.records import Metering
from harness.power.server_gpus import OtherPlace
from harness.power.session import Session, metered
from harness.rundir import AttemptDir, PointDir
from harness.spec import Run


@asynccontextmanager
async def power_of(
    run: Run, attempt: AttemptDir, *, required: bool, idle_s: float, other_nodes: Sequence[OtherPlace] = ()
) -> AsyncIterator[Session | None]:
    """The GPUs' power, first while they are idle; None where there is none to be had.

    Raises:
        NoMeter: power is required and can't be read.
        GpuBusy: somebody else holds these GPUs.
    """
    vendor, engine, gpus = run.gpu.vendor, run.engine, run.parallel.gpus
    unknown = vendor not in METERS or engine.endpoint is not None
    if unknown and required:
        raise NoMeter(f"{run.key}: power is required, but its GPUs are not known or have no meter")
    if unknown or (engine.name == "emulator" and not required):
        yield None
        return
    stream, log = attempt.power, attempt.power_log
    async with metered(vendor, gpus, engine.env, stream, log, required=required, other_nodes=other_nodes) as power:
        await power.idle(idle_s, attempt.idle_bare)
        yield power


async def keep_power(files: PointDir, measured: Measurement, power: Session | None) -> Metering | None:
    """Write a point's power beside its samples."""
    if power is None or not power.reads:
        return None if power is None else power.metering
    await power.keep(files.power, measured.started_ns, measured.stopped_ns, atomic)
    return await power.keep_beside(files.path, measured.started_ns, measured.stopped_ns)

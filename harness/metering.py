"""Power of one launch's GPUs, from before its server starts until it has ended; kept for each point.

A sampler reads the GPUs of its own machine: of several nodes it would give a part for the whole. A server that was
started elsewhere does not say which GPUs it has. The emulator uses none, whatever its Run says: it is metered only
where power is required, for a trial.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.errors import NoMeter
from harness.load import Measurement
from harness.power.open import MAKERS
from harness.power.records import Metering
from harness.power.session import Session, metered
from harness.rundir import AttemptDir, PointDir, atomic
from harness.spec import Run


@asynccontextmanager
async def power_of(
    run: Run, attempt: AttemptDir, *, required: bool, idle_s: float, on_one_node: bool
) -> AsyncIterator[Session | None]:
    """The GPUs' power, first while they are idle; None where there is none to be had.

    Raises:
        NoMeter: power is required and can't be read.
    """
    vendor, engine = run.gpu.vendor, run.engine
    unknown = vendor not in MAKERS or engine.endpoint is not None or not on_one_node
    if unknown and required:
        raise NoMeter(f"{run.key}: power is required, but its GPUs are not known or have no meter")
    if unknown or (engine.name == "emulator" and not required):
        yield None
        return
    env = {**os.environ, **engine.env}
    async with metered(vendor, run.parallel.gpus, env, attempt.power, attempt.power_log, required=required) as power:
        await power.idle(idle_s, attempt.idle_bare)
        yield power


async def keep_power(files: PointDir, measured: Measurement, power: Session | None) -> Metering | None:
    """Write a point's power beside its samples."""
    if power is None or not power.reads:
        return None if power is None else power.metering
    with atomic(files.power) as partial_file:
        await power.keep(partial_file, measured.started_ns, measured.stopped_ns)
    return await power.keep_beside(files.path, measured.started_ns, measured.stopped_ns)

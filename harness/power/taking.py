"""The GPUs that a server is about to take on each of its nodes: which, whether they are free, who is on them later."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import GpuBusy, NoMeter
from harness.power.busy import holders
from harness.power.open import asked_gpus
from harness.power.sampler import Job
from harness.power.sampling import Place, describe
from harness.power.stream import Device
from harness.power.usage import Usage, usage

logger = logging.getLogger(__name__)

FREE_LIMIT_S = 30.0
"""How long GPUs may take to be let go of: a server that was asked to end has as long."""

_LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere(Place):
    """Another node of the server.

    Attributes:
        mark: `NAME=VALUE` in the environment of the server's processes.
    """

    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The GPUs that a server is about to take on one node.

    Attributes:
        devices: all GPUs of the node.
        gpus: UUIDs of those that it takes.
    """

    place: Place
    vendor: str
    devices: tuple[Device, ...]
    gpus: tuple[str, ...]

    async def usage(self, processes: frozenset[int]) -> Usage:
        """What the server really took, and who else is there; on another node its processes are told by their mark."""
        mark = self.place.mark if isinstance(self.place, Elsewhere) else None
        now = await asyncio.to_thread(describe, Job(vendor=self.vendor, mark=mark), self.place)
        found = usage(self.devices, now.devices, processes if mark is None else frozenset(now.marked))
        foreign = {gpu: pids for gpu, pids in found.foreign.items() if gpu in self.gpus}
        return Usage(used=found.used, told_by=found.told_by, foreign=foreign)


async def taken_when_free(vendor: str, gpus: int, given: Mapping[str, str], places: Sequence[Place]) -> list[Taken]:
    """The GPUs that a server will take on each of its nodes, once nobody is on them.

    Args:
        vendor: whose.
        gpus: how many on each node.
        given: variables that the server gets besides those of its node.
        places: its nodes.

    Raises:
        NoMeter: they can't be told.
        GpuBusy: somebody else is on them, and stays.
    """
    deadline = time.monotonic() + FREE_LIMIT_S
    while True:
        taken = await asyncio.gather(*(_taken(vendor, gpus, given, place) for place in places))
        held = [one.place.says(what) for one in taken for what in holders(one.devices, one.gpus)]
        if not held:
            return taken
        if time.monotonic() > deadline:
            raise GpuBusy(f"GPUs are not free, nor became so in {FREE_LIMIT_S:.0f} s: {'; '.join(held)}")
        logger.info("waiting for %s", "; ".join(held))
        await asyncio.sleep(_LOOK_S)


async def _taken(vendor: str, gpus: int, given: Mapping[str, str], place: Place) -> Taken:
    seen = await asyncio.to_thread(describe, Job(vendor=vendor), place)
    try:
        asked = asked_gpus(vendor, seen.devices, {**seen.visible, **given}, gpus)
    except NoMeter as error:
        raise NoMeter(place.says(str(error))) from error
    return Taken(place=place, vendor=vendor, devices=seen.devices, gpus=asked)

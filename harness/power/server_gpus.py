"""The GPUs that a server takes on each of its nodes: which they are, whether they are free, who is on them later."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import GpuBusy, NoMeter
from harness.power.meters import gpus_of_server
from harness.power.occupancy import occupied
from harness.power.sampler import Job
from harness.power.sampler_process import Place, describe
from harness.power.stream import Device
from harness.power.usage import Usage, usage

logger = logging.getLogger(__name__)

FREE_LIMIT_S = 30.0
"""How long GPUs may take to be let go of: a server that was asked to end has as long."""

_POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherPlace(Place):
    """Another node of the server, where its processes are told by a mark.

    Attributes:
        mark: `NAME=VALUE` in the environment of the server's processes.
    """

    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGpus:
    """The GPUs that a server is about to take on one node.

    Attributes:
        devices: all GPUs of the node, as they were before the server started.
        gpus: UUIDs of those that the server takes.
    """

    place: Place
    vendor: str
    devices: tuple[Device, ...]
    gpus: tuple[str, ...]

    async def usage(self, processes: frozenset[int]) -> Usage:
        """What the server really took, and who else is there; on another node its processes are told by their mark."""
        mark = self.place.mark if isinstance(self.place, OtherPlace) else None
        now = await asyncio.to_thread(describe, Job(vendor=self.vendor, mark=mark), self.place)
        on_node = usage(self.devices, now.devices, processes if mark is None else frozenset(now.marked))
        foreign = {gpu: pids for gpu, pids in on_node.foreign.items() if gpu in self.gpus}
        return Usage(used=on_node.used, told_by=on_node.told_by, foreign=foreign)


async def wait_for_free_gpus(
    vendor: str, gpus: int, given: Mapping[str, str], places: Sequence[Place]
) -> list[NodeGpus]:
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
        node_gpus = await asyncio.gather(*(_node_gpus(vendor, gpus, given, place) for place in places))
        held = [one.place.prefixed(phrase) for one in node_gpus for phrase in occupied(one.devices, one.gpus)]
        if not held:
            return node_gpus
        if time.monotonic() > deadline:
            raise GpuBusy(f"GPUs are not free, nor became so in {FREE_LIMIT_S:.0f} s: {'; '.join(held)}")
        logger.info("waiting for %s", "; ".join(held))
        await asyncio.sleep(_POLL_S)


async def _node_gpus(vendor: str, gpus: int, given: Mapping[str, str], place: Place) -> NodeGpus:
    described = await asyncio.to_thread(describe, Job(vendor=vendor), place)
    try:
        taken = gpus_of_server(vendor, described.devices, {**described.visible, **given}, gpus)
    except NoMeter as error:
        raise NoMeter(place.prefixed(str(error))) from error
    return NodeGpus(place=place, vendor=vendor, devices=described.devices, gpus=taken)

"""The metering of one launch: samplers from before the server starts until it has ended, and cuts of their streams.

One sampler for each of the server's nodes; what is beside the GPUs is read on a single node only.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path

import msgspec

from harness.errors import NoMeter
from harness.power.clocks import Clocks
from harness.power.merge import path_of_node
from harness.power.meters import BESIDE_HZ
from harness.power.occupancy import filled_mib
from harness.power.rapl import POWERCAP
from harness.power.records import Metering
from harness.power.sampler import HZ, Job
from harness.power.sampler_process import HERE, SamplerProcess, describe
from harness.power.server_gpus import NodeGpus, OtherPlace, wait_for_free_gpus
from harness.units import NS_PER_S

logger = logging.getLogger(__name__)

BEFORE_S, AFTER_S = 3.0, 1.0
AFTER_READINGS = 3

AtomicWriter = Callable[[Path], AbstractContextManager[Path]]
"""Gives a file to write that becomes the file at the path as a whole, when the block ends well."""

SEVERAL_NODES = "several_nodes: the host and the node are read where a server has one node"


class Session:
    """Samplers at work, one for each node, or the reason why there is none.

    Attributes:
        metering: what is known so far.
        beside: `host` and `node`, each a sampler at work, or the reason why not.
    """

    def __init__(
        self,
        metering: Metering,
        node_gpus: Sequence[NodeGpus] = (),
        samplers: Sequence[SamplerProcess] = (),
        beside: Mapping[str, SamplerProcess] | None = None,
    ) -> None:
        self.metering = metering
        self.beside = beside or {}
        self._node_gpus = node_gpus
        self._samplers = samplers
        self._clocks = Clocks()

    async def start(self, log: Path) -> None:
        """Begin to read on every node."""
        self._clocks.start([one.place for one in self._node_gpus if one.place.start])
        pairs = zip(self._samplers, self._node_gpus, strict=True)
        await asyncio.gather(*(sampler.start(one.gpus, log) for sampler, one in pairs))
        await self._clocks.read()
        self._note_failures()

    @property
    def stream(self) -> Path | None:
        """What the sampler writes, as long as it does; None where there are several, each on a clock of its own."""
        return self._samplers[0].stream if self.reads and len(self._samplers) == 1 else None

    @property
    def reads(self) -> bool:
        """Whether there are readings, at least of the past."""
        return any(sampler.reads for sampler in self._samplers)

    async def stop(self) -> None:
        """End the samplers, by force if need be, and those beside them."""
        samplers = (*self.beside.values(), *self._samplers)
        await asyncio.gather(self._clocks.stop(), *(sampler.stop() for sampler in samplers))

    async def served(self, processes: frozenset[int] | None) -> None:
        """Find out which GPUs the server took, and who else is on them.

        Args:
            processes: the server's, on this node; None where they are not known.
        """
        if not self.reads or processes is None:
            return
        try:
            usages = await asyncio.gather(*(one.usage(processes) for one in self._node_gpus))
        except NoMeter as error:
            self.metering = msgspec.structs.replace(self.metering, failure=str(error))
            return
        known = [usage.used for usage in usages if usage.used is not None]
        self.metering = msgspec.structs.replace(
            self.metering,
            used=tuple(gpu for used in known for gpu in used) if len(known) == len(usages) else None,
            told_by=" and ".join(dict.fromkeys(usage.told_by for usage in usages if usage.told_by)) or None,
            foreign={gpu: pids for usage in usages for gpu, pids in usage.foreign.items()},
        )

    async def idle(self, seconds: float, target: Path) -> None:
        """Let the GPUs be for a while, and keep what they drew."""
        if not self.reads or not seconds:
            return
        start_ns = time.monotonic_ns()
        await asyncio.sleep(seconds)
        await self.keep(target, start_ns + int(BEFORE_S * NS_PER_S), time.monotonic_ns())

    async def keep(self, target: Path, start_ns: int, end_ns: int, atomic: AtomicWriter = nullcontext) -> Metering:
        """Copy the readings from a little before to a little after; what is known of them.

        Args:
            target: where they go; those of other nodes beside it.
            start_ns: from when.
            end_ns: until when.
            atomic: makes each file appear at once.
        """
        if self.reads:
            await self._clocks.read()
            start_kept_ns, end_kept_ns = await _with_margins(start_ns, end_ns, HZ)
            for rank, (sampler, one) in enumerate(zip(self._samplers, self._node_gpus, strict=True)):
                ahead_ns = self._clocks.ahead_ns(one.place.node)
                if sampler.reads:
                    with atomic(path_of_node(target, rank)) as file:
                        await sampler.keep(file, start_kept_ns + ahead_ns, end_kept_ns + ahead_ns)
            self._note_failures()
            self.metering = msgspec.structs.replace(self.metering, nodes=self._clocks.readings_around(start_ns))
        return self.metering

    async def keep_beside(self, folder: Path, start_ns: int, end_ns: int) -> Metering:
        """The same of the host's and the node's readings, as host.jsonl and node.jsonl; what is known of all."""
        for name, sampler in self.beside.items():
            if sampler.reads:
                edges_ns = await _with_margins(start_ns, end_ns, BESIDE_HZ[name])
                await sampler.keep(folder / f"{name}.jsonl", *edges_ns)
        failures = {name: sampler.failure for name, sampler in self.beside.items()}
        return msgspec.structs.replace(self.metering, beside=failures)

    def _note_failures(self) -> None:
        failures = [sampler.failure for sampler in self._samplers if sampler.failure is not None]
        if failures and self.metering.failure is None:
            self.metering = msgspec.structs.replace(self.metering, failure="; ".join(failures))


async def _with_margins(start_ns: int, end_ns: int, hz: float) -> tuple[int, int]:
    """A little before and a little after two moments, once the latter has passed."""
    after_s = max(AFTER_S, AFTER_READINGS / hz)
    await asyncio.sleep(end_ns / NS_PER_S + after_s - time.monotonic())
    return start_ns - int(BEFORE_S * NS_PER_S), end_ns + int(after_s * NS_PER_S)


async def start_beside(name: str, folder: Path, log: Path, powercap: str = POWERCAP) -> SamplerProcess:
    """Begin to read the host or the node, or find out why that can't be done here.

    Args:
        name: of BESIDE_HZ; its stream is named for it.
        folder: where the stream goes.
        log: what the sampler says.
        powercap: the kernel's folder of RAPL zones.
    """
    job, stream = Job(vendor=name, hz=BESIDE_HZ[name], powercap=powercap), folder / f"{name}.jsonl"
    try:
        devices = (await asyncio.to_thread(describe, job)).devices
    except NoMeter as error:
        logger.info("no power of the %s: %s", name, error)
        return SamplerProcess(job, stream, failure=str(error))
    sampler = SamplerProcess(job, stream)
    await sampler.start(tuple(device.gpu for device in devices), log)
    return sampler


async def _start_all_beside(folder: Path, log: Path, *, several_nodes: bool) -> dict[str, SamplerProcess]:
    if several_nodes:  # a part for the whole would be worse than nothing
        streams = {name: folder / f"{name}.jsonl" for name in BESIDE_HZ}
        return {name: SamplerProcess(Job(vendor=name), path, failure=SEVERAL_NODES) for name, path in streams.items()}
    samplers = await asyncio.gather(*(start_beside(name, folder, log) for name in BESIDE_HZ))
    return dict(zip(BESIDE_HZ, samplers, strict=True))


@asynccontextmanager
async def metered(
    vendor: str,
    gpus: int,
    given: Mapping[str, str],
    stream: Path,
    log: Path,
    *,
    required: bool = False,
    other_nodes: Sequence[OtherPlace] = (),
) -> AsyncIterator[Session]:
    """Read the GPUs that a server will take, while the block runs.

    Args:
        vendor: whose.
        gpus: how many the server takes, on all its nodes, as many on each.
        given: variables that the server gets besides those of its node.
        stream: where the readings go; those of other nodes beside it.
        log: what the samplers say.
        required: whether no meter is an error.
        other_nodes: the server's other nodes, by rank.

    Raises:
        NoMeter: power was required and can't be read.
        GpuBusy: somebody else is on these GPUs, and stays.
    """
    places = (HERE, *other_nodes)
    try:
        node_gpus = await wait_for_free_gpus(vendor, gpus // len(places), given, places)
    except NoMeter as error:
        if required:
            raise
        logger.warning("no power figures: %s", error)
        yield Session(Metering(failure=str(error)))
        return
    session = _session(node_gpus, stream, await _start_all_beside(stream.parent, log, several_nodes=bool(other_nodes)))
    try:
        await session.start(log)
        yield session
    finally:
        await session.stop()


def _session(node_gpus: Sequence[NodeGpus], stream: Path, beside: Mapping[str, SamplerProcess]) -> Session:
    """A session that has not begun to read these GPUs."""
    metering = Metering(
        asked=tuple(gpu for one in node_gpus for gpu in one.gpus),
        filled_mib={gpu: filled for one in node_gpus for gpu, filled in filled_mib(one.devices, one.gpus).items()},
    )
    samplers = [
        SamplerProcess(Job(vendor=one.vendor), path_of_node(stream, rank), one.place)
        for rank, one in enumerate(node_gpus)
    ]
    return Session(metering, node_gpus, samplers, beside)

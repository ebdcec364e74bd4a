"""Handles to sockets: one handle a partition, one energy counter a socket, and HIP's own order over all of them.

In CPX mode a socket shows eight handles, each with the figures of the whole socket, so their sum is eight times too
much (ROCm issue 4750 of legacy-rocm-build: 136.0 W eight times). They share domain, bus and device.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from harness.errors import NoMeter

NOT_AVAILABLE = "N/A"
"""What the binding gives for a field that is all ones."""

_UUID = re.compile(r"GPU-[0-9a-fA-F-]{16,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """What one handle stands for: a whole socket, or one partition of it.

    Attributes:
        pci: domain:bus:device.function; partitions differ in the function.
        uuid: as ROCR_VISIBLE_DEVICES takes it; the library's own where ROCm does not tell.
        hip_id: number that HIP gives it when nothing is hidden.
        kfd_node: its node in the kernel's topology; ROCm numbers GPUs in their order.
    """

    handle: object
    pci: str
    name: str
    uuid: str
    hip_id: int | str
    kfd_node: int | str


def runtime_uuid(by_hip: str, by_library: str) -> str:
    """The UUID that the runtime takes; a GPU that has none of its own is `GPU-XX` to it, and goes by the library's."""
    return by_hip if _UUID.fullmatch(by_hip) else by_library


@dataclass(frozen=True, slots=True)
class Socket:
    """One GPU as its maker sells it: its partitions in order of their PCI functions; the first shows all of it."""

    partitions: tuple[Partition, ...]

    @property
    def handle(self) -> object:
        """Library handle of the first partition, which reads the whole socket."""
        return self.partitions[0].handle

    @property
    def handles(self) -> tuple[object, ...]:
        """Library handles of all partitions."""
        return tuple(partition.handle for partition in self.partitions)

    @property
    def uuid(self) -> str:
        """UUID of the first partition."""
        return self.partitions[0].uuid

    @property
    def uuids(self) -> tuple[str, ...]:
        """UUIDs of the partitions, each once: some versions give all of them the socket's."""
        return tuple(dict.fromkeys(partition.uuid for partition in self.partitions))

    @property
    def pci(self) -> str:
        """PCI address of the first partition."""
        return self.partitions[0].pci

    @property
    def name(self) -> str:
        """What it is sold as."""
        return self.partitions[0].name

    @property
    def split(self) -> bool:
        """Whether it shows as several GPUs."""
        return len(self.partitions) > 1

    @property
    def hip_ids(self) -> tuple[int, ...]:
        """HIP's numbers of the partitions."""
        return tuple(int(partition.hip_id) for partition in self.partitions)


def group_by_socket(partitions: Sequence[Partition]) -> tuple[Socket, ...]:
    """Sockets in order of their PCI addresses.

    Raises:
        NoMeter: two sockets go by one UUID, so that nothing can be said of either.
    """
    ordered = sorted(_with_hip_ids(partitions), key=attrgetter("pci"))
    groups = groupby(ordered, key=lambda partition: partition.pci.rpartition(".")[0])
    sockets = [Socket(tuple(group)) for _, group in groups]
    if len({socket.uuid for socket in sockets}) < len(sockets):
        raise NoMeter("amdsmi: several GPUs have one UUID: use the driver and the binding of one ROCm, 6.4 or newer")
    return tuple(sockets)


def _with_hip_ids(partitions: Sequence[Partition]) -> Sequence[Partition]:
    """Each with a HIP number: its own, or where one lacks it all get their place in the kernel's topology."""
    if NOT_AVAILABLE not in {partition.hip_id for partition in partitions}:
        return partitions
    known = NOT_AVAILABLE not in {partition.kfd_node for partition in partitions}
    ordered = sorted(partitions, key=lambda partition: int(partition.kfd_node)) if known else partitions
    return [replace(partition, hip_id=place) for place, partition in enumerate(ordered)]

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

NOT_THERE = "N/A"
"""What the binding gives for a field that is all ones."""

_UUID = re.compile(r"GPU-[0-9a-fA-F-]{16,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one handle stands for.

    Attributes:
        pci: domain:bus:device.function; partitions differ in the function.
        uuid: as ROCR_VISIBLE_DEVICES takes it; the library's own where ROCm does not tell.
        hip_id: number that HIP gives it when nothing is hidden.
        node: of the kernel's topology; ROCm numbers GPUs in its order.
    """

    handle: object
    pci: str
    name: str
    uuid: str
    hip_id: int | str
    node: int | str


def named(by_hip: str, by_library: str) -> str:
    """The UUID that the runtime takes; a GPU that has none of its own is `GPU-XX` to it, and goes by the library's."""
    return by_hip if _UUID.fullmatch(by_hip) else by_library


@dataclass(frozen=True, slots=True)
class Socket:
    """One GPU as its maker sells it, with its parts in order of their PCI functions; the first shows all of it."""

    parts: tuple[Part, ...]

    @property
    def handle(self) -> object:
        """To read it by."""
        return self.parts[0].handle

    @property
    def handles(self) -> tuple[object, ...]:
        """Of all its parts."""
        return tuple(part.handle for part in self.parts)

    @property
    def uuid(self) -> str:
        """Of its first part."""
        return self.parts[0].uuid

    @property
    def uuids(self) -> tuple[str, ...]:
        """Of its parts, each once: some versions give all parts the socket's."""
        return tuple(dict.fromkeys(part.uuid for part in self.parts))

    @property
    def pci(self) -> str:
        """Of its first part."""
        return self.parts[0].pci

    @property
    def name(self) -> str:
        """What it is sold as."""
        return self.parts[0].name

    @property
    def split(self) -> bool:
        """Whether it shows as several GPUs."""
        return len(self.parts) > 1

    @property
    def hip_ids(self) -> tuple[int, ...]:
        """HIP's numbers of its parts."""
        return tuple(int(part.hip_id) for part in self.parts)


def sockets(parts: Sequence[Part]) -> tuple[Socket, ...]:
    """Parts by socket, in order of their PCI addresses.

    Raises:
        NoMeter: two sockets go by one UUID, so that nothing can be said of either.
    """
    ordered = sorted(numbered(parts), key=attrgetter("pci"))
    found = [Socket(tuple(group)) for _, group in groupby(ordered, key=lambda part: part.pci.rpartition(".")[0])]
    if len({socket.uuid for socket in found}) < len(found):
        raise NoMeter("amdsmi: several GPUs have one UUID: use the driver and the binding of one ROCm, 6.4 or newer")
    return tuple(found)


def numbered(parts: Sequence[Part]) -> Sequence[Part]:
    """Every part with a HIP number: its own, or where one lacks it all get their place in the kernel's topology."""
    if NOT_THERE not in {part.hip_id for part in parts}:
        return parts
    known = NOT_THERE not in {part.node for part in parts}
    order = sorted(parts, key=lambda part: int(part.node)) if known else parts
    return [replace(part, hip_id=place) for place, part in enumerate(order)]

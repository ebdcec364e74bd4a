"""Which GPUs a server really uses, and who else does: from what the library said before it started and after.

Process numbers may be of another namespace than ours, as in most containers; the memory that a server fills tells
its GPUs there too.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from harness.power.stream import Device

GROWN_GB = 0.25
"""What a server fills at least; a context alone takes about as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Attributes are those of `records.Metering`."""

    used: tuple[str, ...] | None
    told_by: str | None
    foreign: Mapping[str, tuple[int, ...]]


def usage(before: Sequence[Device], after: Sequence[Device], ours: Set[int]) -> Usage:
    """Compare the GPUs before the server was started and when it was ready.

    Args:
        before: all GPUs.
        after: all GPUs.
        ours: the server's processes.
    """
    by_process = tuple(device.gpu for device in after if ours & set(device.processes or ()))
    used = by_process or _by_memory(before, after)
    told_by = "processes" if by_process else None if used is None else "memory"
    return Usage(used=used, told_by=told_by, foreign=_foreign(before, after if by_process else (), ours))


def _by_memory(before: Sequence[Device], after: Sequence[Device]) -> tuple[str, ...] | None:
    """GPUs whose memory was filled meanwhile; None where the library does not say of one how much is."""
    bare = {device.gpu: device.memory_used_gb for device in before}
    pairs = [(device.gpu, bare.get(device.gpu), device.memory_used_gb) for device in after]
    if any(was is None or now is None for _, was, now in pairs):
        return None
    return tuple(gpu for gpu, was, now in pairs if was is not None and now is not None and now - was > GROWN_GB)


def _foreign(before: Sequence[Device], after: Sequence[Device], ours: Set[int]) -> dict[str, tuple[int, ...]]:
    """Who was there before the server, and who is there now and not of it."""
    strangers: dict[str, set[int]] = {}
    for device in (*before, *after):
        strangers.setdefault(device.gpu, set()).update(set(device.processes or ()) - ours)
    return {gpu: tuple(sorted(pids)) for gpu, pids in strangers.items() if pids}

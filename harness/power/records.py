"""What is known of a launch's metering beside the readings themselves."""

from collections.abc import Mapping

import msgspec


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """What another node's clock said once.

    Attributes:
        at_ns: when, by CLOCK_MONOTONIC of the first node.
        ahead_ns: by how much the other one's was ahead of it.
        error_ns: the most that this may be off by.
    """

    at_ns: int
    ahead_ns: int
    error_ns: int


class OtherNode(msgspec.Struct, frozen=True, kw_only=True):
    """One of a server's nodes beside the first.

    Attributes:
        node: its name.
        ticks: what its clock said, last before the readings and first after them.
    """

    node: str
    ticks: tuple[Tick, ...] = ()


class Metering(msgspec.Struct, frozen=True, kw_only=True):
    """Which GPUs were meant, and which the server really took.

    Attributes:
        asked: UUIDs, by the server's visibility variables and its number of GPUs.
        used: UUIDs of the GPUs that its processes are on; None where nothing tells.
        told_by: what told it: `processes`, or `memory` that grew while the server loaded.
        foreign: processes of others on these GPUs, by UUID.
        filled_mib: memory of these GPUs that was filled before the server started, by UUID; None where the library
            does not say, and nothing at all where no meter is there, for the reason in `failure`.
        failure: why there are no readings, or none to the end.
        nodes: the other nodes of a server that has several, by rank; each has a stream of its own, on its own clock.
        beside: `host` and `node`, where they were looked for, by why they were not read, or not to the end.
    """

    asked: tuple[str, ...] = ()
    used: tuple[str, ...] | None = None
    told_by: str | None = None
    foreign: Mapping[str, tuple[int, ...]] = {}
    filled_mib: Mapping[str, float | None] = {}
    failure: str | None = None
    nodes: tuple[OtherNode, ...] = ()
    beside: Mapping[str, str | None] = {}

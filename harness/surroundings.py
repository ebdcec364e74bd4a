"""What a sweep needs to know of where its points are measured, when that is not this machine alone."""

from collections.abc import Sequence
from typing import Protocol

from harness.launch.wrapping import Wrapping
from harness.power.server_gpus import OtherPlace
from harness.spec import Point, Run


class Surroundings(Protocol):
    """Where points are measured, when it is not by one harness on one machine: as a part of a cluster's job."""

    def wrapping(self, run: Run) -> Wrapping:
        """What goes around the command of a Run's server."""
        ...

    def elsewhere(self, run: Run) -> Sequence[OtherPlace]:
        """The other nodes of a Run's server, by rank; none for a server on one node."""
        ...

    def server_processes(self) -> frozenset[int] | None:
        """The server's processes on this machine; None where they can't be told from others'."""
        ...

    async def may_start(self, point: Point) -> None:
        """Return when a point may be started; raise to leave it for another time."""
        ...

    async def may_save(self, aborted: str | None) -> None:
        """Return when a point that was measured may be saved; raise where it was spoilt from outside, or is not ours.

        Args:
            aborted: why its load was given up, if it was.
        """
        ...

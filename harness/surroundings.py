"""What a sweep needs to know of where its points are measured: this machine alone, or a part of a cluster's job."""

from collections.abc import Sequence
from typing import Protocol

from harness.launch import processes
from harness.launch.wrapping import Wrapping
from harness.power.server_gpus import OtherPlace
from harness.spec import Point, Run


class Surroundings(Protocol):
    """Where points are measured, and who has a say in it."""

    @property
    def shares_folder(self) -> bool:
        """Whether others write rows to the results folder meanwhile; whoever is last then gathers the rows of all."""
        ...

    def wrapping(self, run: Run) -> Wrapping | None:
        """What goes around the command of a Run's server; None where nothing does."""
        ...

    def other_nodes(self, run: Run) -> Sequence[OtherPlace]:
        """The other nodes of a Run's server, by rank; none for a server on one node."""
        ...

    def server_processes(self, leader: int | None) -> frozenset[int] | None:
        """The server's processes on this machine; None where they can't be told from others'.

        Args:
            leader: process that was started for the server; None for a server that was attached to.
        """
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


class ThisMachine:
    """One harness on one machine, to which the results folder belongs."""

    shares_folder = False

    def wrapping(self, run: Run) -> None:
        """Nothing goes around a command."""

    def other_nodes(self, run: Run) -> tuple[()]:
        """No other nodes."""
        del run
        return ()

    def server_processes(self, leader: int | None) -> frozenset[int] | None:
        """All of the leader's session."""
        return None if leader is None else frozenset(processes.session_members(leader))

    async def may_start(self, point: Point) -> None:
        """Always."""

    async def may_save(self, aborted: str | None) -> None:
        """Always."""

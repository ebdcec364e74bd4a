"""An open loop: requests sent when they are due, whatever has become of those before.

Nothing limits how many are in flight: a client that held requests back would hide the wait that it is there to see
(coordinated omission). A server that can't keep up therefore collects a backlog; one that no server would work off is
the end of the point.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

from harness.load.client import Client
from harness.load.jobs import DueJobs
from harness.load.pool import Pool
from harness.load.recording import Job, Recording
from harness.records import RequestSample
from harness.units import NS_PER_S

_FAILURES = 64


class Schedule(Pool):
    """Requests at times that are given.

    Args:
        client, record: as of `Pool`.
        jobs: where requests come from.
        due_s: when each is due, in seconds after the epoch; ascending, without end.
        most: in flight; with more the load is given up as `overloaded`.
        epoch_ns: CLOCK_MONOTONIC of the schedule's beginning, the same for all who share one; None is the start.
    """

    def __init__(
        self,
        client: Client,
        jobs: DueJobs,
        due_s: Iterator[float],
        record: Callable[[Job], Recording] = Recording,
        *,
        most: int,
        epoch_ns: int | None = None,
    ) -> None:
        super().__init__(client, record, patience=_FAILURES)
        self._jobs = jobs
        self._due_s = due_s
        self._most = most
        self._epoch_ns = epoch_ns
        self._sender: asyncio.Task[None] | None = None

    def _begin(self) -> None:
        epoch_ns = self.started_ns if self._epoch_ns is None else self._epoch_ns
        self._sender = asyncio.get_running_loop().create_task(self._send(epoch_ns))

    def _rest(self) -> None:
        if self._sender is not None:
            self._sender.cancel()

    def _follow(self, sample: RequestSample) -> None:
        """Nothing follows: the next request is sent when it is due."""

    def _hopeless(self) -> str | None:
        if self._sender is not None and self._sender.done():
            self._sender.result()  # a bug of ours, or a trace that is not the one that was checked
            return "overloaded"
        return super()._hopeless()

    async def _send(self, epoch_ns: int) -> None:
        """Send each request when it is due; several at once where they are due together, or the client is late."""
        for due_s in self._due_s:
            due_ns = epoch_ns + round(due_s * NS_PER_S)
            await asyncio.sleep(0)  # whoever is late must still read what has come
            wait_ns = due_ns - time.monotonic_ns()
            while wait_ns > 0:  # a timer may be early by half a millisecond
                await asyncio.sleep(wait_ns / NS_PER_S)
                wait_ns = due_ns - time.monotonic_ns()
            self._start(self._jobs.take(due_ns))
            if len(self._in_flight) > self._most:
                return

"""Keep requests in flight until told to stop, whoever decides when each is sent.

`users` sends in closed loop, `schedule` in open loop. Knows nothing of engines, windows or files: takes jobs, a client
and a stop rule, gives samples.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.load.client import Client
from harness.load.recording import Job, Recording
from harness.records import RequestSample

_LOOK_S = 0.25


class Stop(Protocol):
    """Decides when a point has been measured long enough."""

    def look(self, now_ns: int, finished: Sequence[RequestSample]) -> bool:
        """Whether to stop now.

        Called a few times a second from the event loop that carries the load, so it must be quick.

        Args:
            now_ns: CLOCK_MONOTONIC.
            finished: all requests that have ended, starters and failures included, in order of their end; the same
                growing sequence in each call.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgress:
    """How far a point is.

    Attributes:
        elapsed_s: since the first request.
        in_flight, finished, failed: requests.
        output_tokens: received so far, unfinished requests included.
    """

    elapsed_s: float
    in_flight: int
    finished: int
    failed: int
    output_tokens: int


class Pool(ABC):
    """Requests in flight at one server.

    Args:
        client: the transport.
        record: makes the recording of a job.
        patience: failures one after the other until the load is given up.

    Attributes:
        finished: requests that have ended, in order of their end.
        started_ns, stopped_ns: first request; the moment from which on none is sent any more.
    """

    def __init__(self, client: Client, record: Callable[[Job], Recording], *, patience: int) -> None:
        self.finished: list[RequestSample] = []
        self._client = client
        self._record = record
        self._patience = patience
        self._in_flight: dict[int, Recording] = {}
        self._failed = 0
        self._failed_in_a_row = 0
        self._tokens = 0
        self._sending = True
        self.started_ns = 0
        self.stopped_ns = 0

    @abstractmethod
    def _begin(self) -> None:
        """Send what opens the load."""

    @abstractmethod
    def _follow(self, sample: RequestSample) -> None:
        """A request has ended, and more may be sent."""

    @abstractmethod
    def _rest(self) -> None:
        """Let nothing that waits be sent."""

    def _hopeless(self) -> str | None:
        """Why the load is to be given up; None while it is not."""
        return "failed_requests" if self._failed_in_a_row >= self._patience else None

    async def run(
        self,
        stop: Stop,
        *,
        died: asyncio.Event | None = None,
        drain: bool = False,
        on_progress: Callable[[LoadProgress], None] | None = None,
    ) -> str | None:
        """Hold the load until the stop rule says so; the samples are in `finished`, unfinished ones as `cancelled`.

        Args:
            stop: the rule.
            died: set when the server's process has ended.
            drain: let requests in flight run out instead of closing their sockets.
            on_progress: called a few times a second.

        Returns:
            None, or why the point was given up: `server_died`, `failed_requests`, `overloaded`.
        """
        self.started_ns = time.monotonic_ns()
        try:
            self._begin()
            reason = await self._hold(stop, died, on_progress)
            self._stop_sending()
            self.stopped_ns = time.monotonic_ns()
            if drain and reason is None:
                reason = await self._run_out(died)
        finally:
            self._stop_sending()
            await self._cut_off()
        return reason

    def progress(self) -> LoadProgress:
        """How far the point is."""
        return LoadProgress(
            elapsed_s=(time.monotonic_ns() - self.started_ns) / 1e9,
            in_flight=len(self._in_flight),
            finished=len(self.finished),
            failed=self._failed,
            output_tokens=self._tokens + sum(recording.tokens for recording in self._in_flight.values()),
        )

    async def _hold(
        self, stop: Stop, died: asyncio.Event | None, on_progress: Callable[[LoadProgress], None] | None
    ) -> str | None:
        while not await _set_within(died, _LOOK_S):
            self._client.check()
            if (reason := self._hopeless()) is not None:
                return reason
            if on_progress is not None:
                on_progress(self.progress())
            if stop.look(time.monotonic_ns(), self.finished):
                return None
        return "server_died"

    async def _run_out(self, died: asyncio.Event | None) -> str | None:
        """Wait until nothing is in flight, or for the server's death."""
        while self._in_flight:
            self._client.check()
            if await _set_within(died, _LOOK_S):
                return "server_died"
        return None

    async def _cut_off(self) -> None:
        """Close what is in flight, and keep it with what it had received."""
        await self._client.drop()
        now_ns = time.monotonic_ns()
        for recording in list(self._in_flight.values()):
            self._keep(recording, now_ns)

    def _stop_sending(self) -> None:
        self._sending = False
        self._rest()

    def _start(self, job: Job) -> None:
        recording = self._in_flight[job.slot] = self._record(job)
        self._client.start(recording, self._ended)

    def _ended(self, recording: Recording) -> None:
        sample = self._keep(recording, time.monotonic_ns())
        if self._sending:
            self._follow(sample)

    def _keep(self, recording: Recording, now_ns: int) -> RequestSample:
        del self._in_flight[recording.job.slot]
        sample = recording.sample(now_ns)
        self.finished.append(sample)
        self._tokens += recording.tokens
        lost = sample.error is not None and sample.error != "cancelled"
        self._failed += lost
        self._failed_in_a_row = self._failed_in_a_row + 1 if lost else 0
        return sample


async def _set_within(event: asyncio.Event | None, seconds: float) -> bool:
    """Whether the event is set, waiting for it no longer than asked."""
    if event is None:
        await asyncio.sleep(seconds)
        return False
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False

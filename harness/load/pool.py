"""Hold N requests in flight until told to stop.

N slots, each a user: its next request goes out when its last one has ended. Knows nothing of engines, windows or
files: takes jobs, a client and a stop rule, gives samples.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.load.client import Client
from harness.load.recording import Job, Recording
from harness.records import RequestSample

_LOOK_S = 0.25
_BACKOFF_S = 0.05
_LONGEST_BACKOFF_S = 1.0
_FAILURES_PER_SLOT = 8


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


class Jobs(Protocol):
    """Where requests come from."""

    def starter(self, slot: int) -> Job:
        """The slot's first, uncounted request."""
        ...

    def take(self, slot: int) -> Job:
        """The next request of the stream, whichever slot asks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
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


class Pool:
    """N users of one server.

    Args:
        client: the transport.
        jobs: where requests come from.
        slots: numbers of the users, N of them.
        record: makes the recording of a job.

    Attributes:
        finished: requests that have ended, in order of their end.
        started_ns, stopped_ns: first request; the moment from which on none is sent any more.
    """

    def __init__(
        self, client: Client, jobs: Jobs, slots: Sequence[int], record: Callable[[Job], Recording] = Recording
    ) -> None:
        self.finished: list[RequestSample] = []
        self._client = client
        self._jobs = jobs
        self._slots = slots
        self._record = record
        self._in_flight: dict[int, Recording] = {}
        self._pauses: dict[int, asyncio.TimerHandle] = {}
        self._failures = dict.fromkeys(slots, 0)
        self._failed = 0
        self._failed_in_a_row = 0
        self._tokens = 0
        self._refilling = True
        self.started_ns = 0
        self.stopped_ns = 0

    async def run(
        self,
        stop: Stop,
        *,
        died: asyncio.Event | None = None,
        drain: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> str | None:
        """Hold the load until the stop rule says so; the samples are in `finished`, unfinished ones as `cancelled`.

        Args:
            stop: the rule.
            died: set when the server's process has ended.
            drain: let requests in flight run out instead of closing their sockets.
            on_progress: called a few times a second.

        Returns:
            None, or why the point was given up: `server_died`, `failed_requests`.
        """
        self.started_ns = time.monotonic_ns()
        try:
            for slot in self._slots:
                self._start(self._jobs.starter(slot))
            reason = await self._hold(stop, died, on_progress)
            self._stop_refilling()
            self.stopped_ns = time.monotonic_ns()
            if drain and reason is None:
                reason = await self._run_out(died)
        finally:
            self._stop_refilling()
            await self._cut_off()
        return reason

    def progress(self) -> Progress:
        """How far the point is."""
        return Progress(
            elapsed_s=(time.monotonic_ns() - self.started_ns) / 1e9,
            in_flight=len(self._in_flight),
            finished=len(self.finished),
            failed=self._failed,
            output_tokens=self._tokens + sum(recording.tokens for recording in self._in_flight.values()),
        )

    async def _hold(
        self, stop: Stop, died: asyncio.Event | None, on_progress: Callable[[Progress], None] | None
    ) -> str | None:
        while not await _set_within(died, _LOOK_S):
            self._client.check()
            if self._failed_in_a_row >= _FAILURES_PER_SLOT * len(self._slots):
                return "failed_requests"
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

    def _stop_refilling(self) -> None:
        self._refilling = False
        for pause in self._pauses.values():
            pause.cancel()

    def _start(self, job: Job) -> None:
        recording = self._in_flight[job.slot] = self._record(job)
        self._client.start(recording, self._ended)

    def _ended(self, recording: Recording) -> None:
        """A user's request is over: the next one goes out at once, after a failure in a while."""
        slot = recording.job.slot
        sample = self._keep(recording, time.monotonic_ns())
        self._failures[slot] = self._failures[slot] + 1 if sample.error else 0
        if not self._refilling:
            return
        if not self._failures[slot]:
            self._start(self._jobs.take(slot))
            return
        pause_s = min(_BACKOFF_S * 2 ** min(self._failures[slot] - 1, 10), _LONGEST_BACKOFF_S)
        self._pauses[slot] = asyncio.get_running_loop().call_later(pause_s, self._resume, slot)

    def _resume(self, slot: int) -> None:
        del self._pauses[slot]
        self._start(self._jobs.take(slot))

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

"""Hold N requests in flight until told to stop.

N slots, each a user: its next request goes out when its last one has ended. Knows nothing of engines, windows or
files: takes jobs, a client and a stop rule, gives samples.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
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
        concurrency: N.
        record: makes the recording of a job.

    Attributes:
        finished: requests that have ended, in order of their end.
        started_ns, stopped_ns: first request; the moment from which on none is sent any more.
    """

    def __init__(
        self, client: Client, jobs: Jobs, concurrency: int, record: Callable[[Job], Recording] = Recording
    ) -> None:
        self.finished: list[RequestSample] = []
        self._client = client
        self._jobs = jobs
        self._concurrency = concurrency
        self._record = record
        self._in_flight: dict[int, Recording] = {}
        self._failed = 0
        self._failed_in_a_row = 0
        self._tokens = 0
        self._draining = False
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
        async with asyncio.TaskGroup() as group:
            slots = [group.create_task(self._user(slot)) for slot in range(self._concurrency)]
            try:
                reason = await self._hold(stop, died, on_progress)
                self.stopped_ns = time.monotonic_ns()
                if drain and reason is None:
                    self._draining = True
                    reason = await _until_done(slots, died)
            finally:
                for slot in slots:
                    slot.cancel()
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
            if self._failed_in_a_row >= _FAILURES_PER_SLOT * self._concurrency:
                return "failed_requests"
            if on_progress is not None:
                on_progress(self.progress())
            if stop.look(time.monotonic_ns(), self.finished):
                return None
        return "server_died"

    async def _user(self, slot: int) -> None:
        """One user: a residual-life start, then request after request."""
        failures = 0
        job = self._jobs.starter(slot)
        while True:
            sample = await self._request(job)
            failures = failures + 1 if sample.error else 0
            if failures:
                await asyncio.sleep(min(_BACKOFF_S * 2 ** min(failures - 1, 10), _LONGEST_BACKOFF_S))
            if self._draining:
                return
            job = self._jobs.take(slot)

    async def _request(self, job: Job) -> RequestSample:
        """Send one request to its end; a cancelled one is kept with what it had received."""
        recording = self._record(job)
        self._in_flight[job.slot] = recording
        try:
            await self._client.stream(recording)
        finally:
            del self._in_flight[job.slot]
            sample = recording.sample(time.monotonic_ns())
            self._ended(sample, recording.tokens)
        return sample

    def _ended(self, sample: RequestSample, tokens: int) -> None:
        self.finished.append(sample)
        self._tokens += tokens
        lost = sample.error is not None and sample.error != "cancelled"
        self._failed += lost
        self._failed_in_a_row = self._failed_in_a_row + 1 if lost else 0


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


async def _until_done(tasks: Iterable[asyncio.Task[None]], died: asyncio.Event | None) -> str | None:
    """Wait for all of them, or for the server's death."""
    pending = set(tasks)
    while pending:
        _, pending = await asyncio.wait(pending, timeout=_LOOK_S)
        if pending and died is not None and died.is_set():
            return "server_died"
    return None

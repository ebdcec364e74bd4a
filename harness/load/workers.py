"""Hold a point's load in several processes and see it as one: one stop, one record, one health.

Users, or arrivals, are dealt out once: a queue that processes shared would leave some idle beside others that hoard.
Nothing passes between processes while chunks arrive but what has ended, a few times a second.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from operator import attrgetter

from harness.load.frames import frame, next_value
from harness.load.pool import LoadProgress, Stop
from harness.load.shard import ShareResult, ShareSpec
from harness.load.worker import DIED, READY, STOP, Go, Start, WorkerReport
from harness.records import ClientHealth, Reads, RequestSample

_LOOK_S = 0.25
_STARTED_S = 300.0


async def run_in_workers(
    shares: Sequence[ShareSpec],
    stop: Stop,
    *,
    died: asyncio.Event | None,
    on_progress: Callable[[LoadProgress], None] | None,
) -> ShareResult:
    """Hold all shares until the stop rule, which sees every request, says so.

    Raises:
        ChildProcessError: a worker died, which is a bug of ours or somebody's kill.
    """
    async with AsyncExitStack() as stack:
        workers = await _started(stack, shares)
        go = Go(epoch_ns=time.monotonic_ns())
        for worker in workers:
            worker.tell(go)
        return await _followed(workers, stop, died, on_progress)


async def _started(stack: AsyncExitStack, shares: Sequence[ShareSpec]) -> list["_Worker"]:
    """A worker for each share, ready to begin; they end with the stack."""
    cores = _cores(len(shares))
    workers = [await stack.enter_async_context(_worker(spec, core)) for spec, core in zip(shares, cores, strict=True)]
    try:
        async with asyncio.timeout(_STARTED_S):
            assert {READY} == set(await asyncio.gather(*(worker.next() for worker in workers)))
    except TimeoutError as error:  # the server is not to blame
        raise ChildProcessError(f"{len(workers)} load workers did not start in {_STARTED_S:.0f} s") from error
    return workers


async def _followed(
    workers: Sequence["_Worker"],
    stop: Stop,
    died: asyncio.Event | None,
    on_progress: Callable[[LoadProgress], None] | None,
) -> ShareResult:
    """What the workers' shares come to together, once the stop rule has said so or one has ended by itself."""
    load = _Load(workers)
    following = [asyncio.create_task(load.follow(worker)) for worker in workers]
    watching = [asyncio.create_task(load.report_server_death(died))] if died is not None else []
    try:
        await load.decide(stop, on_progress)
        ends = await asyncio.gather(*following)
    finally:
        for task in (*following, *watching):
            task.cancel()
    return _merged(load.finished, ends)


class _Worker:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process, share: int) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self._reader, self._writer = process.stdout, process.stdin
        self._share = share
        self.progress: LoadProgress | None = None

    def tell(self, word: object) -> None:
        """Say something to it; one that has ended does not hear it."""
        with suppress(ConnectionError):
            self._writer.write(frame(word))

    async def next(self) -> object:
        """What it says next."""
        try:
            return await next_value(self._reader)
        except EOFError as error:
            raise ChildProcessError(f"load worker {self._share} died; what it said stands above") from error


class _Load:
    """All workers at work."""

    def __init__(self, workers: Sequence[_Worker]) -> None:
        self.finished: list[RequestSample] = []
        self._workers = workers
        self._over = asyncio.Event()

    async def follow(self, worker: _Worker) -> ShareResult:
        """Take what a worker reports until it is through; the first one's end is everybody's."""
        try:
            while True:
                report = await worker.next()
                assert isinstance(report, WorkerReport | ShareResult)
                self.finished += report.finished
                if isinstance(report, ShareResult):
                    return report
                worker.progress = report.progress
        finally:
            self._over.set()

    async def decide(self, stop: Stop, on_progress: Callable[[LoadProgress], None] | None) -> None:
        """Ask the stop rule until it says so, or a worker has ended by itself; then stop them all."""
        while not self._over.is_set():
            if on_progress is not None and (progress := self._progress()) is not None:
                on_progress(progress)
            if stop.look(time.monotonic_ns(), self.finished):
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._over.wait()
        self._tell(STOP)

    async def report_server_death(self, died: asyncio.Event) -> None:
        """Tell the workers of the server's death."""
        await died.wait()
        self._tell(DIED)

    def _tell(self, word: str) -> None:
        for worker in self._workers:
            worker.tell(word)

    def _progress(self) -> LoadProgress | None:
        known = [worker.progress for worker in self._workers if worker.progress is not None]
        if not known:
            return None
        return LoadProgress(
            elapsed_s=max(one.elapsed_s for one in known),
            in_flight=sum(one.in_flight for one in known),
            finished=sum(one.finished for one in known),
            failed=sum(one.failed for one in known),
            output_tokens=sum(one.output_tokens for one in known),
        )


@asynccontextmanager
async def _worker(spec: ShareSpec, core: int | None) -> AsyncIterator[_Worker]:
    """A process that has its share and gets ready; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "harness.load", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        worker = _Worker(process, spec.share)
        worker.tell(Start(spec, core))
        yield worker
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _cores(shares: int) -> list[int | None]:
    """A core for each process, from the last one down: engines and interrupts tend to take the first."""
    allowed = sorted(os.sched_getaffinity(0), reverse=True)
    return list(allowed[:shares]) if len(allowed) > shares else [None] * shares


def _merged(finished: list[RequestSample], ends: Sequence[ShareResult]) -> ShareResult:
    return ShareResult(
        finished=sorted(finished, key=attrgetter("end_ns")),
        health=_health([end.health for end in ends]),
        started_ns=min(end.started_ns for end in ends),
        stopped_ns=max(end.stopped_ns for end in ends),
        aborted=next((end.aborted for end in ends if end.aborted), None),
    )


def _health(parts: Sequence[ClientHealth]) -> ClientHealth:
    """The worst of each: a point is as good as its worst shard."""
    return ClientHealth(
        busy=max(part.busy for part in parts),
        lateness_p50_s=max(part.lateness_p50_s for part in parts),
        lateness_p99_s=max(part.lateness_p99_s for part in parts),
        lateness_max_s=max(part.lateness_max_s for part in parts),
        realtime=all(part.realtime for part in parts),
        reads=_reads([part.reads for part in parts if part.reads is not None]),
        shards=len(parts),
    )


def _reads(parts: Sequence[Reads]) -> Reads | None:
    if not parts:
        return None
    return Reads(
        count=sum(part.count for part in parts),
        late_p50_s=max(part.late_p50_s for part in parts),
        late_p99_s=max(part.late_p99_s for part in parts),
        late_max_s=max(part.late_max_s for part in parts),
        several=max(part.several for part in parts),
        unstamped=max(part.unstamped for part in parts),
        clock_moved_s=max(part.clock_moved_s for part in parts),
    )

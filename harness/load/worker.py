"""One share of a point's load in a process of its own.

    python -m harness.load

Reads a `Start` from standard input, says that it is ready, and waits for `Go`; then reports, a few times a second, how
far it is and what has ended. It stops when told to, and when standard input ends: with its harness,
however that ended.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import uvloop

from harness.load.frames import frame, next_value
from harness.load.pool import LoadProgress
from harness.load.shard import ShareResult, ShareSpec, run_share
from harness.records import RequestSample

READY, STOP, DIED = "ready", "stop", "died"


@dataclass(frozen=True, slots=True)
class Start:
    """What a worker reads first.

    Attributes:
        spec: of its share.
        core: the one that it keeps to; None for any.
    """

    spec: ShareSpec
    core: int | None


@dataclass(frozen=True, slots=True)
class Go:
    """The word to begin.

    Attributes:
        epoch_ns: CLOCK_MONOTONIC from which on requests are due, where they are due at all.
    """

    epoch_ns: int


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """How far a worker is, and what has ended since the last one."""

    progress: LoadProgress
    finished: Sequence[RequestSample] = field(repr=False)


class _Link:
    """The other end of the pipes; as a stop rule it stops when told to, and reports whenever it is asked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self.died = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._stop = False
        self._seen = 0
        self._progress: LoadProgress | None = None

    def say(self, value: object) -> None:
        self._writer.write(frame(value))

    def on_progress(self, progress: LoadProgress) -> None:
        self._progress = progress

    def look(self, _: int, finished: Sequence[RequestSample]) -> bool:
        """See `pool.Stop`."""
        if self._progress is not None:
            self.say(WorkerReport(self._progress, finished[self._seen :]))
            self._seen = len(finished)
        return self._stop

    def end(self, result: ShareResult) -> None:
        self.say(replace(result, finished=result.finished[self._seen :]))

    async def listen(self) -> None:
        """Do as told; without its harness a worker has nobody to work for."""
        with suppress(EOFError):
            while True:
                word = await next_value(self._reader)
                self._stop = self._stop or word == STOP
                if word == DIED:
                    self.died.set()
        os._exit(0)


async def _work() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    writer, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
    start = await next_value(reader)
    assert isinstance(start, Start)
    if start.core is not None:
        os.sched_setaffinity(0, {start.core})
    link = _Link(reader, writer)
    link.say(READY)
    go = await next_value(reader)
    assert isinstance(go, Go)
    listening = loop.create_task(link.listen())
    result = await run_share(start.spec, link, died=link.died, on_progress=link.on_progress, epoch_ns=go.epoch_ns)
    link.end(result)
    await listening  # until the harness has read it all and closes the pipe


def main() -> None:
    """The process: one share, from its `Start` to its end."""
    uvloop.run(_work())

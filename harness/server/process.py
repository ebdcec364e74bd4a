"""A server's process for the length of a block: its death is told at once, and nothing of it outlives the block."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from harness import launch
from harness.engines import Endpoint
from harness.errors import ServerError
from harness.launch import leftovers

T = TypeVar("T")

logger = logging.getLogger(__name__)

TAIL_LINES = 20
TAIL_BYTES = 64 * 1024


@asynccontextmanager
async def running(asked: launch.Command, log: Path, died: asyncio.Event) -> AsyncIterator[int]:
    """Run a command, as the number of its process; `died` is set when it ends inside the block.

    Raises:
        ServerNotReady: it can't be started.
        ServerError: some of it can't be killed.
    """
    process = await launch.start(asked, log)
    watcher = asyncio.create_task(_tell(process, died))
    try:
        leftovers.leave_note(process, log)
        yield process.pid
    finally:
        watcher.cancel()
        stopped = await _to_its_end(_end(asked, process))
        logger.info("%s: %s", log, stopped)
        if stopped.left:
            raise ServerError(f"{log}: processes {stopped.left} of the server can't be killed: restart the machine")
        leftovers.remove_note(log)


async def _end(asked: launch.Command, process: launch.Running) -> launch.Stopped:
    if asked.ask_to_end is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(launch.GRACE_S):
                await asked.ask_to_end()
                await process.exited()
    return await process.stop()


async def _tell(process: launch.Running, died: asyncio.Event) -> None:
    await process.exited()
    died.set()


async def _to_its_end(work: Coroutine[None, None, T]) -> T:
    """Await something to its end, and only then let a cancellation through."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    return task.result()


def last_words(log: Path | None, endpoint: Endpoint) -> str:
    """The last lines of a server's log, its secret left out, as the end of a message."""
    if log is None or not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    text = "\n".join(lines)
    if endpoint.api_key:
        text = text.replace(endpoint.api_key, "<key>")
    return f"; last lines of {log}:\n{text}"

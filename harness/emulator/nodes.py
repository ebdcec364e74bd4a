"""Several emulators as one server over several nodes: they meet, count their GPUs, and end together.

The first one serves; the others hold a connection to it and do nothing else. What an engine's ranks do to each other is
here: one that dies takes all of them with it.
"""

import asyncio
import os
import signal
from collections.abc import Coroutine
from dataclasses import dataclass

from harness.errors import UserError

MEETING_S = 60.0
LOOK_S = 0.2
VISIBLE = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One of a server's nodes.

    Attributes:
        count: all of them.
        rank: 0 is the one that serves.
        host, port: where they meet, on the first one.
    """

    count: int
    rank: int
    host: str
    port: int


def visible_gpus() -> int | None:
    """GPUs that this process may use; None where nothing says so."""
    visible = next((os.environ[name] for name in VISIBLE if name in os.environ), None)
    return None if visible is None else len(list(filter(None, visible.split(","))))


class Others:
    """The other nodes, as the first one sees them."""

    def __init__(self, place: Place, needed: int) -> None:
        self._place = place
        self._needed = needed
        self._joined: dict[asyncio.StreamReader, asyncio.StreamWriter] = {}
        self._gpus: list[int | None] = [visible_gpus()]
        self._complete = asyncio.Event()

    async def meet(self) -> None:
        """Wait until all are there.

        Raises:
            UserError: some do not come, or all together have too few GPUs.
        """
        await asyncio.start_server(self._join, self._place.host, self._place.port)
        try:
            await asyncio.wait_for(self._complete.wait(), MEETING_S)
        except TimeoutError:
            raise UserError(f"{1 + len(self._joined)} of {self._place.count} nodes came in {MEETING_S:.0f} s") from None
        known = [gpus for gpus in self._gpus if gpus is not None]
        if len(known) == self._place.count and sum(known) < self._needed:
            raise UserError(f"{sum(known)} GPUs on {self._place.count} nodes, needed are {self._needed}")

    async def outlast(self, serving: Coroutine[None, None, None]) -> None:
        """Serve to the end.

        Raises:
            UserError: one of them was gone before.
        """
        job = asyncio.ensure_future(serving)
        gone = [asyncio.create_task(reader.read()) for reader in self._joined]
        await asyncio.wait([job, *gone], return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            await asyncio.wait([job], timeout=LOOK_S)  # all are told to stop at once, and the others are quicker
        if not job.done():
            job.cancel()
            raise UserError("a node is gone")

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gpus = (await reader.readline()).decode().strip()
        self._gpus.append(int(gpus) if gpus else None)
        self._joined[reader] = writer
        if len(self._joined) == self._place.count - 1:
            self._complete.set()


async def follow(place: Place) -> None:
    """Be one of the other nodes until told to stop: find the first one, say how many GPUs are here.

    Raises:
        UserError: the first one is not there, or is gone.
    """
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    deadline = asyncio.get_running_loop().time() + MEETING_S
    while True:
        try:
            reader, writer = await asyncio.open_connection(place.host, place.port)
            break
        except OSError:
            if asyncio.get_running_loop().time() > deadline:
                raise UserError(f"no first node at {place.host}:{place.port}") from None
            await asyncio.sleep(LOOK_S)
    gpus = visible_gpus()
    writer.write(f"{'' if gpus is None else gpus}\n".encode())
    await writer.drain()
    ends = [asyncio.create_task(reader.read()), asyncio.create_task(stop.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        await asyncio.wait(ends[1:], timeout=LOOK_S)
    if not stop.is_set():
        raise UserError("the first node is gone")

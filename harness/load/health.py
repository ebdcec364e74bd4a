"""How well the client kept up: a ruler that is itself late measures its own lateness.

Wakes at fixed times in the event loop that carries the load. A wake-up waits behind whatever the loop is doing, just
as the stamp of a chunk does, so its lateness is the error to expect in a stamp.
"""

import asyncio
import time
from array import array
from types import TracebackType
from typing import Self

import numpy as np

from harness.records import ClientHealth, Reads

_PERIOD_S = 0.05


class Heartbeat:
    """`async with Heartbeat() as heart:` listens; `heart.health()` says how it went."""

    def __init__(self) -> None:
        self._late_s = array("d")
        self._wall = self._cpu = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        self._wall, self._cpu = time.monotonic() - self._wall, time.process_time() - self._cpu

    def health(self, *, realtime: bool, reads: Reads | None) -> ClientHealth:
        """What was heard, once the `async with` is over."""
        late_s = np.array(self._late_s) if self._late_s else np.zeros(1)
        return ClientHealth(
            busy=self._cpu / self._wall,
            realtime=realtime,
            lateness_p50_s=float(np.percentile(late_s, 50)),
            lateness_p99_s=float(np.percentile(late_s, 99)),
            lateness_max_s=float(late_s.max()),
            reads=reads,
        )

    async def _beat(self) -> None:
        while True:
            due = time.monotonic() + _PERIOD_S
            await asyncio.sleep(_PERIOD_S)
            self._late_s.append(time.monotonic() - due)

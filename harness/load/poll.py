"""Read the server's counters once a second beside the load, and exactly at both ends.

A reading that fails is noted and the next one is taken: the counters are evidence, not the measurement.
"""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import aiohttp

from harness.errors import MtpbenchError
from harness.records import EngineCounters

_PERIOD_S = 1.0
_LIMIT_S = 5.0
_FAULTS = (aiohttp.ClientError, TimeoutError, OSError, MtpbenchError, ValueError)

Read = Callable[[], Awaitable[EngineCounters]]


class Poller:
    """`async with Poller(read) as poller:` reads on entry, then every period, then once more on leaving.

    Each reading is also handed to `on_reading`.

    Attributes:
        readings: in order of time.
        failures: the error of each reading that failed.
    """

    def __init__(
        self, read: Read, period_s: float = _PERIOD_S, on_reading: Callable[[EngineCounters], None] | None = None
    ) -> None:
        self.readings: list[EngineCounters] = []
        self.failures: list[str] = []
        self._read = read
        self._on_reading = on_reading
        self._period_s = period_s
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._once()
        self._task = asyncio.create_task(self._often())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()  # a bug in the reading is not a fault of the server
        if kind is None:
            await self._once()

    async def _often(self) -> None:
        """Readings at fixed times; one that takes longer than a period lets the times it missed pass."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            await asyncio.sleep(self._period_s - (loop.time() - start) % self._period_s)
            await self._once()

    async def _once(self) -> None:
        try:
            async with asyncio.timeout(_LIMIT_S):
                reading = await self._read()
        except _FAULTS as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return
        self.readings.append(reading)
        if self._on_reading is not None:
            self._on_reading(reading)

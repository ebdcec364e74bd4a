"""The engine model against the wall clock: each step's tokens are handed over when the step would have ended.

Steps follow the model's own schedule: one that is handed over late is not repeated by the next, so the mean step time
is the model's however busy the machine is.
"""

import asyncio
import time
from collections.abc import Callable

from harness.emulator.batch import Deliveries
from harness.emulator.model import EngineModel

Deliver = Callable[[Deliveries], None]


class Pacer:
    """Runs one model.

    Args:
        model: in virtual time, idle.
        deliver: called with the tokens of each step.
        speed: virtual seconds in a real one.
        hangs: asked after every step; True stops the engine for good.
    """

    def __init__(self, model: EngineModel, deliver: Deliver, *, speed: float, hangs: Callable[[], bool]) -> None:
        self.model = model
        self._deliver = deliver
        self._speed = speed
        self._hangs = hangs
        self._origin_s = time.monotonic()
        self._wake = asyncio.Event()

    def submit(self, request: int, prompt_tokens: int, max_tokens: int) -> None:
        """Hand a request to the model, now.

        Raises:
            ValueError: it is longer than the context.
        """
        self.model.submit(request, prompt_tokens, max_tokens, self._virtual_s())
        self._wake.set()

    async def run(self) -> None:
        """Step until the task is cancelled."""
        while True:
            if self._hangs():
                await asyncio.Event().wait()
            end_s = self.model.begin()
            if end_s is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            await asyncio.sleep(max(0.0, (end_s - self._virtual_s()) / self._speed))
            self._deliver(self.model.end())

    def _virtual_s(self) -> float:
        return (time.monotonic() - self._origin_s) * self._speed

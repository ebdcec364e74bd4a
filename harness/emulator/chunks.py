"""Who was delivered how many tokens in which step: a table of steps by slots, from which ended requests are cut."""

import numpy as np

from harness.emulator.batch import Deliveries
from harness.records import Int32, Int64

ROOM = 1024
"""Steps that there is room for at first."""


class Chunks:
    """The table; a slot has one request at a time.

    Attributes:
        steps: steps so far, forgotten ones included.
    """

    def __init__(self, slots: int) -> None:
        self.steps = 0
        self._forgotten = 0
        self._ns = np.empty(ROOM, np.int64)
        self._tokens = np.zeros((ROOM, slots), np.int32)  # 0: none in that step

    def add(self, now_ns: int, deliveries: Deliveries) -> None:
        """A step that ended now; the engine's number of a request is its slot."""
        row = self.steps - self._forgotten
        if row == len(self._ns):
            self._ns = np.concatenate([self._ns, np.empty_like(self._ns)])
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)])
        self._ns[row] = now_ns
        self._tokens[row, deliveries.request] = deliveries.tokens
        self.steps += 1

    def hold(self, slots: int) -> None:
        """See that there are so many slots."""
        wide = self._tokens.shape[1]
        if slots > wide:
            more = max(slots, 2 * wide) - wide
            self._tokens = np.pad(self._tokens, ((0, 0), (0, more)))

    def of(self, slot: int, first_step: int) -> tuple[Int64, Int32]:
        """When a slot was delivered tokens from a step on, and how many it then had."""
        rows = slice(first_step - self._forgotten, self.steps - self._forgotten)
        tokens = self._tokens[rows, slot]
        came = tokens > 0
        return self._ns[rows][came], tokens[came]

    def forget(self, before: int) -> None:
        """Drop steps that nobody asks for any more; done when it frees half of the room."""
        used, gone = self.steps - self._forgotten, before - self._forgotten
        if 2 * gone < len(self._ns):
            return
        self._ns[: used - gone] = self._ns[gone:used]
        self._tokens[: used - gone] = self._tokens[gone:used]
        self._tokens[used - gone :] = 0
        self._forgotten = before

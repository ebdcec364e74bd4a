"""A closed loop: N users, each of whom sends its next request when its last one has ended."""

import asyncio
from collections.abc import Callable, Sequence

from harness.load.client import Client
from harness.load.jobs import SlotJobs
from harness.load.pool import Pool
from harness.load.recording import Job, Recording
from harness.records import RequestSample

_BACKOFF_S = 0.05
_LONGEST_BACKOFF_S = 1.0
_FAILURES_PER_SLOT = 8


class Users(Pool):
    """N requests in flight.

    Args:
        client, record: as of `Pool`.
        jobs: where requests come from.
        slots: numbers of the users, N of them.
    """

    def __init__(
        self, client: Client, jobs: SlotJobs, slots: Sequence[int], record: Callable[[Job], Recording] = Recording
    ) -> None:
        super().__init__(client, record, patience=_FAILURES_PER_SLOT * len(slots))
        self._jobs = jobs
        self._slots = slots
        self._pauses: dict[int, asyncio.TimerHandle] = {}
        self._failures = dict.fromkeys(slots, 0)

    def _begin(self) -> None:
        for slot in self._slots:
            self._start(self._jobs.starter(slot))

    def _rest(self) -> None:
        for pause in self._pauses.values():
            pause.cancel()

    def _follow(self, sample: RequestSample) -> None:
        """The user's next request goes out at once, after a failure in a while."""
        slot = sample.slot
        self._failures[slot] = self._failures[slot] + 1 if sample.error else 0
        if not self._failures[slot]:
            self._start(self._jobs.take(slot))
            return
        pause_s = min(_BACKOFF_S * 2 ** min(self._failures[slot] - 1, 10), _LONGEST_BACKOFF_S)
        self._pauses[slot] = asyncio.get_running_loop().call_later(pause_s, self._resume, slot)

    def _resume(self, slot: int) -> None:
        del self._pauses[slot]
        self._start(self._jobs.take(slot))

"""Up to when a load's tokens are all counted, told by the requests that have ended: the others' tokens are not known.

In closed loop each user has one request in flight, so the users' last ends tell; in open loop the requests are
numbered as they are due, so the first that is missing does.
"""

from collections.abc import Callable
from typing import Protocol

from harness.metrics.requests import Requests
from harness.records import Int32, Int64


class Horizon(Protocol):
    """What the ended requests tell; None while they tell nothing."""

    def add(self, requests: Requests) -> None:
        """Requests that have ended, in any order."""
        ...

    @property
    def end_ns(self) -> int | None:
        """Up to when the load was whole and all of it has been counted."""
        ...

    @property
    def own_end_ns(self) -> int | None:
        """The same without requests that the end of the point cut off: what was known just before it ended.

        Whoever decides by this decides alike while the load runs and afterwards.
        """
        ...

    @property
    def full_ns(self) -> int | None:
        """The earliest time that may lie in a window: full-length requests have ended wherever they should."""
        ...

    @property
    def lacking(self) -> str:
        """Why there is no window while something here is None."""
        ...


class UsersHorizon:
    """Horizon of a closed loop with `users` users."""

    def __init__(self, users: int) -> None:
        self._users = users
        self._last_end_ns: dict[int, int] = {}
        self._last_own_end_ns: dict[int, int] = {}
        self._first_full_ns: dict[int, int] = {}

    def add(self, requests: Requests) -> None:
        """See `Horizon`."""
        samples, full = requests.samples, requests.full
        _keep(max, self._last_end_ns, samples.slot, samples.end_ns)
        _keep(max, self._last_own_end_ns, samples.slot[~requests.cut_off], samples.end_ns[~requests.cut_off])
        _keep(min, self._first_full_ns, samples.slot[full], samples.end_ns[full])

    @property
    def end_ns(self) -> int | None:
        """Up to when every user was busy and all of it has been counted; None while some user has ended nothing."""
        return min(self._last_end_ns.values()) if len(self._last_end_ns) >= self._users else None

    @property
    def own_end_ns(self) -> int | None:
        """See `Horizon`."""
        return min(self._last_own_end_ns.values()) if len(self._last_own_end_ns) >= self._users else None

    @property
    def full_ns(self) -> int | None:
        """When the last user finished its first full-length request; None while one has not."""
        return max(self._first_full_ns.values()) if len(self._first_full_ns) >= self._users else None

    @property
    def lacking(self) -> str:
        """See `Horizon`."""
        return f"not each of the {self._users} users finished a full request; raise window.max_s"


class ScheduleHorizon:
    """Horizon of an open loop, whose requests are numbered 0, 1, 2, ... as they are due."""

    def __init__(self) -> None:
        self._ahead_ns: dict[int, int] = {}
        self._next = 0
        self._own_end_ns: int | None = None
        self._cut_off_ns: int | None = None
        self._full_ns: int | None = None

    def add(self, requests: Requests) -> None:
        """See `Horizon`."""
        samples, own = requests.samples, ~requests.cut_off
        self._ahead_ns |= zip(samples.index[own].tolist(), samples.sent_ns[own].tolist(), strict=True)
        while self._next in self._ahead_ns:
            self._own_end_ns = self._ahead_ns.pop(self._next)
            self._next += 1
        self._cut_off_ns = min(filter(None, (self._cut_off_ns, *samples.end_ns[~own].tolist())), default=None)
        self._full_ns = min(filter(None, (self._full_ns, *samples.end_ns[requests.full].tolist())), default=None)

    @property
    def end_ns(self) -> int | None:
        """The point's end, where it cut requests off; the sending of the last before the first that is missing."""
        return self._own_end_ns if self._cut_off_ns is None else self._cut_off_ns

    @property
    def own_end_ns(self) -> int | None:
        """See `Horizon`."""
        return self._own_end_ns

    @property
    def full_ns(self) -> int | None:
        """When the first request ended."""
        return self._full_ns

    @property
    def lacking(self) -> str:
        """See `Horizon`."""
        return "no request ended; raise window.max_s, or lower the rate"


def _keep(best: Callable[[int, int], int], kept: dict[int, int], slots: Int32, times_ns: Int64) -> None:
    for slot, time_ns in zip(slots.tolist(), times_ns.tolist(), strict=True):
        kept[slot] = best(kept.get(slot, time_ns), time_ns)

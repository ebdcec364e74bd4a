"""The server's own counters over a Window: readings once a second, differenced by linear interpolation at the edges.

Readings and edges never coincide. Between two readings a counter is taken to grow evenly; that is also right for an
engine that counts only when a request ends: the difference then holds the requests that ended inside, which is the
cohort that latencies are of.
"""

from collections.abc import Sequence

import numpy as np

from harness.records import EngineCounters, Int64
from harness.stats import Floats

_NEEDED_SHARE = 0.9


class Counters:
    """Readings that cover a Window.

    Args:
        readings: in any order.
        edges_ns: of the Window's blocks.

    Attributes:
        blocks: into how many equal parts differences are cut: the Window's blocks, or fewer where they are shorter
            than the time between readings, whose parts would only repeat one another.
        reason: why there are no differences; None where there are.
    """

    def __init__(self, readings: Sequence[EngineCounters], edges_ns: Int64) -> None:
        self._readings = sorted(readings, key=lambda reading: reading.t_ns)
        times = [reading.t_ns for reading in self._readings]
        start = max(int(edges_ns[0]), times[0]) if times else 0
        end = min(int(edges_ns[-1]), times[-1]) if times else 0
        covered = (end - start) / float(edges_ns[-1] - edges_ns[0])
        self.reason = None if covered >= _NEEDED_SHARE else ("counters_end_early" if times else "no_counters")
        inside = sum(start <= t <= end for t in times)
        self.blocks = max(1, min(len(edges_ns) - 1, inside - 1))
        self._start, self._end = start, end
        self._edges = np.linspace(0, end - start, self.blocks + 1)

    def difference(self, name: str, position: int | None = None) -> Floats | str:
        """Growth of a counter in each part, or why it is not known.

        Args:
            name: field of `EngineCounters`.
            position: which of its values, where it has one for each draft position.

        Returns:
            Shape (blocks,), or a reason: `no_counters`, `counters_end_early`, `not_exposed`, `counter_reset`.
        """
        if self.reason is not None:
            return self.reason
        times, values = self._known(name, position)
        if len(values) < 2:
            return "not_exposed"
        if np.any(np.diff(values) < 0):
            return "counter_reset"
        growth: Floats = np.diff(np.interp(self._edges, times, values))
        return growth

    def gauge(self, name: str) -> Floats:
        """Readings of a gauge inside the Window; empty where there are none."""
        times, values = self._known(name)
        return values[(times >= 0) & (times <= self._end - self._start)]

    def latest(self, name: str) -> float | None:
        """What a counter stood at in the last reading, warm-up and earlier points included; None: not exposed."""
        values = self._known(name)[1]
        return float(values[-1]) if len(values) else None

    def _known(self, name: str, position: int | None = None) -> tuple[Floats, Floats]:
        """Times since the start of the Window, ns, and values, of the readings that have the counter."""
        pairs = [(reading.t_ns - self._start, _value(reading, name, position)) for reading in self._readings]
        times, values = np.array([pair for pair in pairs if pair[1] is not None], np.float64).reshape(-1, 2).T
        return times, values


def _value(reading: EngineCounters, name: str, position: int | None) -> float | None:
    if position is None:
        single: float | None = getattr(reading, name)
        return single
    several: tuple[float, ...] = getattr(reading, name) or ()
    return several[position] if position < len(several) else None

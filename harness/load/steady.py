"""Find the Window: the part of a point in which the server was steady, and when there is enough of it.

A Window is a function of the raw samples alone: while the load runs the same rule is asked of what has ended so far,
and afterwards `find` cuts the Window out of everything that was kept. Knows nothing of files, engines or metrics.

The rule:
- MSER-5 on output tok/s gives the end of the start-up transient. Bins are a tenth of a request long, or a hundredth
  of the shortest window where that is longer, so that even the shortest point has a hundred of them.
- T0 = that cut + one request time, and every slot has finished one full-length request; in open loop, any has.
- T1 = T0 + as many whole request times as fit before the load ended: what a request does early and late in its life
  is then counted in its proportion. Blocks are equal and whole request times long, 30 at most.
- It is steady where the start-up transient ended in the first half and the blocks follow no slow swing.
- The load goes on until it is steady, T1 - T0 is the longer of 10 request times and `min_s` and, where a precision is
  asked for, the 95 % half-widths of output tok/s and interactivity are within it. That is tested at most 10 times, at
  lengths in geometric progression up to `max_s`: testing at every block would find precision by luck.
- In open loop requests come at random, so a block holds three mean gaps too: under 5 % of the blocks of a Poisson
  process are then empty. "Request times" above are that long there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.load.horizon import ScheduleHorizon, UsersHorizon
from harness.load.swing import swings
from harness.load.tally import Tally
from harness.records import Int64, NoWindow, RequestSample, SampleBatches, Window, columns
from harness.spec import WindowSpec
from harness.stats import Floats, mean_interval, mser5
from harness.units import NS_PER_S

FEWEST_BLOCKS = 10
MOST_BLOCKS = 30
LOOKS = 10
GAPS_A_BLOCK = 3
_SLACK = 0.5  # request times: what ends between the decision and the end of the load may lengthen the median request
_LOOK_EVERY_S = 0.5


def find_window(
    batches: SampleBatches,
    *,
    concurrency: int | None,
    rate: float | None = None,
    spec: WindowSpec,
    target_pct: float | None = None,
) -> Window | NoWindow:
    """The Window of a point that has been measured.

    Args:
        batches: its raw samples.
        concurrency: users that were held; None in open loop.
        rate: requests a second that were due; None in closed loop.
        spec: shortest and longest length.
        target_pct: precision that was asked for, per cent; None for none.
    """
    tally = _tally(concurrency)
    for batch in batches():
        tally.add(batch)
    return _window(tally, _Rule(spec, target_pct, rate))


class StopRule:
    """Says when a point has been measured long enough; asked while the load runs, so it looks seldom and little.

    Args:
        concurrency: users that are held; None in open loop.
        spec: shortest and longest length.
        target_pct: precision asked for, per cent; None stops at the shortest length.
        rate: requests a second that are due; None in closed loop.
    """

    def __init__(
        self, concurrency: int | None, spec: WindowSpec, target_pct: float | None = None, *, rate: float | None = None
    ) -> None:
        self._rule = _Rule(spec, target_pct, rate)
        self._tally = _tally(concurrency)
        self._seen = 0
        self._looks = 0
        self._next_ns = 0
        self._first_ns: int | None = None
        self._expected_s = spec.min_s

    @property
    def expected_s(self) -> float:
        """About how long the point will take from its first request on, as known so far."""
        return self._expected_s

    def look(self, now_ns: int, finished: Sequence[RequestSample]) -> bool:
        """Whether to stop now.

        Args:
            now_ns: CLOCK_MONOTONIC.
            finished: all requests that have ended, the same growing sequence in each call.
        """
        self._first_ns = now_ns if self._first_ns is None else self._first_ns
        if now_ns < self._next_ns:
            return False
        self._next_ns = now_ns + int(_LOOK_EVERY_S * NS_PER_S)
        self._tally.add(columns(finished[self._seen :]))
        self._seen = len(finished)
        return self._capped(now_ns) or self._enough()

    def _capped(self, now_ns: int) -> bool:
        """The cap counts from the earliest T0 that there may be; where none comes, from the start, twice over."""
        assert self._first_ns is not None
        earliest_ns = self._tally.horizon.full_ns
        limit_ns = int(self._rule.spec.max_s * NS_PER_S)
        if earliest_ns is None:
            return now_ns - self._first_ns >= 2 * limit_ns
        return now_ns - earliest_ns >= limit_ns

    def _enough(self) -> bool:
        span = _span(self._tally, self._rule)
        if isinstance(span, NoWindow):
            return False
        lengths = _lengths(span, self._rule.spec)
        self._expect(span, lengths[min(self._looks, LOOKS - 1)])
        while span.settled and self._looks < LOOKS and span.held_s >= lengths[self._looks]:
            self._looks += 1
            if self._precise() or self._looks == LOOKS:
                return True
        return False

    def _precise(self) -> bool:
        window = _window(self._tally, self._rule)
        return isinstance(window, Window) and window.steady and not window.capped

    def _expect(self, span: "_Span", length_s: float) -> None:
        assert self._tally.start_ns is not None
        self._expected_s = (span.start_ns - self._tally.start_ns) / NS_PER_S + length_s


def _tally(concurrency: int | None) -> Tally:
    return Tally(ScheduleHorizon() if concurrency is None else UsersHorizon(concurrency))


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a Window must be: see `StopRule`."""

    spec: WindowSpec
    target_pct: float | None
    rate: float | None

    def unit_s(self, request_time_s: float) -> float:
        """What blocks are whole multiples of, and the shortest window ten of."""
        return request_time_s if self.rate is None else max(request_time_s, GAPS_A_BLOCK / self.rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """Where a Window may lie.

    Attributes:
        start_ns: T0.
        end_ns: the last moment at which everything is counted and the load was whole.
        request_time_s: median time of a full request.
        unit_s: the same, or a few gaps between requests in open loop where that is longer.
        cut_s: end of the start-up transient after the first send.
        settled: whether MSER-5 found a steady part.
    """

    start_ns: int
    end_ns: int
    request_time_s: float
    unit_s: float
    cut_s: float
    settled: bool

    @property
    def held_s(self) -> float:
        """Length that a Window could have."""
        return (self.end_ns - self.start_ns) / NS_PER_S


def _span(tally: Tally, rule: _Rule) -> _Span | NoWindow:
    horizon, request_time_s = tally.horizon, tally.request_time_s()
    end_ns, known_ns, full_ns = horizon.end_ns, horizon.own_end_ns, horizon.full_ns
    if end_ns is None or known_ns is None or full_ns is None or request_time_s is None or tally.start_ns is None:
        return NoWindow(reason="window_too_short", text=horizon.lacking)
    unit_s = rule.unit_s(request_time_s)
    rates, bin_s = tally.rates(max(unit_s / 10, rule.spec.min_s / 100), known_ns)
    cut = mser5(rates)
    cut_s = cut.at * bin_s
    start_ns = tally.start_ns + int((cut_s + request_time_s) * NS_PER_S)
    return _Span(
        start_ns=max(start_ns, full_ns),
        end_ns=end_ns,
        request_time_s=request_time_s,
        unit_s=unit_s,
        cut_s=cut_s,
        settled=cut.settled,
    )


def _window(tally: Tally, rule: _Rule) -> Window | NoWindow:
    span, spec = _span(tally, rule), rule.spec
    if isinstance(span, NoWindow):
        return span
    units = math.floor(span.held_s / span.unit_s)
    if units < 1:
        return NoWindow(
            reason="window_too_short",
            text=f"steady for {max(span.held_s, 0):.1f} s, under one request time ({span.unit_s:.1f} s)",
        )
    per_block = math.ceil(units / MOST_BLOCKS)
    blocks = units // per_block
    length_ns = round(per_block * span.unit_s * NS_PER_S)
    edges = span.start_ns + np.arange(blocks + 1, dtype=np.int64) * length_ns
    lengths = _lengths(span, spec)
    return Window(
        start_ns=int(edges[0]),
        end_ns=int(edges[-1]),
        blocks_ns=tuple(edges.tolist()),
        request_time_s=span.request_time_s,
        cut_s=span.cut_s,
        looks=sum(span.held_s >= length for length in lengths),
        capped=bool((edges[-1] - edges[0]) / NS_PER_S < _shortest(span, spec) or _misses(tally, edges, rule)),
        steady=bool(span.settled and not swings(tally.block_rates(edges))),
    )


def _shortest(span: _Span, spec: WindowSpec) -> float:
    return max(FEWEST_BLOCKS * span.unit_s, spec.min_s)


def _lengths(span: _Span, spec: WindowSpec) -> list[float]:
    """Lengths of the steady part at which precision is tested; the first leaves room to cut to whole blocks."""
    room_s = spec.min_s / MOST_BLOCKS + span.unit_s
    shortest = max((FEWEST_BLOCKS + _SLACK) * span.unit_s, spec.min_s + room_s)
    lengths: list[float] = np.geomspace(shortest, max(spec.max_s, shortest), LOOKS).tolist()
    return lengths


def _misses(tally: Tally, edges_ns: Int64, rule: _Rule) -> bool:
    """Whether the half-width of throughput or of interactivity is wider than asked."""
    target_pct = rule.target_pct
    if target_pct is None:
        return False
    series = (tally.block_rates(edges_ns), tally.block_interactivity(edges_ns))
    return any(_half_width_pct(values) > target_pct for values in series)


def _half_width_pct(values: Floats) -> float:
    """Half-width of the mean's 95 % interval, per cent of the mean; infinite for under two values."""
    interval = mean_interval(values)
    if interval is None or values.mean() <= 0:
        return math.inf
    return 100 * (interval.hi - interval.lo) / 2 / float(values.mean())

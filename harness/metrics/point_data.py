"""What every metric is computed from, and the few shapes that an Estimate takes, each with its interval.

Intervals come from the Window's time blocks: what differs between blocks is what a second window on the same server
would differ by. What differs between launches they can't show; a comparison adds that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from msgspec import structs

from harness import stats
from harness.metrics.counters import Counters
from harness.metrics.histogram import Histogram
from harness.metrics.reduce import Reduced
from harness.metrics.requests import quotient
from harness.power.point_power import PointPower
from harness.records import Estimate, Int64
from harness.spec import Point, Prices
from harness.stats import Floats, Interval, Ints

_PERCENTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class PointData:
    """What the metrics of one point are computed from: its samples, counted, its counters, its power.

    Attributes:
        power: what the GPUs drew; None where nothing measured it.
        edges_ns: of the window's blocks.
        prices: the GPU's newest; None where it has none.
        tier: whose price is taken.
        seed: of the resampling.
    """

    point: Point
    reduced: Reduced
    counters: Counters
    power: PointPower | None
    edges_ns: Int64
    prices: Prices | None
    tier: str
    seed: int = 0
    _resamples: dict[int, Ints] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """GPUs of the server."""
        return self.point.run.parallel.gpus

    def by_block(self, weights: Floats | None = None) -> Floats:
        """The cohort's requests, or their weights, summed in each block."""
        summed = np.bincount(self.reduced.cohort.block, weights, len(self.reduced.block_s))
        return summed.astype(np.float64)

    def resamples(self, blocks: int) -> Ints:
        """Resamples of so many blocks; the same for every metric, so that metrics stay tied to one another."""
        if blocks not in self._resamples:
            self._resamples[blocks] = stats.resampled(blocks, seed=self.seed)
        return self._resamples[blocks]

    def rate(self, counted: Floats, scale: float = 1.0) -> Estimate:
        """`scale` times a count by block, per second, with batch means' interval."""
        reduced = self.reduced
        interval = stats.mean_interval(scale * counted / reduced.block_s)
        return with_interval(scale * float(counted.sum()) / reduced.duration_s, interval)

    def ratio(self, numerator: Floats, denominator: Floats, transform: Callable[[Floats], Floats]) -> Estimate:
        """`transform` of one sum over another, both by block or both by part between readings."""
        if not denominator.sum():
            return missing("nothing_counted")
        counts = self.resamples(len(numerator)).astype(np.float64)
        value = float(transform(numerator.sum() / denominator.sum()))
        draws = transform(quotient(counts @ numerator, counts @ denominator))
        return with_interval(value, self._interval(value, draws, quotient(numerator, denominator)))

    def distribution(self, values: Floats) -> Estimate:
        """The median of the cohort's values, with percentiles; NaN marks requests that have none."""
        known = np.isfinite(values)
        if not known.any():
            return missing("no_requests" if not len(values) else "single_chunk")
        block, values = self.reduced.cohort.block[known], values[known]
        draws = stats.quantile_draws(values, block, self.resamples(len(self.reduced.block_s)), 0.5)
        value = float(np.median(values))
        interval = self._interval(value, draws, block_medians(values, block, len(self.reduced.block_s)))
        return with_percentiles(with_interval(value, interval), lambda q: float(np.quantile(values, q)))

    def gaps(self, histogram: Histogram) -> Estimate:
        """The median of gaps that were only counted."""
        median = histogram.quantile(0.5)
        if median is None:
            return missing("single_chunk" if len(self.reduced.cohort) else "no_requests")
        draws = histogram.quantile_draws(self.resamples(len(self.reduced.block_s)), 0.5)
        interval = self._interval(median, draws, histogram.block_quantiles(0.5))
        return with_percentiles(with_interval(median, interval), histogram.quantile)

    def _interval(self, value: float, draws: Floats, by_block: Floats) -> Interval | None:
        """`by_block` is the statistic in each block, NaN where it has none: what shows how alike neighbours are."""
        series = by_block[np.isfinite(by_block)]
        if len(series) < 2:
            return None
        return stats.t_interval(value, draws, len(by_block), stats.effective(series) * len(by_block) / len(series))


def block_medians(values: Floats, block: Ints, blocks: int) -> Floats:
    """Median of the values that lie in each block; NaN in a block without any."""
    medians = np.full(blocks, np.nan)
    for index in np.unique(block):
        medians[index] = np.median(values[block == index])
    return medians


def missing(reason: str) -> Estimate:
    """A number that could not be measured."""
    return Estimate(value=None, reason=reason)


def with_interval(value: float, interval: Interval | None) -> Estimate:
    """A number with its interval."""
    return Estimate(value=value) if interval is None else Estimate(value=value, lo=interval.lo, hi=interval.hi)


def with_percentiles(estimate: Estimate, quantile: Callable[[float], float | None]) -> Estimate:
    """The same with the percentiles of its distribution."""
    return structs.replace(estimate, **{name: quantile(q) for name, q in _PERCENTILES.items()})


def mapped(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    """A monotone function of an estimate's value and limits; a falling one swaps the limits."""
    if estimate.value is None:
        return estimate
    ends = [function(end) for end in (estimate.lo, estimate.hi) if end is not None and end > 0]
    interval = Interval(min(ends), max(ends)) if len(ends) == 2 else None
    return with_interval(function(estimate.value), interval)

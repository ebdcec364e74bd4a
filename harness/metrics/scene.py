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
from harness.records import Energy, Estimate
from harness.spec import Point, Prices
from harness.stats import Floats, Interval, Ints

_PERCENTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One point, counted.

    Attributes:
        prices: the GPU's newest; None where it has none.
        tier: whose price is taken.
        seed: of the resampling.
    """

    point: Point
    reduced: Reduced
    counters: Counters
    energy: Energy | None
    prices: Prices | None
    tier: str
    seed: int = 0
    _drawn: dict[int, Ints] = field(default_factory=dict)

    @property
    def gpus(self) -> int:
        """GPUs of the server."""
        return self.point.run.parallel.gpus

    def by_block(self, weights: Floats | None = None) -> Floats:
        """The cohort's requests, or their weights, summed in each block."""
        summed = np.bincount(self.reduced.cohort.block, weights, len(self.reduced.block_s))
        return summed.astype(np.float64)

    def drawn(self, blocks: int) -> Ints:
        """Resamples of so many blocks; the same for every metric, so that metrics stay tied to one another."""
        if blocks not in self._drawn:
            self._drawn[blocks] = stats.resampled(blocks, seed=self.seed)
        return self._drawn[blocks]

    def rate(self, counted: Floats, scale: float = 1.0) -> Estimate:
        """`scale` times a count by block, per second, with batch means' interval."""
        reduced = self.reduced
        interval = stats.mean_interval(scale * counted / reduced.block_s)
        return held(scale * float(counted.sum()) / reduced.duration_s, interval)

    def ratio(self, numerator: Floats, denominator: Floats, transform: Callable[[Floats], Floats]) -> Estimate:
        """`transform` of one sum over another, both by block or both by part between readings."""
        counts = self.drawn(len(numerator)).astype(np.float64)
        if not denominator.sum():
            return missing("nothing_counted")
        value = float(transform(numerator.sum() / denominator.sum()))
        below = counts @ denominator
        draws = np.divide(counts @ numerator, below, out=np.full(len(counts), np.nan), where=below > 0)
        return held(value, stats.percentile_interval(transform(draws), len(numerator)))

    def distribution(self, values: Floats) -> Estimate:
        """The median of the cohort's values, with percentiles; NaN marks requests that have none."""
        known = np.isfinite(values)
        if not known.any():
            return missing("no_requests" if not len(values) else "single_chunk")
        blocks = len(self.reduced.block_s)
        draws = stats.quantile_draws(values[known], self.reduced.cohort.block[known], self.drawn(blocks), 0.5)
        estimate = held(float(np.median(values[known])), stats.percentile_interval(draws, blocks))
        return with_percentiles(estimate, lambda q: float(np.quantile(values[known], q)))

    def gaps(self, histogram: Histogram) -> Estimate:
        """The median of gaps that were only counted."""
        median = histogram.quantile(0.5)
        if median is None:
            return missing("single_chunk" if len(self.reduced.cohort) else "no_requests")
        blocks = len(self.reduced.block_s)
        draws = histogram.quantile_draws(self.drawn(blocks), 0.5)
        return with_percentiles(held(median, stats.percentile_interval(draws, blocks)), histogram.quantile)


def missing(reason: str) -> Estimate:
    """A number that could not be measured."""
    return Estimate(value=None, reason=reason)


def held(value: float, interval: Interval | None) -> Estimate:
    """A number with its interval, which is never narrower than to hold it: few, coarse draws may all lie aside."""
    if interval is None:
        return Estimate(value=value)
    return Estimate(value=value, lo=min(interval.lo, value), hi=max(interval.hi, value))


def with_percentiles(estimate: Estimate, quantile: Callable[[float], float | None]) -> Estimate:
    """The same with the percentiles of its distribution."""
    return structs.replace(estimate, **{name: quantile(q) for name, q in _PERCENTILES.items()})


def mapped(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    """A monotone function of an estimate's value and limits; a falling one swaps the limits."""
    if estimate.value is None:
        return estimate
    ends = [function(end) for end in (estimate.lo, estimate.hi) if end is not None and end > 0]
    interval = Interval(min(ends), max(ends)) if len(ends) == 2 else None
    return held(function(estimate.value), interval)

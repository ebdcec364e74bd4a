"""Levels of one arm -> its curve: what it delivers at a given interactivity.

Two kinds. A *matched* curve goes through every level of one topology in order of concurrency c: ln interactivity and
ln throughput are Steffen splines of ln c, and the value at an interactivity is read off at the c that has it. Left out
in turn, the inner points of 278 public curves (853 points, concurrency doubling) come back within 4.6 % in the median,
against 5.1 % with linear axes and 5.6 % with ln throughput over ln interactivity. No point is selected: where
interactivity does not fall with c the offenders are averaged, and points that another one beats are listed.

A *best* curve goes through the Pareto front over topologies, ln throughput over ln interactivity.

Neither extrapolates. Knows nothing of arms.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.pairs import BEST, MeasuredLoad, View
from analysis.rows import OUTPUT, X, Y
from harness.front import beaten_by, falling, front, spline, where_falling

Float = NDArray[np.float64]

MEASURED_POWER = ("energy_j_per_tok_output", "tok_s_mw_measured")
"""What sensors make of the tokens: read off by themselves, in their logarithm, as throughput is."""

COLUMNS = (Y, OUTPUT, "input_tok_s_gpu", "ttft_s", "acceptance_length", *MEASURED_POWER)
"""What can be read at an interactivity, besides concurrency and GPUs."""

LAST_BITS = 1e-12

OUTLIER_MARGIN = 0.02
"""Beaten by more than this in both axes, a point is listed: the tie margin of a comparison."""


@dataclass(frozen=True, slots=True)
class Outlier:
    """A level that another of its own topology beats in interactivity and in throughput."""

    level: MeasuredLoad
    by: MeasuredLoad

    def __str__(self) -> str:
        worse, better = ((f"{level.required(X):.1f}", f"{level.required(Y):.0f}") for level in (self.level, self.by))
        return (
            f"{self.level.label} ({worse[0]} tok/s/user at {worse[1]} tok/s/GPU) is worse in both than "
            f"{self.by.label} ({better[0]} at {better[1]})"
        )


@dataclass(frozen=True, slots=True)
class Curve:
    """An arm's levels and the line through them. Arrays may carry leading axes: resampled curves.

    Attributes:
        levels: every usable level.
        knots: those that the line meets, interactivity falling.
        place: the splines' abscissa at the knots, ascending: ln concurrency (ln rate in open loop), or -ln
            interactivity.
        log_x: ln interactivity at the knots, never rising; shape (..., knots).
        log_y: ln of each column that all knots have; shape (..., knots).
        outliers: levels that another of the same topology beats.
    """

    levels: tuple[MeasuredLoad, ...]
    knots: tuple[MeasuredLoad, ...]
    place: Float
    log_x: Float
    log_y: Mapping[str, Float]
    outliers: tuple[Outlier, ...]

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest interactivity that the line has, tok/s/user."""
        ends = np.exp(self.log_x[..., [-1, 0]])
        return float(ends[..., 0].max()), float(ends[..., 1].min())

    def where(self, interactivity: Float) -> Float:
        """The abscissa that has this interactivity; NaN outside the span."""
        wanted = np.log(interactivity)
        for end in (self.log_x[..., :1], self.log_x[..., -1:]):  # exp and log may move an end by its last bit
            wanted = np.where(np.abs(wanted - end) < LAST_BITS, end, wanted)
        return self._inverse(self.place, self.log_x, wanted)

    def _inverse(self, place: Float, log_x: Float, wanted: Float) -> Float:
        if log_x.ndim == 1 and np.array_equal(place, -log_x):  # a front over interactivity itself
            return np.where((wanted > log_x[0]) | (wanted < log_x[-1]), np.nan, -wanted)
        return where_falling(place, log_x, wanted)

    def logs(self, place: Float) -> dict[str, Float]:
        """Natural logarithm of each column that all knots have, at an abscissa; NaN outside the span."""
        read = spline(self.place, np.stack(list(self.log_y.values())), place)
        return dict(zip(self.log_y, read, strict=True))

    def log(self, name: str, interactivity: Float) -> Float:
        """Natural logarithm of a column that all knots have, at an interactivity; NaN outside the span."""
        return spline(self.place, self.log_y[name], self.where(interactivity))

    def around(self, interactivity: float) -> tuple[int, ...]:
        """The one or two knots that an interactivity inside the span lies at or between."""
        above = int((self.log_x > np.log(interactivity)).sum())
        return tuple(knot for knot in (above - 1, above) if 0 <= knot < len(self.knots))

    def interpolation_change(self, interactivity: float, name: str = Y) -> float | None:
        """How far ln of the column moves when a knot beside the place is left out; the larger of the two.

        0 at a knot, where nothing is interpolated; None where it can't be told: an end of the line can't be left out.
        """
        wanted = np.log([interactivity])
        if np.abs(self.log_x - wanted).min() < LAST_BITS:
            return 0.0
        here = spline(self.place, self.log_y[name], self._inverse(self.place, self.log_x, wanted))[0]
        changes = []
        for knot in self.around(interactivity):
            if 0 < knot < len(self.knots) - 1:
                place, log_x, log_y = (np.delete(v, knot) for v in (self.place, self.log_x, self.log_y[name]))
                changes.append(abs(float(spline(place, log_y, self._inverse(place, log_x, wanted))[0] - here)))
        return max((change for change in changes if np.isfinite(change)), default=None)


def curve(levels: Sequence[MeasuredLoad], view: View) -> Curve:
    """The curve of one arm in one view; `levels` is not empty."""
    knots = _front(levels) if view == BEST else sorted(levels, key=lambda level: level.load)
    log_x = np.log([level.required(X) for level in knots])
    return Curve(
        levels=tuple(levels),
        knots=tuple(knots),
        place=-log_x if view == BEST else np.log([level.load.amount for level in knots]),
        log_x=falling(log_x),
        log_y=_columns(knots),
        outliers=tuple(_outliers(levels)),
    )


def overlap(one: Curve, other: Curve) -> tuple[float, float] | None:
    """The interactivities that both lines have; None when there are none."""
    (low, high), (other_low, other_high) = one.span, other.span
    lo, hi = max(low, other_low), min(high, other_high)
    return (lo, hi) if lo < hi else None


def _front(levels: Sequence[MeasuredLoad]) -> list[MeasuredLoad]:
    """The levels that no other beats, interactivity falling."""
    kept = front([level.required(X) for level in levels], [level.required(Y) for level in levels])
    return [levels[i] for i in kept[::-1]]


def _columns(knots: Sequence[MeasuredLoad]) -> dict[str, Float]:
    columns = {"concurrency": np.log([level.concurrency for level in knots])}
    for name in COLUMNS:
        values = [level.mean(name) for level in knots]
        known = [value for value in values if value is not None and value > 0]
        if len(known) == len(values):
            columns[name] = np.log(known)
    return columns


def _outliers(levels: Sequence[MeasuredLoad]) -> Iterable[Outlier]:
    by_topology: dict[object, list[MeasuredLoad]] = defaultdict(list)
    for level in levels:
        by_topology[level.topology, level.rows[0].pair_key].append(level)
    for group in by_topology.values():
        x, y = ([level.required(name) for level in group] for name in (X, Y))
        for worse, better in enumerate(beaten_by(x, y, OUTLIER_MARGIN)):
            if better >= 0:
                yield Outlier(group[worse], group[better])

"""Pareto fronts, Steffen's monotone spline, and curves made monotone. Pure numpy.

Knows nothing of benchmarks: abscissae are one ascending row of knots, ordinates may carry any leading axes (resamples),
so that a thousand resampled curves cost one call. Nothing extrapolates: outside the knots the answer is NaN.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
Index = NDArray[np.int64]

LEFT_OF_CHANGE = 1 / 3
"""A spline of second order errs a quarter as much at half the spacing, so that leaving a knot out moves it by three
times the error that it has with the knot (Richardson). Steffen's spline is of second order at worst."""

LAST_BITS = 1e-15
HALVINGS = 60
"""Enough for bisection alone to reach the last bit of a cell."""


def front(x: ArrayLike, y: ArrayLike) -> Index:
    """Indices of the points that no other point beats, ascending in x (so descending in y).

    A point is beaten when another has at least its x and at least its y. Of points that coincide the first is kept.
    """
    across, up = np.asarray(x, float), np.asarray(y, float)
    order = np.lexsort((np.arange(len(across)), -up, -across))
    best_so_far = np.concatenate([[-np.inf], np.maximum.accumulate(up[order])[:-1]])
    return np.asarray(order[up[order] > best_so_far][::-1], np.int64)


def beaten_by(x: ArrayLike, y: ArrayLike, margin: float = 0.0) -> Index:
    """For each point the index of the one with the largest y that exceeds it in both axes; -1 for none.

    Args:
        x: positive.
        y: positive.
        margin: relative excess asked for in each axis; 0.02 leaves out what noise of 2 % can do.
    """
    across, up = np.asarray(x, float), np.asarray(y, float)
    over = 1 + margin
    beats = (across[None, :] > across[:, None] * over) & (up[None, :] > up[:, None] * over)
    strongest = np.where(beats, up[None, :], -np.inf).argmax(axis=1) if len(up) else np.empty(0, np.int64)
    return np.where(beats.any(axis=1), strongest, -1).astype(np.int64)


def falling(y: ArrayLike) -> Float:
    """The non-increasing sequence nearest to y in least squares, along the last axis: runs that rise are averaged.

    Isotonic regression by its min-max formula, O(n^2) for each row but without a loop: n is a handful of knots.
    Source: Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions, 1972, section 1.2.
    """
    values = np.asarray(y, float)
    count = values.shape[-1]
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    start, stop = np.arange(count)[:, None], np.arange(count)[None, :]
    lengths = np.where(stop >= start, stop - start + 1, 1)
    means = (sums[..., None, 1:] - sums[..., :-1, None]) / lengths  # [..., start, stop]
    usable = stop >= start
    # For each knot i: the smallest over starts <= i of the largest over stops >= i of the mean in between.
    largest = np.maximum.accumulate(np.where(usable, means, -np.inf)[..., ::-1], axis=-1)[..., ::-1]
    smallest = np.minimum.accumulate(np.where(usable, largest, np.inf), axis=-2)
    return np.asarray(np.diagonal(smallest, axis1=-2, axis2=-1))


def slopes(x: Float, y: Float) -> Float:
    """Steffen's slopes at the knots, shape of y: a cubic through them is monotone wherever neighbours are.

    Two knots make a straight line. x ascends strictly, shape (knots,); y has shape (..., knots).
    Source: M. Steffen, Astronomy and Astrophysics 239 (1990) 443; the end slopes are those of d3's curveMonotoneX.
    """
    width = np.diff(x)
    secant = np.diff(y, axis=-1) / width
    if len(x) == 2:
        return np.concatenate([secant, secant], axis=-1)
    left, right = secant[..., :-1], secant[..., 1:]
    parabola = (left * width[1:] + right * width[:-1]) / (width[:-1] + width[1:])
    least = np.minimum(np.minimum(np.abs(left), np.abs(right)), np.abs(parabola) / 2)
    inner = (np.sign(left) + np.sign(right)) * least
    first = (3 * secant[..., :1] - inner[..., :1]) / 2
    last = (3 * secant[..., -1:] - inner[..., -1:]) / 2
    return np.concatenate([first, inner, last], axis=-1)


def hermite(x: Float, y: Float, slope: Float, at: Float) -> Float:
    """The piecewise cubic with these knots and slopes at `at`; NaN outside the knots.

    Args:
        x: knots, strictly ascending, shape (knots,).
        y: values at the knots, shape (..., knots).
        slope: slopes at the knots, shape of y.
        at: where to evaluate, shape (..., points), leading axes as in y or none.
    """
    cell = np.minimum(np.maximum(np.searchsorted(x, at, side="right") - 1, 0), len(x) - 2)
    value = _cubic(x, y, slope, cell).value((at - x[cell]) / (x[cell + 1] - x[cell]))
    return np.where((at < x[0]) | (at > x[-1]), np.nan, value)


def spline(x: ArrayLike, y: ArrayLike, at: ArrayLike) -> Float:
    """Steffen's spline through (x, y) at `at`; NaN outside the knots. One knot answers at its own x alone.

    Shapes as in `hermite`.
    """
    knots, values, places = np.asarray(x, float), np.asarray(y, float), np.asarray(at, float)
    if len(knots) == 1:
        return np.where(places == knots[0], values, np.nan)
    return hermite(knots, values, slopes(knots, values), places)


def where_falling(x: ArrayLike, y: ArrayLike, level: ArrayLike) -> Float:
    """The x at which Steffen's spline through falling y takes the value `level`; NaN where it never does.

    Where the spline lies flat at the level, the smallest such x.

    Args:
        x: knots, strictly ascending, shape (knots,).
        y: non-increasing along the last axis, shape (..., knots).
        level: shape (..., points), leading axes as in y or none.
    """
    knots, values, wanted = np.asarray(x, float), np.asarray(y, float), np.asarray(level, float)
    if len(knots) == 1:
        return np.where(wanted == values, knots[0], np.nan)
    knots_above = (values[..., None, :] > wanted[..., :, None]).sum(axis=-1)
    cell = np.minimum(np.maximum(knots_above - 1, 0), len(knots) - 2)
    u = _root(_cubic(knots, values, slopes(knots, values), cell), wanted)
    reached = (wanted <= values[..., :1]) & (wanted >= values[..., -1:])
    return np.where(reached, knots[cell] + u * (knots[cell + 1] - knots[cell]), np.nan)


class _Cubic(NamedTuple):
    """y0 + u (linear + u (square + u cube)) in each of many cells, u from 0 to 1."""

    y0: Float
    y1: Float
    linear: Float
    square: Float
    cube: Float

    def value(self, u: Float) -> Float:
        inside = self.y0 + u * (self.linear + u * (self.square + u * self.cube))
        return np.where(u == 1, self.y1, inside)  # both knots are met to the last bit

    def slope(self, u: Float) -> Float:
        return self.linear + u * (2 * self.square + u * 3 * self.cube)


def _cubic(x: Float, y: Float, slope: Float, cell: Index) -> _Cubic:
    """The Hermite cubic of each cell asked for; shapes of `cell`, with the leading axes of y."""
    width = x[cell + 1] - x[cell]
    y0, y1, m0, m1 = (_taken(values, at) for values, at in ((y, cell), (y, cell + 1), (slope, cell), (slope, cell + 1)))
    m0, m1 = m0 * width, m1 * width
    rise = y1 - y0
    return _Cubic(y0, y1, m0, 3 * rise - 2 * m0 - m1, m0 + m1 - 2 * rise)


def _taken(values: Float, at: Index) -> Float:
    """values[..., at], row by row."""
    if values.ndim == 1:
        return values[at]
    lead = np.broadcast_shapes(values.shape[:-1], at.shape[:-1])
    rows = np.broadcast_to(values, (*lead, values.shape[-1]))
    return np.take_along_axis(rows, np.broadcast_to(at, (*lead, at.shape[-1])), -1)


def _root(falls: _Cubic, level: Float) -> Float:
    """The u at which each falling cubic takes its level: Newton's steps, halving where one leaves the bracket."""
    low, high = np.zeros(falls.y0.shape), np.ones(falls.y0.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        secant = (falls.y0 - level) / (falls.y0 - falls.y1)
        u = np.fmin(np.fmax(secant, 0.0), 1.0)  # a flat cell has none: its lower end
        for _ in range(HALVINGS):
            excess = falls.value(u) - level
            low, high = np.where(excess > 0, u, low), np.where(excess > 0, high, u)
            newton = u - excess / falls.slope(u)
            step = np.where((newton > low) & (newton < high), newton, (low + high) / 2)
            moved = np.where(excess == 0, u, step)
            if (np.abs(moved - u) < LAST_BITS).all():
                return moved
            u = moved
    return u

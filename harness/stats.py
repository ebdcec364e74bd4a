"""The statistics behind every interval and every cut, each with its source. Pure numpy, seeded, no state.

Which interval where, all of 95 %:
- The mean of a series of time blocks: `mean_interval`, batch means with Student's t (Law, Simulation Modeling and
  Analysis, 5th ed., section 9.5.3; Schmeiser 1982: 10 to 30 batches).
- Medians and ratios of sums over time blocks: blocks `resampled`, then `t_interval`: Student's t times the bootstrap's
  standard error. Plain percentiles of 10 blocks cover 90 %, not 95 % (Hesterberg, What Teachers Should Know About the
  Bootstrap, The American Statistician 69:4, 2015); BCa's acceleration is badly estimated from so few.
- Both widen where neighbouring blocks are alike, by `effective`: noise that outlasts a block would else pass for
  precision.
- Anything over launches: launches `resampled` whole, blocks never again inside them. A launch's number carries what its
  blocks scatter; drawing them too counts that twice, and 100 % are covered where 95 % is promised (Davison & Hinkley,
  Bootstrap Methods and their Application, section 3.8: of hierarchical data groups are drawn with replacement, and
  what is in a group is not). For a mean this is Student's interval of the launches, however few.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 2000
_UPPER = 0.975
_RANKS = 4096
_CELLS_AT_ONCE = 2_000_000


class Interval(NamedTuple):
    """Lower and upper limit."""

    lo: float
    hi: float


class Cut(NamedTuple):
    """Where a series' start-up transient ends.

    Attributes:
        at: observations to drop, a multiple of the batch; never beyond the first half.
        settled: False when the series still moves in its last half, so that no part of it is steady.
    """

    at: int
    settled: bool


def mser5(series: Sequence[float] | Floats, batch: int = 5, tolerance: float = 0.01) -> Cut:
    """How much of a series to drop so that the mean of the rest is known best.

    The series is averaged in batches of 5; the cut minimises the squared standard error of the mean of what is left
    (White 1997, An Effective Truncation Heuristic for Bias Reduction in Simulation Output, Simulation 69:6; batches of
    5: White, Cobb & Spratt 2000; Franklin & White 2008, Stationarity Tests and MSER-5, WSC). The last five batches
    are no candidates: too few values remain to judge by (Hoad, Robinson & Davies 2010).

    A minimum in the last half says that the series is not settled, but pure noise puts it there in one of ten short
    series. So the level must also move across that cut: by more than `tolerance` of the mean, and by more than 3.5
    standard errors, with the noise taken from successive differences (von Neumann 1941), which a trend leaves alone.
    """
    full = len(series) // batch
    if full < 2:
        return Cut(0, settled=True)
    means = np.asarray(series, np.float64)[: full * batch].reshape(full, batch).mean(axis=1)
    statistic = _mser(means)
    anywhere = int(np.argmin(statistic[: max(1, full - 4)]))
    early = int(np.argmin(statistic[: full // 2 + 1]))
    settled = anywhere <= full // 2 or not _moves(means, early, anywhere, tolerance)
    return Cut(early * batch, settled)


def _mser(means: Floats) -> Floats:
    """Squared standard error of the mean of means[d:], for each d."""
    left = np.arange(len(means), 0, -1)
    centred = means - means.mean()  # keeps the difference of large squares below exact
    total = np.cumsum(centred[::-1])[::-1]
    squares = np.cumsum(centred[::-1] ** 2)[::-1]
    spread = squares - total**2 / left
    rounding = 1e-12 * squares[0] + 1e-24 * len(means) * means.mean() ** 2
    spread[spread < rounding] = 0.0
    statistic: Floats = spread / left**2
    return statistic


def _moves(means: Floats, start: int, cut: int, tolerance: float) -> bool:
    before, after = means[start:cut], means[cut:]
    shift = abs(float(before.mean() - after.mean()))
    # Of what is compared alone: the steps of a steep start-up would pass for noise.
    noise = math.sqrt(float(np.mean(np.diff(means[start:]) ** 2)) / 2 * (1 / len(before) + 1 / len(after)))
    return shift > tolerance * abs(float(means.mean())) and shift > 3.5 * noise


def t_quantile(p: float, dof: float) -> float:
    """The t below which a share `p` of Student's distribution lies; between whole degrees of freedom, by 1/dof."""
    whole = max(1, math.floor(dof))
    low, high = _t_quantile(p, whole), _t_quantile(p, whole + 1)
    return low + (high - low) * (1 / whole - 1 / max(dof, 1)) * whole * (whole + 1)


def _t_quantile(p: float, dof: int) -> float:
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_inside(middle, dof) < abs(2 * p - 1) else (low, middle)
    return math.copysign(math.sqrt(dof) * math.tan((low + high) / 2), p - 0.5)


def _t_inside(theta: float, dof: int) -> float:
    """P(|T| <= sqrt(dof) tan theta): finite sums, exact (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    cos2 = math.cos(theta) ** 2
    odd = dof % 2
    term = math.cos(theta) if odd else 1.0
    total = term if dof > 1 else 0.0
    for j in range(2 + odd, dof - 1, 2):
        term *= cos2 * (j - 1) / j
        total += term
    if odd:
        return 2 / math.pi * (theta + math.sin(theta) * total)
    return math.sin(theta) * total


def effective(values: Sequence[float] | Floats) -> float:
    """How many independent values a series is worth: n (1 - r) / (1 + r), with r its correlation from one to the next.

    Exact for a first-order autoregressive series (Bartlett 1946; Wilks, Statistical Methods in the Atmospheric
    Sciences, section 5.2.4). A short series shows less correlation than it has, by (1 + 4 r) / n on average (Kendall
    1954, Marriott & Pope 1954, Biometrika 41:390-404; in this form Shaman & Stine 1988, JASA 83:842), which is undone
    here; four values tell too little for that. Taken to be no more than n, since 10 blocks can't prove a negative r,
    and no less than 3.
    """
    series = np.asarray(values, np.float64)
    n = len(series)
    centred = series - series.mean()
    squares = float(centred @ centred)
    r = float(centred[1:] @ centred[:-1]) / squares if squares else 0.0
    if squares and n > 4:
        r = (r + 1 / n) / (1 - 4 / n)
    r = max(r, 0.0)
    return max(min(3.0, n), n * (1 - r) / (1 + r))


def mean_interval(values: Sequence[float] | Floats) -> Interval | None:
    """Interval of the mean of a series, such as the means of equal time blocks; None for under two values.

    Values that are alike lie closer together than independent ones would, so the standard error is sd / sqrt(worth - 1)
    with the sum of squares over n: Student's where they are independent (Bayley & Hammersley 1946, Supplement to the
    Journal of the Royal Statistical Society 8:184; Law, section 4.4).
    """
    series = np.asarray(values, np.float64)
    if len(series) < 2:
        return None
    worth = effective(series)
    centre = float(series.mean())
    half = t_quantile(_UPPER, worth - 1) * float(series.std()) / math.sqrt(worth - 1)
    return Interval(centre - half, centre + half)


def resampled(blocks: int, draws: int = DRAWS, seed: int = 0) -> Ints:
    """How often each block is drawn when as many blocks as there are get drawn with replacement.

    Returns:
        Shape (draws, blocks); every row sums to `blocks`.
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=draws)


def t_interval(value: float, draws: Floats, blocks: int, worth: float) -> Interval | None:
    """`value` plus and minus t times the bootstrap's standard error.

    A bootstrap over n blocks is short by sqrt((n - 1) / n) (Hesterberg 2015, "narrowness bias") and knows nothing of
    their order. For a mean this is `mean_interval` exactly, and Student's where blocks are independent.

    Args:
        value: of the statistic.
        draws: the statistic for each resample; those that are not finite are left out.
        blocks: that were resampled.
        worth: independent blocks that these are worth, see `effective`.

    Returns:
        None for under two blocks, or when no draw is finite.
    """
    finite = draws[np.isfinite(draws)]
    if blocks < 2 or not len(finite):
        return None
    error = float(finite.std()) * math.sqrt(blocks / (worth - 1))
    half = t_quantile(_UPPER, worth - 1) * error
    return Interval(value - half, value + half)


def quantile_draws(values: Floats, block: Ints, counts: Ints, q: float) -> Floats:
    """A quantile of pooled values for each resample of their blocks.

    Between the two middle ranks the mean is taken, as for a median. Beyond 4096 values ranks are grouped: the error
    is under 1/4096 of the sample's ranks.

    Args:
        values: shape (values,).
        block: the block that each value lies in.
        counts: from `resampled`.
        q: 0 to 1.

    Returns:
        Shape (draws,); NaN where a resample holds no value.
    """
    order = np.argsort(values, kind="stable")
    cells = np.array_split(order, min(len(order), _RANKS)) if len(order) else []
    table = np.zeros((counts.shape[1], len(cells)))
    cell_of = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells]).astype(np.int64)
    np.add.at(table, (block[order], cell_of), 1.0)
    centres = np.array([values[cell].mean() for cell in cells])
    return weighted_quantile_draws(centres, table, counts, q)


def weighted_quantile_draws(centres: Floats, table: Floats, counts: Ints, q: float) -> Floats:
    """`quantile_draws` of a histogram.

    Args:
        centres: ascending value of each cell.
        table: weight of each cell in each block, shape (blocks, cells).
        counts: from `resampled`.
        q: 0 to 1.
    """
    result = np.full(len(counts), np.nan)
    if not len(centres):
        return result
    for part in np.array_split(np.arange(len(counts)), max(1, len(counts) * len(centres) // _CELLS_AT_ONCE)):
        result[part] = _at_rank(np.cumsum(counts[part].astype(np.float64) @ table, axis=1), centres, q)
    return result


def weighted_quantile(centres: Floats, weights: Floats, q: float) -> float | None:
    """The quantile of a histogram; None when it is empty."""
    if not weights.sum():
        return None
    return float(_at_rank(np.cumsum(weights)[None, :], centres, q)[0])


def _at_rank(cumulative: Floats, centres: Floats, q: float) -> Floats:
    """Mean of the values just below and just above the rank (Hyndman & Fan's definition 2); a row is a sample."""
    total = cumulative[:, -1:]
    # A hair of tolerance: 0.9 * 10 is 9.000000000000002 in binary.
    low = (cumulative < total * (q * (1 - 1e-12))).sum(axis=1)
    high = (cumulative <= total * (q * (1 + 1e-12))).sum(axis=1)
    last = len(centres) - 1
    values: Floats = (centres[np.minimum(low, last)] + centres[np.minimum(high, last)]) / 2
    return np.where(total[:, 0] > 0, values, np.nan)

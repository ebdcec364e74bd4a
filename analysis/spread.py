"""How far an arm's numbers would have moved had it been measured again: launches resampled, or one launch's blocks.

Every series of a launch or block is drawn together, so that what ties interactivity to throughput stays tied, and one
launch is drawn for all concurrencies at once, because one server measured them. The knots of a curve stay where they
are. Knows one arm at a time; two arms meet in `ratio`.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.curve import MEASURED_POWER, Curve
from analysis.launch_spread import SERIES, LaunchSpread
from analysis.pairs import MeasuredLoad
from analysis.rows import OUTPUT, Y
from harness import stats
from harness.front import falling
from harness.stats import DRAWS, effective, t_quantile

Float = NDArray[np.float64]

RESAMPLED_SERIES = (*SERIES, *MEASURED_POWER)
"""What is drawn jointly. Power has no blocks: an only launch does not tell how far it moves."""


@dataclass(frozen=True, slots=True)
class Error:
    """Standard error of a logarithm, and what it rests on.

    Attributes:
        log: of ln value; about the relative error.
        units: launches, or the independent blocks that those of the one launch are worth.
    """

    log: float
    units: float

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval, relative."""
        return math.expm1(t_quantile(0.975, self.units - 1) * self.log)


class Resampled(NamedTuple):
    """What was drawn with replacement.

    Attributes:
        pool: launches, or blocks of the only launch.
        worth: as many independent ones; neighbouring blocks that are alike are worth fewer.
    """

    pool: int
    worth: float


@dataclass(frozen=True, slots=True)
class Spread:
    """A curve and its resampled twins.

    Attributes:
        resampled_curves: the curve with a leading axis of draws; None where nothing tells how far it moves.
        resampled: at the knot with the fewest.
    """

    curve: Curve
    resampled_curves: Curve | None
    resampled: Resampled

    def errors(self, interactivity: Float) -> dict[str, list[Error | None]]:
        """Error of throughput and of measured power at each interactivity; None where nothing tells."""
        names = (Y, OUTPUT, *MEASURED_POWER)
        unknown: dict[str, list[Error | None]] = {name: [None] * len(interactivity) for name in names}
        if self.resampled_curves is None:
            return unknown
        read = self.resampled_curves.logs(self.resampled_curves.where(interactivity))
        return unknown | {name: _errors(read[name], self.resampled) for name in names if name in read}


def spread(curve: Curve, recorded: LaunchSpread | None = None, draws: int = DRAWS) -> Spread:
    """The curve with its resampled twins; the same seed for every curve, so that the same rows give the same answer.

    Args:
        curve: as measured.
        recorded: how far launches of the system differ, for levels that have one.
        draws: how many twins.
    """
    fewest = min((rests_on(level, recorded) for level in curve.knots), key=lambda found: found.worth)
    if fewest.pool < 2:
        return Spread(curve, None, fewest)
    logs = np.stack([level_draws(level, recorded, draws) for level in curve.knots], axis=-2)  # [draw, knot, series]
    columns = {name: logs[..., i] for i, name in enumerate(RESAMPLED_SERIES) if name in curve.log_y}
    return Spread(curve, replace(curve, log_x=falling(logs[..., 0]), log_y=columns), fewest)


def level_errors(
    level: MeasuredLoad, recorded: LaunchSpread | None = None, draws: int = DRAWS
) -> dict[str, Error | None]:
    """Error of each series at one level itself, where no curve is needed."""
    found = rests_on(level, recorded)
    if found.pool < 2:
        return dict.fromkeys(RESAMPLED_SERIES)
    return dict(zip(RESAMPLED_SERIES, _errors(level_draws(level, recorded, draws), found), strict=True))


def rests_on(level: MeasuredLoad, recorded: LaunchSpread | None = None) -> Resampled:
    """What an interval at one level rests on."""
    values = _units(level)
    pool = values.shape[1]
    if len(level.rows) > 1 or pool < 2:
        return Resampled(pool, pool)
    worth = min(effective(series) for series in values if np.isfinite(series).all())
    return Resampled(pool, worth if recorded is None else min(worth, recorded.freedom + 1))


@lru_cache(maxsize=512)
def level_draws(level: MeasuredLoad, recorded: LaunchSpread | None = None, draws: int = DRAWS) -> Float:
    """Resampled ln of every series at one level, shape (draws, series); NaN for a series that the level lacks.

    They scatter as the level's own would, had it been measured again. Launches are drawn by the same draws at every
    level; an only launch is moved as recorded ones lie, by the same one at every level. Kept, because Off's levels
    answer for every MTP arm.
    """
    values = _units(level)
    seed = level.load.seed if len(level.rows) == 1 else 0
    counts = stats.resampled(values.shape[1], draws, seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = np.log(values.mean(axis=1))
    logs: Float = centre + counts @ _relative(values, by_blocks=len(level.rows) == 1).T / values.shape[1]
    if recorded is not None and len(level.rows) == 1:
        moved = recorded.deviations[np.random.default_rng(0).integers(0, len(recorded.deviations), draws)]
        logs = logs + np.pad(moved, ((0, 0), (0, len(MEASURED_POWER))))
    logs.setflags(write=False)
    return logs


def _units(level: MeasuredLoad) -> Float:
    """What is drawn, shape (series, units): launches, or an only launch's blocks about the level's own number."""
    whole = np.array([[row.number_or_nan(name) for row in level.rows] for name in RESAMPLED_SERIES])
    series = [level.rows[0].series(name) for name in SERIES]
    lengths = {len(values) for values in series}
    if len(level.rows) > 1 or len(lengths) > 1 or lengths <= {0, 1}:
        return whole
    blocks = np.array(series)
    moved = blocks - blocks.mean(axis=1, keepdims=True) + whole[: len(SERIES)]
    return np.vstack([moved, np.full((len(MEASURED_POWER), blocks.shape[1]), math.nan)])


def _relative(values: Float, *, by_blocks: bool) -> Float:
    """Deviations relative to the mean: what its logarithm moves by, finite however far launches are apart.

    So wide that the mean of as many drawn at random has the standard error of their mean: a bootstrap of few units is
    narrow, and it takes blocks for independent (see `stats.t_interval`).
    """
    worth = np.array([effective(series) if by_blocks else len(series) for series in values])
    deviations: Float = values / values.mean(axis=1, keepdims=True) - 1
    widening = np.sqrt(values.shape[1] / (worth - 1))
    wide: Float = deviations * widening[:, None]
    return wide


def _errors(logs: Float, found: Resampled) -> list[Error | None]:
    """Standard error of each column of draws."""
    known = np.isfinite(logs)
    enough = known.mean(axis=0) > 0.5
    deviation = np.array([column[ok].std() if ok.any() else np.nan for column, ok in zip(logs.T, known.T, strict=True)])
    return [
        Error(float(d), found.worth) if ok and np.isfinite(d) else None for d, ok in zip(deviation, enough, strict=True)
    ]

"""How far an arm's numbers would have moved had it been measured again: launches resampled, then time blocks.

Every series of a block is drawn together, so that what ties interactivity to throughput stays tied, and one launch is
drawn for all concurrencies at once, because one server measured them. The knots of a curve stay where they are. Knows
one arm at a time; two arms meet in `contrast`.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.curve import Curve
from analysis.pairs import Level
from analysis.recorded import SERIES, LaunchSpread
from analysis.rows import OUTPUT, Row, Y
from harness.front import falling
from harness.stats import DRAWS, effective, launch_picks, t_quantile, two_level_means

Float = NDArray[np.float64]


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
        drawn: the curve with a leading axis of draws; None where nothing tells how far it moves.
        resampled: at the knot with the fewest.
    """

    curve: Curve
    drawn: Curve | None
    resampled: Resampled

    def errors(self, interactivity: Float) -> dict[str, list[Error | None]]:
        """Error of total and output throughput at each interactivity; None where nothing tells."""
        unknown: dict[str, list[Error | None]] = {name: [None] * len(interactivity) for name in (Y, OUTPUT)}
        if self.drawn is None:
            return unknown
        read = self.drawn.logs(self.drawn.where(interactivity))
        return unknown | {name: _errors(read[name], self.resampled) for name in (Y, OUTPUT) if name in read}


def spread(curve: Curve, recorded: LaunchSpread | None = None, draws: int = DRAWS) -> Spread:
    """The curve with its resampled twins; the same seed for every curve, so that the same rows give the same answer.

    Args:
        curve: as measured.
        recorded: how far launches of the system differ, for levels that have one.
        draws: how many twins.
    """
    fewest = min((resampled(level, recorded) for level in curve.knots), key=lambda found: found.worth)
    if fewest.pool < 2:
        return Spread(curve, None, fewest)
    logs = np.stack([level_draws(level, recorded, draws) for level in curve.knots], axis=-2)  # [draw, knot, series]
    columns = {name: logs[..., i] for i, name in enumerate(SERIES) if name in curve.log_y}
    return Spread(curve, replace(curve, log_x=falling(logs[..., 0]), log_y=columns), fewest)


def level_errors(level: Level, recorded: LaunchSpread | None = None, draws: int = DRAWS) -> dict[str, Error | None]:
    """Error of each series at one level itself, where no curve is needed."""
    found = resampled(level, recorded)
    if found.pool < 2:
        return dict.fromkeys(SERIES)
    return dict(zip(SERIES, _errors(level_draws(level, recorded, draws), found), strict=True))


def resampled(level: Level, recorded: LaunchSpread | None = None) -> Resampled:
    """What an interval at one level rests on."""
    if len(level.rows) > 1:
        return Resampled(len(level.rows), len(level.rows))
    blocks = _blocks(level.rows[0])
    pool = blocks.shape[1]
    if pool < 2:
        return Resampled(pool, pool)
    worth = min(effective(series) for series in blocks if np.isfinite(series).all())
    return Resampled(pool, worth if recorded is None else min(worth, recorded.freedom + 1))


@lru_cache(maxsize=512)
def level_draws(level: Level, recorded: LaunchSpread | None = None, draws: int = DRAWS) -> Float:
    """Resampled ln of every series at one level, shape (draws, series); NaN for a series that the level lacks.

    An only launch is moved as recorded launches lie, by the same one at every level. Kept, because Off's levels answer
    for every MTP arm.
    """
    picks = launch_picks(len(level.rows), draws)
    means = two_level_means([_blocks(row) for row in level.rows], picks, seed=level.concurrency)
    with np.errstate(invalid="ignore", divide="ignore"):
        logs: Float = np.log(means)
    if recorded is not None and len(level.rows) == 1:
        logs = logs + recorded.deviations[launch_picks(len(recorded.deviations), draws)[:, 0]]
    logs.setflags(write=False)
    return logs


def _blocks(row: Row) -> Float:
    """A launch's series block by block, shape (series, blocks), moved so that their mean is the row's own number.

    A row without blocks is one block. Where neighbours are alike, noise that outlasts a block would pass for precision:
    the blocks' deviations are widened to what as many independent ones would show.
    """
    whole = np.array([[math.nan if (value := row.number(name)) is None else value] for name in SERIES])
    series = [row.series(name) for name in SERIES]
    lengths = {len(values) for values in series}
    if len(lengths) > 1 or lengths <= {0, 1}:
        return whole
    blocks = np.array(series)
    widening = np.array([[math.sqrt(len(values) / effective(values))] for values in blocks])
    moved: Float = (blocks - blocks.mean(axis=1, keepdims=True)) * widening + whole
    return moved


def _errors(logs: Float, found: Resampled) -> list[Error | None]:
    """Standard error of each column of draws, corrected for the bootstrap's narrowness at few units."""
    known = np.isfinite(logs)
    enough = known.mean(axis=0) > 0.5
    deviation = np.array([column[ok].std() if ok.any() else np.nan for column, ok in zip(logs.T, known.T, strict=True)])
    correction = math.sqrt(found.pool / (found.pool - 1))
    return [
        Error(float(d) * correction, found.worth) if ok and np.isfinite(d) else None
        for d, ok in zip(deviation, enough, strict=True)
    ]

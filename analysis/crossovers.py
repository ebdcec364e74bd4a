"""Where the curves of two arms cross: the interactivity at which MTP begins or stops to pay.

Knows curves with their spread; no files and no words.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analysis.curve import Float, overlap
from analysis.ratio import half_width
from analysis.rows import Y
from analysis.spread import Spread

GRID = 97
"""Interactivities, evenly spaced in their logarithm, at which two curves are compared when crossings are sought."""


@dataclass(frozen=True, slots=True)
class Crossover:
    """An interactivity at which both arms deliver the same.

    Attributes:
        lo, hi: the stretch around it where the 95 % interval of the ratio includes 1; None on a side where that
            reaches the end of the overlap, and on both where no interval is known.
        mtp_better_above: whether MTP wins at higher interactivity (the usual case) or at lower.
    """

    at: float
    lo: float | None
    hi: float | None
    mtp_better_above: bool


def crossovers(mtp: Spread, off: Spread) -> tuple[Crossover, ...]:
    """Every crossing of the two curves inside their overlap, interactivity ascending."""
    shared = overlap(mtp.curve, off.curve)
    if shared is None:
        return ()
    x = np.geomspace(*shared, GRID).clip(*shared)
    gap = mtp.curve.log(Y, x) - off.curve.log(Y, x)
    apart = np.flatnonzero(gap)
    changes = [(int(i), int(j)) for i, j in pairwise(apart) if gap[i] * gap[j] < 0]
    if not changes:
        return ()
    half = [half_width(*errors) for errors in zip(mtp.errors(x)[Y], off.errors(x)[Y], strict=True)]
    doubt = np.array([np.nan if h is None else h for h in half])
    return tuple(_crossover(i, j, x, gap, doubt) for i, j in changes)


def _crossover(before: int, after: int, x: Float, gap: Float, doubt: Float) -> Crossover:
    """The crossing between two places of the grid with unlike signs."""
    part = gap[before] / (gap[before] - gap[after])
    surely_apart = np.abs(gap) > doubt  # False where no interval is known
    below, above = np.flatnonzero(surely_apart[: before + 1]), np.flatnonzero(surely_apart[after:])
    return Crossover(
        at=float(x[before] * (x[after] / x[before]) ** part),
        lo=float(x[below[-1]]) if len(below) else None,
        hi=float(x[after + above[0]]) if len(above) else None,
        mtp_better_above=bool(gap[after] > 0),
    )

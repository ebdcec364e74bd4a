"""What to make of two curves: where MTP stops paying, and which draft length to run.

Knows curves with their spread; no files and no words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from analysis.contrast import TIE_MARGIN, half_width
from analysis.curve import Curve, Float, overlap
from analysis.pairs import Arm, Level
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


@dataclass(frozen=True, slots=True)
class Best:
    """Which arm delivers most at one place, of those measured there.

    Attributes:
        place: a concurrency, requests a second in open loop, or an interactivity.
        tok_s_gpu: total tok/s/GPU by arm, all that were there.
        best: the first of them.
        tied: others within the tie margin of it.
    """

    place: float
    tok_s_gpu: Mapping[Arm, float]
    best: Arm
    tied: tuple[Arm, ...]


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


def best_by_concurrency(arms: Mapping[Arm, Sequence[Level]]) -> tuple[Best, ...]:
    """At each load that several arms were measured at, which delivers most."""
    told: dict[float, dict[Arm, float]] = {}
    for arm, levels in arms.items():
        for level in levels:
            value = level.mean(Y)
            if value is not None:
                told.setdefault(level.load.amount, {})[arm] = value
    return tuple(_best(amount, values) for amount, values in sorted(told.items()) if len(values) > 1)


def best_by_interactivity(arms: Mapping[Arm, Curve], at: Sequence[float]) -> tuple[Best, ...]:
    """The envelope: at each interactivity that any arm reaches, which delivers most."""
    places = np.array(at, float)
    told: list[dict[Arm, float]] = [{} for _ in at]
    for arm, curve in arms.items():
        for values, value in zip(told, np.exp(curve.log(Y, places)), strict=True):
            if np.isfinite(value):
                values[arm] = float(value)
    return tuple(_best(place, values) for place, values in zip(at, told, strict=True) if values)


def _best(place: float, values: Mapping[Arm, float]) -> Best:
    ranked = sorted(values, key=lambda arm: (-values[arm], arm))
    best = ranked[0]
    tied = tuple(arm for arm in ranked[1:] if values[arm] * (1 + TIE_MARGIN) >= values[best])
    return Best(place, {arm: values[arm] for arm in ranked}, best, tied)

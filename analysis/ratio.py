"""Two numbers of two arms -> their ratio, its interval, and what may be said of it.

Knows logarithms and standard errors, no curve and no row.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from analysis.spread import Error
from harness.front import LEFT_OF_CHANGE
from harness.stats import t_quantile

TIE_MARGIN = 0.02
"""Two arms whose ratio lies surely within this are tied."""


class Verdict(StrEnum):
    """What the data say of one ratio, MTP over Off, of a number of which more is better; the last four of several."""

    MTP_BETTER = "mtp better"
    OFF_BETTER = "off better"
    TIED = "tied"
    NOT_RESOLVED = "not resolved"
    UNKNOWN = "unknown"
    DEPENDS = "depends on the interactivity"
    MTP_BETTER_IN_PLACES = "mtp better in places"
    OFF_BETTER_IN_PLACES = "off better in places"
    UNBALANCED = "unbalanced search"


def verdict_of_several(found: Collection[Verdict]) -> Verdict:
    """One verdict for several places: the one that all have, or which arm is better anywhere.

    It depends on the place only where each arm is better somewhere: tied or not resolved elsewhere is no such thing.
    """
    told = set(found)
    if len(told) == 1:
        return told.pop()
    better = told & {Verdict.MTP_BETTER, Verdict.OFF_BETTER}
    if len(better) == 2:
        return Verdict.DEPENDS
    if not better:
        return Verdict.NOT_RESOLVED
    return Verdict.MTP_BETTER_IN_PLACES if Verdict.MTP_BETTER in better else Verdict.OFF_BETTER_IN_PLACES


@dataclass(frozen=True, slots=True)
class Ratio:
    """MTP over Off, with its 95 % interval.

    Attributes:
        lo, hi: None where nothing tells how far the numbers would move if measured again.
        interpolation: how far the ratio moves when a point beside the place is left out of a curve, relative; 0 where
            nothing was read between points, None where it can't be told.
        within_launch: whether one of the arms has a single launch, so that the interval leaves out what a restart
            changes.
    """

    value: float
    lo: float | None = None
    hi: float | None = None
    interpolation: float | None = 0.0
    within_launch: bool = False

    @property
    def half_width(self) -> float | None:
        """Half of the interval, relative to the ratio."""
        return None if self.lo is None or self.hi is None else math.sqrt(self.hi / self.lo) - 1

    def verdict(self, margin: float = TIE_MARGIN) -> Verdict:
        """What may be said: the interval, widened by what interpolation may err, decides.

        With one launch nothing stronger than `not resolved`; without an interval, `unknown`.
        """
        if self.lo is None or self.hi is None:
            return Verdict.UNKNOWN
        return Verdict.NOT_RESOLVED if self.within_launch else self.verdict_within_launch(margin)

    def verdict_within_launch(self, margin: float = TIE_MARGIN) -> Verdict:
        """The verdict if a restart changed nothing."""
        if self.lo is None or self.hi is None:
            return Verdict.UNKNOWN
        if self.interpolation is None:
            return Verdict.NOT_RESOLVED
        doubt = LEFT_OF_CHANGE * math.log1p(self.interpolation)
        low, high = math.log(self.lo) - doubt, math.log(self.hi) + doubt
        if low > 0:
            return Verdict.MTP_BETTER
        if high < 0:
            return Verdict.OFF_BETTER
        tied = max(-low, high) <= math.log1p(margin)
        return Verdict.TIED if tied else Verdict.NOT_RESOLVED


def ratio(
    log_mtp: float,
    log_off: float,
    errors: tuple[Error | None, Error | None],
    *,
    interpolation: float | None = 0.0,
    within_launch: bool = False,
) -> Ratio:
    """exp(log_mtp - log_off) with Student's interval on the logarithm.

    Args:
        log_mtp: logarithm of MTP's number.
        log_off: logarithm of Off's.
        errors: theirs, MTP's first.
        interpolation: see Ratio.
        within_launch: see Ratio.
    """
    centre = log_mtp - log_off
    half = half_width(*errors)
    lo, hi = (None, None) if half is None else (math.exp(centre - half), math.exp(centre + half))
    return Ratio(math.exp(centre), lo, hi, interpolation, within_launch)


def half_width(one: Error | None, other: Error | None) -> float | None:
    """Half of the 95 % interval of a difference of two logarithms; None when either error is not known.

    Degrees of freedom by Welch (1947, Biometrika 34:28) and Satterthwaite.
    """
    if one is None or other is None:
        return None
    variance = one.log**2 + other.log**2
    if not variance:
        return 0.0
    parts = one.log**4 / (one.units - 1) + other.log**4 / (other.units - 1)
    return t_quantile(0.975, variance**2 / parts) * math.sqrt(variance)

"""One pair -> one Comparison: its curves, its numbers, what is suspicious about it, and the verdict.

Knows one pair at a time, and no words beyond flags.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.assumptions import Assumptions
from analysis.crossovers import Crossover, crossovers
from analysis.curve import Outlier, curve, overlap
from analysis.diff import Diff
from analysis.drafts_used import DraftFinding, Drafts, were_drafts_used
from analysis.flags import Flag, of_curves, of_pair, of_places, stamps_of, within_launch
from analysis.launch_spread import LaunchSpread
from analysis.pairs import MATCHED, Pair
from analysis.power import PowerAtLoad, of_power, power_at_loads
from analysis.ratio import TIE_MARGIN, Ratio, Verdict, verdict_of_several
from analysis.spread import Spread, spread
from analysis.targets import SameConcurrency, Target, default_targets, same_concurrency, targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One MTP arm beside Off in one view.

    Attributes:
        overlap: interactivities that both curves have, tok/s/user; None when there are none.
        targets: at matched interactivity, ascending; empty without an overlap unless places were asked for.
        same_concurrency: as measured; empty in the best-of-topologies view, where concurrencies are of other servers.
        power: what was drawn at each concurrency; empty where nothing measured it, and where `same_concurrency` is.
        stamps: what every number of it must carry.
        margin: within which arms are tied, relative.
        recorded: how far launches of the system differ, where an arm has one and that was recorded earlier.
    """

    pair: Pair
    diff: Diff
    assumptions: Assumptions
    mtp: Spread
    off: Spread
    overlap: tuple[float, float] | None
    targets: tuple[Target, ...]
    same_concurrency: tuple[SameConcurrency, ...]
    power: tuple[PowerAtLoad, ...]
    crossovers: tuple[Crossover, ...]
    draft_finding: DraftFinding
    stamps: tuple[str, ...]
    flags: tuple[Flag, ...]
    margin: float = TIE_MARGIN
    recorded: LaunchSpread | None = None

    @property
    def outliers(self) -> tuple[Outlier, ...]:
        """Points that another of their own arm and topology beats in both axes, Off first."""
        return (*self.off.curve.outliers, *self.mtp.curve.outliers)

    @property
    def small_overlap(self) -> bool:
        """Whether the curves share too little to speak for the pair."""
        return any(flag.code in ("no-overlap", "small-overlap") for flag in self.flags)

    @property
    def within_launch(self) -> bool:
        """Whether intervals leave out what a restart changes."""
        return within_launch(self.pair) and self.recorded is None

    def verdict_at(self, target: Target) -> Verdict | None:
        """What may be said at one interactivity; None for a demo."""
        return self.verdict_of(target.ratio)

    def verdict_at_load(self, level: SameConcurrency) -> Verdict | None:
        """What may be said at one load: of throughput; at a rate, which is the throughput of both arms, of speed."""
        return self.verdict_of(level.speedup if level.load.arrivals else level.ratio)

    def verdict_of(self, ratio: Ratio | None) -> Verdict | None:
        """What may be said of one ratio of the pair; None for a demo."""
        if "demo" in self.stamps:
            return None
        return self.barred or (Verdict.UNKNOWN if ratio is None else ratio.verdict(self.margin))

    @property
    def barred(self) -> Verdict | None:
        """What stands in place of every verdict, of the pair and of a single place; None where the numbers decide.

        Nothing is put down to MTP where the arms searched different topologies, where drafts were probably not used, or
        where experts were routed by forced acceptance.
        """
        if not self.pair.balanced:
            return Verdict.UNBALANCED
        routed = any(flag.code == "routing-not-representative" for flag in self.flags)
        return Verdict.UNKNOWN if routed or self.draft_finding.drafts == Drafts.PROBABLY_NOT_USED else None

    @property
    def verdict(self) -> Verdict | None:
        """What may be said of the pair; None for a demo.

        One word where all targets have it; otherwise which arm is better anywhere.
        """
        if "demo" in self.stamps:
            return None
        if self.barred:
            return self.barred
        found = [target.ratio.verdict(self.margin) for target in self.targets if target.ratio is not None]
        return verdict_of_several(found) if found else Verdict.UNKNOWN


def compare(
    pair: Pair,
    diff: Diff,
    assumptions: Assumptions,
    *,
    at: Sequence[float] | None = None,
    margin: float = TIE_MARGIN,
    recorded: LaunchSpread | None = None,
) -> Comparison:
    """The comparison of a pair that may be compared.

    Args:
        pair: the two arms.
        diff: what they differ in; a forced comparison carries what must have been equal.
        assumptions: of the pair's GPU.
        at: interactivities, tok/s/user; None for a quarter, half and three quarters of the overlap.
        margin: of a tie, relative.
        recorded: how far launches of the system differ, for an arm with one.
    """
    recorded = recorded if within_launch(pair) else None
    mtp, off = (spread(curve(side.levels, pair.view), recorded) for side in (pair.mtp, pair.off))
    shared = overlap(mtp.curve, off.curve)
    places = sorted(at) if at is not None else default_targets(shared) if shared else ()
    within = within_launch(pair) and recorded is None
    found = targets(mtp, off, places, assumptions, within_launch=within) if places else ()
    matched = (
        same_concurrency(pair, assumptions, within_launch=within, recorded=recorded) if pair.view == MATCHED else ()
    )
    power = power_at_loads(pair, assumptions) if pair.view == MATCHED else ()
    signs = were_drafts_used(pair)
    return Comparison(
        pair=pair,
        diff=diff,
        assumptions=assumptions,
        mtp=mtp,
        off=off,
        overlap=shared,
        targets=found,
        same_concurrency=matched,
        power=power,
        crossovers=crossovers(mtp, off),
        draft_finding=signs,
        stamps=stamps_of(pair),
        flags=(
            *of_pair(pair, diff, signs, recorded),
            *of_curves(mtp.curve, off.curve),
            *of_places(found, matched),
            *of_power(power),
        ),
        margin=margin,
        recorded=recorded,
    )

"""Was MTP really on? What counters say, and for public rows without counters two checks that need none.

1. The arms coincide: at every concurrency that both measured within days of each other, interactivity and throughput
   agree within noise. No working MTP does that.
2. Tokens come one by one: the median gap between chunks over the median time per token is about 1 without drafts and
   1.5 to 2.6 with them, at low concurrency and where the engine streams every step. Engines that stream several steps
   at once show 4 to 300 with or without drafts, so the Off arm's own ratio says whether the check can tell.

The thresholds come of public rows of https://github.com/SemiAnalysisAI/InferenceX at concurrency 16 and below: where
every step is streamed, 113 with drafts give 1.5 to 2.6 and 1027 without give 0.4 to 1.01.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from analysis.pairs import DAYS_COMPARABLE, MeasuredLoad, Pair, Side, days_apart
from analysis.rows import X, Y

NOISE = 0.02
"""Two runs of one configuration on two days differ by 0.9 % in throughput and 0.4 % in interactivity (MI325X)."""

SHARED_AT_LEAST = 3
LOW_CONCURRENCY = 16
ONE_BY_ONE = 1.1
SPLIT = 0.5
"""Below this several chunks come of one step."""
STREAMED_TOGETHER = 4.0
"""Above this, and in an Off arm above `STEPWISE`, several steps come in one chunk."""
STEPWISE = 1.5


class Drafts(StrEnum):
    """Whether the MTP arm drafted."""

    USED = "used"
    PROBABLY_NOT_USED = "probably not used"
    CANT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class DraftFinding:
    """A finding and what it rests on.

    Attributes:
        because: one clause for each check that had something to say.
    """

    drafts: Drafts
    because: tuple[str, ...]

    def __str__(self) -> str:
        return f"drafts {self.drafts}: {'; '.join(self.because)}"


def were_drafts_used(pair: Pair) -> DraftFinding:
    """The findings of one pair; counters outweigh the checks that do without."""
    lengths = [level.mean("acceptance_length") for level in pair.mtp.levels]
    known = [length for length in lengths if length is not None]
    if known:
        return DraftFinding(Drafts.USED, (f"acceptance length {_range(known)} by the engine's counters",))
    suspicions = [*_coincide(pair), *_one_by_one(pair)]
    if suspicions:
        return DraftFinding(Drafts.PROBABLY_NOT_USED, tuple(suspicions))
    in_use, because = _several_at_once(pair)
    return DraftFinding(Drafts.USED if in_use else Drafts.CANT_TELL, (because,))


class Positions(NamedTuple):
    """How often the draft at each position was accepted at one level, per verification step; None where not counted."""

    level: MeasuredLoad
    accepted: tuple[float | None, ...]


def positions(side: Side) -> tuple[Positions, ...]:
    """Acceptance by position at every level that counts it, in order of the levels."""
    names = [f"acceptance_position_{index}" for index in range(max(side.arm.draft_tokens, 0))]
    found = [Positions(level, tuple(level.mean(name) for name in names)) for level in side.levels]
    return tuple(each for each in found if any(share is not None for share in each.accepted))


def _coincide(pair: Pair) -> Iterable[str]:
    shared = [(off, mtp) for off in pair.off.levels for mtp in pair.mtp.levels if _same_place(off, mtp)]
    gap = days_apart((pair.off.days or ("",))[-1], (pair.mtp.days or ("",))[-1])
    if len(shared) < SHARED_AT_LEAST or gap is None or gap > DAYS_COMPARABLE:
        return
    furthest = {name: max(_apart(off, mtp, name) for off, mtp in shared) for name in (X, Y)}
    if max(furthest.values()) <= NOISE:
        yield (
            f"the arms coincide at all {len(shared)} concurrencies that both measured, {_days(gap)} "
            f"(interactivity within {100 * furthest[X]:.1f} %, throughput within {100 * furthest[Y]:.1f} %)"
        )


def _days(gap: int) -> str:
    return f"{gap} days apart" if gap > 1 else "a day apart" if gap else "on one day"


def _same_place(off: MeasuredLoad, mtp: MeasuredLoad) -> bool:
    return (off.topology, off.load) == (mtp.topology, mtp.load)


def _apart(off: MeasuredLoad, mtp: MeasuredLoad, name: str) -> float:
    one, other = off.mean(name), mtp.mean(name)
    return abs(one / other - 1) if one and other else float("inf")


def _one_by_one(pair: Pair) -> Iterable[str]:
    lowest = _lowest(pair.mtp)
    if lowest and SPLIT < lowest[1] < ONE_BY_ONE:
        yield f"tokens come one by one: gap between chunks / time per token is {lowest[1]:.2f} at c{lowest[0]:.4g}"


def _several_at_once(pair: Pair) -> tuple[bool, str]:
    """Whether chunk gaps show drafts at work, and the words for it."""
    lowest, off = _lowest(pair.mtp), _lowest(pair.off)
    if lowest is None:
        return False, f"no counters, and no chunk gaps at concurrency {LOW_CONCURRENCY} or less"
    concurrency, gaps = lowest
    if gaps <= SPLIT:
        return False, f"no counters, and the engine sends one step in several chunks ({gaps:.2f} at c{concurrency:.4g})"
    if gaps > STREAMED_TOGETHER or (off and off[1] > STEPWISE):
        return False, f"no counters, and the engine streams several steps at once ({gaps:.1f} at c{concurrency:.4g})"
    return True, f"gap between chunks / time per token is {gaps:.2f} at c{concurrency:.4g}"


def _lowest(side: Side) -> tuple[float, float] | None:
    """The lowest concurrency that tells chunk gaps over time per token, if that is low; and the ratio there."""
    told = [(level.concurrency, ratio) for level in side.levels if (ratio := _gaps_over_tpot(level)) is not None]
    lowest = min(told, default=None)
    return lowest if lowest and lowest[0] <= LOW_CONCURRENCY else None


def _gaps_over_tpot(level: MeasuredLoad) -> float | None:
    ratios = [row.itl_over_tpot for row in level.rows if row.itl_over_tpot]
    return sum(ratios) / len(ratios) if ratios else None


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"

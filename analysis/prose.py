"""The sentences of a comparison, written from its numbers so that they can't be misread.

"x % more" is (ratio - 1), "x % less" is (1 - ratio): a cost that is 1.94 times another's is 94 % more, and the other is
48 % less. A difference between deployments is never worded as MTP's.
"""

from collections.abc import Iterable, Sequence

from analysis.choices import Best
from analysis.comparison import Comparison
from analysis.crossovers import Crossover
from analysis.drafts_used import Drafts
from analysis.flags import one_point
from analysis.pairs import MATCHED
from analysis.ratio import Ratio, Verdict, verdict_of_several
from analysis.targets import Target
from harness.units import number, percent

ALIKE = 0.005
"""Ratios this near to 1 are worded as alike: a percentage would be noise."""

TIMES = 5
"""From this ratio on a difference is said in times, not in per cent."""

MOST_PERCENT = 1000
"""The end of an interval beyond this is not spelled out: its digits say nothing."""


def paragraph(comparison: Comparison) -> str:
    """What the comparison says, in one paragraph, its stamps first."""
    stamps = f"[{', '.join(comparison.stamps)}] " if comparison.stamps else ""
    return stamps + " ".join(sentences(comparison))


def more_or_less(ratio: float) -> str:
    """`72 % more`, `23 % less`, `the same within 0.5 %`; `9.26 times as much` where per cent would be hard to read."""
    if abs(ratio - 1) < ALIKE:
        return f"the same within {100 * ALIKE:g} %"
    if ratio >= TIMES:
        return f"{number(ratio)} times as much"
    change = 100 * abs(ratio - 1)
    return f"{change:.{3 if change >= 10 else 2}g} % {'more' if ratio > 1 else 'less'}"


def doubt(ratio: Ratio) -> str:
    """`95 % interval +65 % to +80 %, a point left out moves it by 12 %`; empty where nothing is known.

    Interpolation is named where it moves the ratio by more than the interval does.
    """
    known = []
    if ratio.lo is not None and ratio.hi is not None:
        within = " within one launch" if ratio.within_launch else ""
        known.append(f"95 % interval{within} {_signed(ratio.lo)} to {_signed(ratio.hi)}")
    if ratio.interpolation is not None and ratio.interpolation > (ratio.half_width or 0):
        known.append(f"a point left out moves it by {percent(ratio.interpolation)}")
    return ", ".join(known)


def _signed(ratio: float) -> str:
    change = 100 * (ratio - 1)
    if change > MOST_PERCENT:
        return f"over +{MOST_PERCENT} %"
    return f"{change:+.0f} %" if abs(change) >= 100 else f"{change:+.{3 if abs(change) >= 10 else 2}g} %"


def crossover(found: Crossover, *, attributable: bool = True, several: bool = False) -> str:
    """Where the arms deliver the same; of several crossings, which arm wins on either side of this one alone."""
    arms = ("MTP", "Off") if attributable else ("the deployments with MTP", "those without")
    above, below = arms if found.mtp_better_above else arms[::-1]
    just = "just " if several else ""
    if found.lo is None and found.hi is None:
        known = "no interval is known"
    else:
        ends = [number(end) if end is not None else "beyond the overlap" for end in (found.lo, found.hi)]
        known = f"95 % interval {ends[0]} to {ends[1]}"
    return (
        f"the curves cross at {number(found.at)} tok/s/user ({known}): {just}above it {above} deliver{_s(above)} more "
        f"per GPU, {just}below it {below}"
    )


def choice(best: Best, unit: str) -> str:
    """What to run at one place."""
    tied = f", tied with {', '.join(arm.label for arm in best.tied)}" if best.tied else ""
    return f"{unit} {number(best.place)}: {best.best.label} ({number(best.tok_s_gpu[best.best])} tok/s/GPU{tied})"


def sentences(comparison: Comparison) -> Iterable[str]:
    """What the comparison says, without its stamps; what must be known first comes first."""
    yield from caveats(comparison)
    read = [target for target in comparison.targets if target.ratio]
    if read:
        yield _throughput(comparison, read)
        yield from _cost(read, "MTP" if comparison.pair.view == MATCHED else "the best MTP deployment")
    elif comparison.overlap is None:
        alone = one_point(comparison.mtp.curve, comparison.off.curve) or "The curves share no interactivity"
        yield f"{alone}, so nothing can be said at one speed for the user."
    yield verdict(comparison)
    if comparison.draft_finding.drafts != Drafts.PROBABLY_NOT_USED:
        for found in comparison.crossovers:
            several = len(comparison.crossovers) > 1
            text = crossover(found, attributable=comparison.pair.view == MATCHED, several=several)
            yield f"{_capital(text)}."
        yield from _mechanism(comparison)


def caveats(comparison: Comparison) -> Iterable[str]:
    """What changes the meaning of every number that follows."""
    if comparison.draft_finding.drafts == Drafts.PROBABLY_NOT_USED:
        because = "; ".join(comparison.draft_finding.because)
        yield f"This is no statement about MTP: drafts were probably not used ({because})."
    yield from _setting(comparison)


def _setting(comparison: Comparison) -> Iterable[str]:
    pair = comparison.pair
    if pair.view != MATCHED:
        searched = [", ".join(topology.label for topology in side.topologies) for side in (pair.mtp, pair.off)]
        yield (
            f"The arms searched {'the same' if pair.balanced else 'different'} topologies (MTP: {searched[0]}; Off: "
            f"{searched[1]}): what follows is a difference between deployments, not an effect of MTP."
        )
    if pair.mtp.arm.forced:
        yield (
            f"Acceptance is forced to {pair.mtp.arm.forced:g} tokens a step: the engine simulates it, and the model "
            "need not reach it by itself."
        )


def _throughput(comparison: Comparison, read: Sequence[Target]) -> str:
    """The ratios at matched interactivity, one clause each."""
    pair = comparison.pair
    subject = "MTP delivers against Off" if pair.view == MATCHED else "the best with MTP against the best without"
    if comparison.draft_finding.drafts == Drafts.PROBABLY_NOT_USED:
        subject = "what is called MTP against Off"
    clauses = []
    for target in read:
        ratio = target.ratio
        assert ratio is not None  # `read` holds none without
        known = f" ({text})" if (text := doubt(ratio)) else ""
        clauses.append(
            f"at {number(target.at)} tok/s/user {number(target.mtp.total_tok_s_gpu)} against "
            f"{number(target.off.total_tok_s_gpu)}, {more_or_less(ratio.value)}{known}"
        )
    where = f"on {pair.question.gpu}" if pair.view == MATCHED else "of all topologies searched"
    return f"In total tok/s/GPU {where}, {subject}: {'; '.join(clauses)}."


def _cost(read: Sequence[Target], subject: str) -> Iterable[str]:
    """The same as money, where a price is known: cost goes as one over throughput."""
    costs = [
        (number(target.at), target.mtp.cost_per_mtok / target.off.cost_per_mtok)
        for target in read
        if target.mtp.cost_per_mtok and target.off.cost_per_mtok
    ]
    if costs:
        clauses = [f"{more_or_less(ratio)} with {subject} at {at}" for at, ratio in costs]
        yield f"A million tokens cost {', '.join(clauses)} tok/s/user."


def verdict(comparison: Comparison) -> str:
    """The verdict as a sentence: what may be said, and why no more."""
    margin = f"{100 * comparison.margin:g} %"
    mtp, off, both = _subjects(comparison)
    texts = {
        None: "Measured for show (demo): no verdict.",
        Verdict.MTP_BETTER: _capital(f"{mtp} is better: every interval lies above no difference."),
        Verdict.OFF_BETTER: _capital(f"{off} is better: every interval lies below no difference."),
        Verdict.TIED: _capital(f"{both} are tied: every interval lies within {margin} of no difference."),
        Verdict.DEPENDS: "Which is better depends on the interactivity: see each target.",
        Verdict.MTP_BETTER_IN_PLACES: _by_place(comparison),
        Verdict.OFF_BETTER_IN_PLACES: _by_place(comparison),
        Verdict.NOT_RESOLVED: _unresolved(comparison),
        Verdict.UNKNOWN: _unknown(comparison),
        Verdict.UNBALANCED: "No verdict on MTP is possible from this view.",
    }
    return texts[comparison.verdict]


def _subjects(comparison: Comparison) -> tuple[str, str, str]:
    """What a verdict is of: MTP, Off and both; of deployments in the view that searches them."""
    if comparison.pair.view == MATCHED:
        return "MTP", "Off", "the arms"
    return "the best with MTP", "the best without MTP", "the best of both arms"


def _by_place(comparison: Comparison) -> str:
    """The verdicts of single places, like with like: `MTP is better at 121 tok/s/user; tied at 70.1 and 95.6`."""
    places: dict[Verdict | None, list[str]] = {}
    for target in comparison.targets:
        if target.ratio:
            places.setdefault(comparison.verdict_at(target), []).append(number(target.at))
    mtp, off, _ = _subjects(comparison)
    words = {
        Verdict.MTP_BETTER: f"{mtp} is better",
        Verdict.OFF_BETTER: f"{off} is better",
        Verdict.TIED: "tied",
        Verdict.NOT_RESOLVED: "not resolved",
        Verdict.UNKNOWN: "not known",
    }
    first, *rest = [f"{text} at {_and(places[word])}" for word, text in words.items() if word in places] or [""]
    return "; ".join([f"{_capital(first)} tok/s/user", *rest]) + "."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _and(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _unresolved(comparison: Comparison) -> str:
    if not comparison.within_launch:
        tied = any(comparison.verdict_at(target) == Verdict.TIED for target in comparison.targets)
        return _by_place(comparison) if tied else "The measurements don't resolve which is better."
    found = [target.ratio.verdict_within_launch(comparison.margin) for target in comparison.targets if target.ratio]
    inside = verdict_of_several(found) if found else Verdict.UNKNOWN
    mtp, off, both = _subjects(comparison)
    words = {
        Verdict.MTP_BETTER: f"{mtp} is better within this one launch",
        Verdict.OFF_BETTER: f"{off} is better within this one launch",
        Verdict.TIED: f"{both} are tied within this one launch",
        Verdict.DEPENDS: "which is better within this one launch depends on the interactivity",
        Verdict.MTP_BETTER_IN_PLACES: f"{mtp} is better at some interactivities within this one launch",
        Verdict.OFF_BETTER_IN_PLACES: f"{off} is better at some interactivities within this one launch",
    }
    within = words.get(inside, "nor is it within this one launch")
    return f"Not resolved between launches: {within}; measure more launches."


def _unknown(comparison: Comparison) -> str:
    if comparison.draft_finding.drafts == Drafts.PROBABLY_NOT_USED:
        return "No verdict on MTP is possible from these rows."
    if any(flag.code == "routing-not-representative" for flag in comparison.flags):
        return "No verdict: with forced acceptance the experts of this model are not routed as in real use."
    if not any(target.ratio for target in comparison.targets):
        return "No verdict."
    return "No verdict: nothing in these rows tells how far they would move if measured again."


def _mechanism(comparison: Comparison) -> Iterable[str]:
    """Speed-up at equal load, split into tokens a step and time a step."""
    levels = comparison.same_concurrency
    if not levels:
        return
    first, last = levels[0], levels[-1]
    ends = [first] if first is last else [first, last]
    clauses = [
        f"{more_or_less(level.speedup.value)} tok/s/user and {more_or_less(level.ratio.value)} tok/s/GPU "
        f"at {level.load.words}"
        for level in ends
    ]
    yield f"At equal {'rate' if comparison.pair.question.arrivals else 'concurrency'} MTP gives {', '.join(clauses)}."
    split = [level for level in ends if level.step_time_ratio is not None]
    if split:
        parts = [
            f"{number(level.mtp.acceptance_length)} tokens in a step that takes {number(level.step_time_ratio)} times "
            f"as long at {level.load.words}"
            for level in split
        ]
        yield f"It makes {', '.join(parts)}; with fewer tokens a step than that factor, users would be slower than Off."


def _s(subject: str) -> str:
    return "" if subject.startswith("the") else "s"

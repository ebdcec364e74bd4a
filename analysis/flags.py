"""What a reader must know before he believes a number, one clause each."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from analysis.curve import Curve, overlap
from analysis.diff import FIRST_DAY, LAST_DAY, Diff, Difference
from analysis.drafts_used import DraftFinding, Drafts
from analysis.facts import is_moe
from analysis.launch_spread import LaunchSpread
from analysis.pairs import Pair, Side
from analysis.targets import TTFT_APART, Reading, SameConcurrency, Target
from harness.units import number

SMALL_OVERLAP = 0.25
"""Share of the shorter curve, in ln interactivity, that the overlap must have to speak for the pair."""


STAMPED = {
    "emulated": "an emulator answered, not a GPU",
    "demo": "measured for show, too short to judge",
    "cpu-plugin": "vLLM on a CPU, patched by a plugin: no GPU's speed, nor to set beside another engine's",
    "cpu-standin-kernels": "SGLang on a CPU, kernels replaced: no GPU's speed, nor to set beside another engine's",
}
"""What a stamp on a row means for who reads the pair."""


class Flag(NamedTuple):
    """Something that a reader must know before he believes a number.

    Attributes:
        code: for programs.
        text: for people; a clause without a capital or a full stop.
    """

    code: str
    text: str


def within_launch(pair: Pair) -> bool:
    """Whether an arm has a single launch, so that intervals leave out what a restart changes."""
    return min(pair.mtp.launches, pair.off.launches) == 1


def stamps_of(pair: Pair) -> tuple[str, ...]:
    """What every number of the pair must carry."""
    rows = (*pair.off.rows, *pair.mtp.rows)
    stamps = dict.fromkeys(stamp for row in rows for stamp in row.stamps)
    for stamp, holds in (
        ("emulated", pair.question.emulated),
        ("forced-acceptance", bool(pair.mtp.arm.forced)),
        ("demo", pair.question.demo),
    ):
        if holds:
            stamps[stamp] = None
    return tuple(stamps)


def of_pair(pair: Pair, diff: Diff, signs: DraftFinding, recorded: LaunchSpread | None = None) -> list[Flag]:
    """What the pair itself makes doubtful."""
    flags = []
    if fields := diff.of("must equal"):
        flags.append(Flag("compared-by-force", f"the arms differ in more than MTP: {'; '.join(map(str, fields))}"))
    if not pair.balanced:
        flags.append(Flag("unbalanced-search", _search(pair)))
    if signs.drafts == Drafts.PROBABLY_NOT_USED:
        flags.append(Flag("drafts-probably-not-used", f"drafts probably not used: {'; '.join(signs.because)}"))
    if pair.mtp.arm.forced:
        flags.append(Flag("forced-acceptance", f"the engine simulates an acceptance length of {pair.mtp.arm.forced:g}"))
        if is_moe(pair.mtp.rows[0]) is not False:
            flags.append(
                Flag("routing-not-representative", "forced acceptance repeats tokens: which experts work is not real")
            )
    flags += [Flag(stamp, STAMPED[stamp]) for stamp in stamps_of(pair) if stamp in STAMPED]
    if any(row.attached for row in (*pair.off.rows, *pair.mtp.rows)):
        flags.append(Flag("attached", "a server was started elsewhere: only what it reports of itself is known"))
    flags += [
        Flag("far-in-time", f"{d.name.partition(' ')[0]} measured {d.off} (Off) and {d.mtp} (MTP)") for d in _far(diff)
    ]
    flags += [Flag("not-checked", note) for note in diff.notes]
    flags += _nodes(pair)
    if within_launch(pair):
        flags.append(_one_launch(pair, recorded))
    flags += _warnings(pair)
    return flags


def _nodes(pair: Pair) -> list[Flag]:
    """Whether what nodes differ in may pass for what MTP does, or makes launches differ."""
    off, mtp = (_nodes_by_launch(side) for side in (pair.off, pair.mtp))
    shared = off.keys() & mtp.keys()
    apart = [key for key in sorted(shared) if off[key] != mtp[key]]
    several = len({*off.values(), *mtp.values()}) > 1
    alike = off.keys() == mtp.keys() or Counter(off.values()) == Counter(mtp.values())
    if apart or (not alike and (several or _all(off) != _all(mtp))):
        places = [f"launch {key[1] + 1}: Off on {off[key]}, MTP on {mtp[key]}" for key in apart]
        where = "; ".join(places) or f"Off on {_counted(off)}, MTP on {_counted(mtp)}"
        return [Flag("nodes-differ", f"{where}: what these nodes differ in counts as a difference between the arms")]
    if several:
        how = "both arms of each on the same" if off.keys() == mtp.keys() else "as many of each arm on each"
        text = f"launches ran on {_all(off)}, {how}: they scatter by what nodes differ in too"
        return [Flag("several-nodes", text)]
    return []


def _nodes_by_launch(side: Side) -> dict[tuple[str, int], str]:
    """Nodes of each launch that tells them, `h100-1 and h100-2`, by its results folder and number."""
    found: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in side.rows:
        if row.node:
            found[row.folder or "", row.launch].add(row.node)
    return {launch: " and ".join(sorted(nodes)) for launch, nodes in found.items()}


def _all(nodes: Mapping[tuple[str, int], str]) -> str:
    return ", ".join(sorted(set(nodes.values()))) or "nodes that are not told"


def _counted(nodes: Mapping[tuple[str, int], str]) -> str:
    """The nodes of an arm; of several, how many launches ran on each."""
    counts = Counter(nodes.values())
    if len(counts) < 2:
        return _all(nodes)
    return ", ".join(f"{node} ({count} launch{'es' if count > 1 else ''})" for node, count in sorted(counts.items()))


def _warnings(pair: Pair) -> list[Flag]:
    """What the rows themselves warn of, with the places that have it."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for side in (pair.off, pair.mtp):
        for row in side.rows:
            for code in row.warnings:
                found[code][f"{side.arm.label} {row.load.label}"] += 1
    return [
        Flag(code, ", ".join(f"{place} ({count}x)" if count > 1 else place for place, count in places.items()))
        for code, places in found.items()
    ]


def _far(diff: Diff) -> list[Difference]:
    return [difference for difference in diff.of("circumstance") if difference.name in (FIRST_DAY, LAST_DAY)]


def _one_launch(pair: Pair, recorded: LaunchSpread | None) -> Flag:
    single = [side.arm.label for side in (pair.mtp, pair.off) if side.launches == 1]
    if recorded is not None:
        known = f"what a restart changes is known from {len(recorded.deviations)} launches recorded elsewhere"
        return Flag("recorded-spread", f"{' and '.join(single)}: one launch; {known}")
    return Flag("one-launch", f"{' and '.join(single)}: one launch, so what a restart changes is in no interval")


def _search(pair: Pair) -> str:
    searched = [", ".join(topology.label for topology in side.topologies) for side in (pair.mtp, pair.off)]
    return (
        f"unbalanced search: {pair.mtp.arm.label} ran {searched[0]}; Off ran {searched[1]}; the difference is between "
        "two sets of deployments and can't be put down to MTP"
    )


def of_curves(mtp: Curve, off: Curve) -> list[Flag]:
    """What the two curves make doubtful."""
    flags = []
    shared = overlap(mtp, off)
    if shared is None:
        spans = [f"{low:.3g} to {high:.3g}" for low, high in (mtp.span, off.span)]
        text = one_point(mtp, off) or f"no common interactivity: MTP has {spans[0]} tok/s/user, Off {spans[1]}"
        flags.append(Flag("no-overlap", text))
    elif _share(shared, mtp, off) < SMALL_OVERLAP:
        flags.append(Flag("small-overlap", f"the curves share only {shared[0]:.3g} to {shared[1]:.3g} tok/s/user"))
    for arm, line in (("MTP", mtp), ("Off", off)):
        flags += [Flag("outlier", f"{arm} {outlier}") for outlier in line.outliers]
    return flags


def one_point(mtp: Curve, off: Curve) -> str:
    """What is said where an arm has no curve; empty where both have one."""
    lone = [
        f"{arm} has one point{' on its front' if len(line.levels) > 1 else ''}, at {number(line.span[0])} tok/s/user"
        for arm, line in (("MTP", mtp), ("Off", off))
        if len(line.knots) == 1
    ]
    return f"{' and '.join(lone)}: a curve needs two" if lone else ""


def _share(shared: tuple[float, float], *curves: Curve) -> float:
    """The overlap's length over that of the shorter curve, in ln interactivity."""
    return math.log(shared[1] / shared[0]) / min(math.log(line.span[1] / line.span[0]) for line in curves)


def of_places(found: Sequence[Target], matched: Sequence[SameConcurrency]) -> list[Flag]:
    """What is doubtful at single places."""
    flags = []
    for target in found:
        place = f"at {target.at:.4g} tok/s/user"
        for name in target.clamped:
            arm = {"mtp": target.mtp, "off": target.off}[name]
            ends = f"{name.replace('mtp', 'MTP').replace('off', 'Off')} ends at {arm.interactivity:.4g}"
            flags.append(Flag("clamped", f"{place}: {ends}, whose values are shown, and no ratio"))
        flags += _service(place, target.mtp, target.off)
    for level in matched:
        flags += _service(f"at {level.load.words}", level.mtp, level.off)
    return flags


def _service(place: str, mtp: Reading, off: Reading) -> list[Flag]:
    """Warnings that one speed does not make one service."""
    flags = []
    if mtp.ttft_s and off.ttft_s and max(mtp.ttft_s / off.ttft_s, off.ttft_s / mtp.ttft_s) > TTFT_APART:
        flags.append(
            Flag(
                "ttft-differs",
                f"{place}: users wait {mtp.ttft_s:.2g} s for a first token with MTP, {off.ttft_s:.2g} s with Off",
            )
        )
    if mtp.gpus != off.gpus:
        counts = ["/".join(map(str, arm.gpus)) for arm in (mtp, off)]
        flags.append(Flag("gpus-differ", f"{place}: {counts[0]} GPUs a deployment with MTP, {counts[1]} with Off"))
    return flags

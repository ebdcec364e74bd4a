"""A Report -> the page's data: one entry for each comparison, and what could not be compared."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from analysis.assumptions import PriceChoice, assumptions, tiers
from analysis.compare import Report
from analysis.comparison import Comparison
from analysis.diff import COMMAND_LINE
from analysis.facts import gpu_of
from analysis.pairs import MATCHED, Pair, Side, loop_of
from analysis.prose import caveats, sentences, verdict
from analysis.ratio import Ratio, Verdict
from analysis.report.arms import Plain, arm
from analysis.report.sources import command_lines, invalid_points, meaning, provenance
from analysis.rows import Unusable
from analysis.tables.as_json import choice_fields
from analysis.targets import Reading, SameConcurrency

TONES = {
    Verdict.MTP_BETTER: "good",
    Verdict.OFF_BETTER: "bad",
    Verdict.TIED: "tied",
    Verdict.DEPENDS: "open",
    Verdict.MTP_BETTER_IN_PLACES: "open",
    Verdict.OFF_BETTER_IN_PLACES: "open",
    Verdict.NOT_RESOLVED: "open",
}
"""Verdict -> how the page tints it; whatever is no verdict stays grey."""


def entries(report: Report, want: PriceChoice) -> list[Plain]:
    """One entry for each comparison, in the report's order."""
    ids: Counter[str] = Counter()
    found = []
    for comparison in report.comparisons:
        key = comparison.pair.key
        ids[key] += 1
        again = f"~{ids[key]}" if ids[key] > 1 else ""
        found.append({"id": f"{key}{again}", **_entry(comparison, report.unusable, want)})
    return found


def choices(report: Report) -> list[Plain]:
    """Which draft length to run where, for each system that ran several."""
    return [choice_fields(choice) for choice in report.choices]


def left_out(report: Report) -> list[tuple[str, str]]:
    """What takes no part, and why: pairs that were refused, rows that can't be used, arms without a partner."""
    refused = [(pair.key, pair.reason) for pair in report.refused]
    return refused + [(left.row, _why(left)) for left in report.unusable]


def tone(word: Verdict | None) -> str:
    """How a verdict is tinted."""
    return TONES.get(word, "none") if word else "none"


def _why(left: Unusable) -> str:
    codes = left.measured.invalid if left.measured is not None else ()
    return " ".join(meaning(code) for code in codes) or left.reason


def _entry(comparison: Comparison, unusable: Sequence[Unusable], want: PriceChoice) -> Plain:
    pair = comparison.pair
    places, first = [target.at for target in comparison.targets], list(caveats(comparison))
    ends = [*places, *(comparison.overlap or ())]
    return {
        "mode": pair.view,
        "question": _question(pair),
        "family": _family(pair),
        "verdict": {
            "word": comparison.verdict or "demo",
            "tone": tone(comparison.verdict),
            "sentence": verdict(comparison),
            "caveats": first,
            "sentences": list(sentences(comparison))[len(first) :],
        },
        "verdicts": _verdicts(comparison),
        "margin": comparison.margin,
        "within_launch": comparison.within_launch,
        "stamps": list(comparison.stamps),
        "flags": [(flag.code, flag.text) for flag in comparison.flags],
        "drafts": str(comparison.draft_finding),
        "overlap": comparison.overlap,
        "targets": places,
        "crossovers": [(found.at, found.lo, found.hi) for found in comparison.crossovers],
        "arms": {"mtp": arm(pair.mtp, comparison.mtp, ends), "off": arm(pair.off, comparison.off, ends)},
        "same": [_same(comparison, level) for level in comparison.same_concurrency],
        "rates": _assumptions(comparison, want),
        "command": command_lines(pair),
        "differences": [(d.name, d.kind, d.off, d.mtp) for d in comparison.diff.differences if d.name != COMMAND_LINE],
        "notes": list(comparison.diff.notes),
        "provenance": provenance(pair),
        "invalid": invalid_points(pair, unusable),
    }


def _question(pair: Pair) -> Plain:
    question = pair.question
    matched = pair.view == MATCHED
    return {
        "model": question.model,
        "gpu": question.gpu,
        "precision": question.precision,
        "workload": question.workload + (f" in {loop_of(question.arrivals)}" if question.arrivals else ""),
        "isl": question.isl,
        "osl": question.osl,
        "engine": question.engine,
        "topology": ", ".join(topology.label for topology in pair.off.topologies) if matched else "best of topologies",
    }


def _family(pair: Pair) -> str:
    """The same for pairs that share one Off: other draft lengths, which a chart can show beside this one."""
    return "|".join([pair.key.rpartition("/")[0], pair.view, *sorted(_runs(pair.off))])


def _runs(side: Side) -> set[str]:
    return {f"{row.folder or row.origin} {row.run_key} {row.version}" for row in side.rows}


def _verdicts(comparison: Comparison) -> str:
    """Which verdicts single places may have: all, none (a demo), or one word alone."""
    return "none" if "demo" in comparison.stamps else comparison.barred or "all"


def _same(comparison: Comparison, level: SameConcurrency) -> Plain:
    return {
        **level.load.fields,
        "mtp": _measured(level.mtp),
        "off": _measured(level.off),
        "speedup": _ratio(level.speedup),
        "ratio": _ratio(level.ratio),
        "break_even": level.step_time_ratio,
        "verdict": comparison.verdict_at_load(level) or "demo",
    }


def _measured(reading: Reading) -> Plain:
    return {
        "x": reading.interactivity,
        "y": reading.total_tok_s_gpu,
        "half": reading.half_width,
        "ttft_s": reading.ttft_s,
        "acceptance_length": reading.acceptance_length,
    }


def _ratio(ratio: Ratio) -> tuple[float, float | None, float | None]:
    return ratio.value, ratio.lo, ratio.hi


def _assumptions(comparison: Comparison, want: PriceChoice) -> Plain:
    """The assumptions in force, and what each tier pays on the same day."""
    chosen, gpu = comparison.assumptions, comparison.pair.question.gpu
    facts = gpu_of(comparison.pair.mtp.rows[0])
    by_tier = {tier: assumptions(gpu, facts, replace(want, tier=tier, usd_per_gpu_hour=None)) for tier in tiers()}
    return {
        "usd": chosen.usd_per_gpu_hour,
        "usd_from": chosen.usd_from,
        "kw": chosen.all_in_kw,
        "kw_from": chosen.kw_from,
        "tier": None if want.usd_per_gpu_hour else want.tier,
        "tiers": [
            (tier, found.usd_per_gpu_hour, found.usd_from)
            for tier, found in by_tier.items()
            if found.usd_per_gpu_hour is not None
        ],
    }

"""A Report as plain data and as JSON.

    {schema, pairs: [{key, view, verdict, flags, targets: [{at, mtp, off, ratio, lo, hi, clamped, ...}],
                      same_concurrency, power, diff, ...}], refused, choices, unusable: [{row, reason}]}

`verdict` is null for a demo, and of `speedup` at a rate, where throughput follows from the rate.
A number is null where it is not known, `clamped` names the arms that do not reach the
interactivity. Every entry with numbers carries the stamps of its pair.
"""

import json

from analysis.assumptions import Assumptions
from analysis.choices import Best, Choice
from analysis.compare import Report
from analysis.comparison import Comparison
from analysis.crossovers import Crossover
from analysis.diff import FIELDS, Diff
from analysis.drafts_used import Positions, positions
from analysis.pairs import Side
from analysis.power import ArmPower, PowerAtLoad
from analysis.prose import paragraph
from analysis.ratio import Ratio
from analysis.targets import Reading, SameConcurrency, Target

SCHEMA = 1
"""Of this shape; raised when a key changes its meaning."""

DIGITS = 9

Plain = dict[str, object]


def render(report: Report) -> str:
    """JSON, indented; NaN and infinity can't occur."""
    return json.dumps(_rounded(report_fields(report)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def report_fields(report: Report) -> Plain:
    """The whole report."""
    return {
        "schema": SCHEMA,
        "pairs": [_pair(comparison) for comparison in report.comparisons],
        "refused": [
            {"key": refused.key, "reason": refused.reason, "fields": list(refused.fields)} for refused in report.refused
        ],
        "choices": [choice_fields(choice) for choice in report.choices],
        "unusable": [{"row": unusable.row, "reason": unusable.reason} for unusable in report.unusable],
    }


def _pair(comparison: Comparison) -> Plain:
    pair = comparison.pair
    return {
        "key": pair.key,
        "view": pair.view,
        "verdict": comparison.verdict,
        "stamps": list(comparison.stamps),
        "flags": [{"code": flag.code, "text": flag.text} for flag in comparison.flags],
        "text": paragraph(comparison),
        "arms": {"mtp": _side(pair.mtp), "off": _side(pair.off)},
        "overlap": list(comparison.overlap) if comparison.overlap else None,
        "targets": [_target(comparison, target) for target in comparison.targets],
        "same_concurrency": [_same(comparison, level) for level in comparison.same_concurrency],
        "power": [_power(comparison, level) for level in comparison.power],
        "crossovers": [_crossover(comparison, found) for found in comparison.crossovers],
        "acceptance_by_position": [_accepted(comparison, found) for found in positions(pair.mtp)],
        "drafts": {"used": comparison.draft_finding.drafts, "because": list(comparison.draft_finding.because)},
        "rates": _assumptions(comparison.assumptions),
        "diff": _diff(comparison.diff),
    }


def _crossover(comparison: Comparison, found: Crossover) -> Plain:
    return {
        "at": found.at,
        "lo": found.lo,
        "hi": found.hi,
        "mtp_better_above": found.mtp_better_above,
        "stamps": list(comparison.stamps),
    }


def _accepted(comparison: Comparison, found: Positions) -> Plain:
    """How often drafts were accepted at one load, by position."""
    return {
        "topology": found.level.topology.label,
        **found.level.load.fields,
        "accepted": list(found.accepted),
        "stamps": list(comparison.stamps),
    }


def _assumptions(assumed: Assumptions) -> Plain:
    return {
        "usd_per_gpu_hour": assumed.usd_per_gpu_hour,
        "usd_from": assumed.usd_from,
        "all_in_kw": assumed.all_in_kw,
        "kw_from": assumed.kw_from,
    }


def _side(side: Side) -> Plain:
    return {
        "label": side.arm.label,
        "draft_tokens": side.arm.draft_tokens if side.arm.draft_tokens >= 0 else None,
        "forced_acceptance_length": side.arm.forced or None,
        "versions": list(side.versions),
        "topologies": [topology.label for topology in side.topologies],
        "gpus": list(side.gpus),
        "launches": side.launches,
        "days": list(side.days),
    }


def _target(comparison: Comparison, target: Target) -> Plain:
    return {
        "at": target.at,
        "mtp": reading_fields(target.mtp),
        "off": reading_fields(target.off),
        **_ratio(target.ratio),
        "output": _ratio(target.output_ratio) if target.output_ratio else None,
        "energy_j_per_tok_output": _ratio(target.energy_ratio) if target.energy_ratio else None,
        "tok_s_mw_measured": _ratio(target.tok_s_mw_ratio) if target.tok_s_mw_ratio else None,
        "interpolation": target.ratio.interpolation if target.ratio else None,
        "clamped": list(target.clamped),
        "verdict": comparison.verdict_at(target),
        "stamps": list(comparison.stamps),
    }


def _same(comparison: Comparison, level: SameConcurrency) -> Plain:
    return {
        **level.load.fields,
        "mtp": reading_fields(level.mtp),
        "off": reading_fields(level.off),
        **_ratio(level.ratio),
        "output": _ratio(level.output_ratio) if level.output_ratio else None,
        "speedup": _ratio(level.speedup),
        "step_time_ratio": level.step_time_ratio,
        "break_even_acceptance_length": level.step_time_ratio,
        "verdict": comparison.verdict_at_load(level),
        "stamps": list(comparison.stamps),
    }


def _power(comparison: Comparison, level: PowerAtLoad) -> Plain:
    return {
        **level.load.fields,
        "mtp": power_fields(level.mtp),
        "off": power_fields(level.off),
        "energy_ratio": level.energy_ratio,
        "stamps": list(comparison.stamps),
    }


def power_fields(arm: ArmPower) -> Plain:
    """Power of one arm at one load, by name."""
    return {
        **arm.figures,
        "tok_s_mw_provisioned": arm.tok_s_mw_provisioned,
        "measured_to_provisioned": arm.measured_to_provisioned,
        "power_scope": arm.scope,
        "void": list(arm.void),
    }


def _ratio(ratio: Ratio | None) -> Plain:
    if ratio is None:
        return {"ratio": None, "lo": None, "hi": None}
    return {"ratio": ratio.value, "lo": ratio.lo, "hi": ratio.hi}


def reading_fields(reading: Reading) -> Plain:
    """What one arm delivers at a target, by name."""
    return {
        "interactivity": reading.interactivity,
        "total_tok_s_gpu": reading.total_tok_s_gpu,
        "half_width": reading.half_width,
        "output_tok_s_gpu": reading.output_tok_s_gpu,
        "input_tok_s_gpu": reading.input_tok_s_gpu,
        "cost_per_mtok": reading.cost_per_mtok,
        "cost_per_mtok_output": reading.cost_per_mtok_output,
        "tok_s_mw_provisioned": reading.tok_s_mw_provisioned,
        "concurrency": reading.concurrency,
        "ttft_s": reading.ttft_s,
        "acceptance_length": reading.acceptance_length,
        "energy_j_per_tok_output": reading.energy_j_per_tok_output,
        "tok_s_mw_measured": reading.tok_s_mw_measured,
        "gpus": list(reading.gpus),
        "clamped": reading.clamped,
    }


def _diff(diff: Diff) -> Plain:
    classes = {
        field: [{"name": d.name, "off": d.off, "mtp": d.mtp} for d in diff.of(kind)] for kind, field in FIELDS.items()
    }
    return {"read": diff.read, "notes": list(diff.notes), **classes}


def choice_fields(choice: Choice) -> Plain:
    """Which draft length to run, at each concurrency and each interactivity."""
    return {
        "key": choice.key,
        **({"loads": choice.loads} if choice.loads != "concurrency" else {}),
        "stamps": list(choice.stamps),
        "by_concurrency": [_best(best) for best in choice.by_concurrency],
        "by_interactivity": [_best(best) for best in choice.by_interactivity],
    }


def _best(best: Best) -> Plain:
    return {
        "at": best.place,
        "best": best.best.label,
        "tied": [arm.label for arm in best.tied],
        "total_tok_s_gpu": {arm.label: value for arm, value in best.tok_s_gpu.items()},
    }


def _rounded(value: object) -> object:
    """Floats to DIGITS significant digits: beyond them machines differ, and no measurement reaches there."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value

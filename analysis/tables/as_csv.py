"""A Report as one wide CSV table: a line for each arm at each place, then what was refused and left out.

The ratio stands in MTP's line; at equal rate, where it is 1, the verdict is of the speedup.
`table` says what a line is of: matched, same-concurrency, power, refused, unusable.
"""

import csv
import io
from collections.abc import Iterator, Mapping

from analysis.compare import Report
from analysis.comparison import Comparison
from analysis.power import ArmPower
from analysis.ratio import Ratio, Verdict
from analysis.tables.as_json import DIGITS, power_fields, reading_fields
from analysis.targets import Reading

COLUMNS = (
    "pair", "view", "pair_verdict", "table", "at", "arm", "interactivity", "total_tok_s_gpu", "half_width",
    "output_tok_s_gpu", "input_tok_s_gpu", "cost_per_mtok", "cost_per_mtok_output", "tok_s_mw_provisioned",
    "concurrency", "ttft_s", "acceptance_length", "gpus", "clamped", "ratio", "lo", "hi", "interpolation", "verdict",
    "speedup", "speedup_lo", "speedup_hi",
    "power_w_gpu", "idle_power_w_gpu", "power_limit_w_gpu", "energy_j_per_tok", "energy_j_per_tok_input",
    "energy_j_per_tok_output", "tok_s_mw_measured", "measured_to_provisioned", "power_capped_share", "throttled_share",
    "sm_clock_mhz", "power_scope", "void", "energy_ratio", "stamps", "flags", "note",
)  # fmt: skip

Line = Mapping[str, object]


def render(report: Report) -> str:
    """CSV with a header; what is not known is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for comparison in report.comparisons:
        writer.writerows(_printed(line) for line in _comparison(comparison))
    writer.writerows({"pair": pair.key, "table": "refused", "note": pair.reason} for pair in report.refused)
    writer.writerows({"pair": left.row, "table": "unusable", "note": left.reason} for left in report.unusable)
    return out.getvalue()


def _comparison(comparison: Comparison) -> Iterator[Line]:
    common: Line = {
        "pair": comparison.pair.key,
        "view": comparison.pair.view,
        "pair_verdict": comparison.verdict or "",
        "stamps": " ".join(comparison.stamps),
        "flags": " ".join(dict.fromkeys(flag.code for flag in comparison.flags)),
    }
    for target in comparison.targets:
        place = {**common, "table": "matched", "at": target.at}
        verdict = comparison.verdict_at(target)
        yield {**place, "arm": "mtp", **_reading(target.mtp), **_ratio(target.ratio, verdict)}
        yield {**place, "arm": "off", **_reading(target.off)}
    for level in comparison.same_concurrency:
        place = {**common, "table": "same-concurrency", "at": level.load.amount}
        verdict, faster = comparison.verdict_at_load(level), level.speedup
        speedup = {"speedup": faster.value, "speedup_lo": faster.lo, "speedup_hi": faster.hi}
        yield {**place, "arm": "mtp", **_reading(level.mtp), **_ratio(level.ratio, verdict), **speedup}
        yield {**place, "arm": "off", **_reading(level.off)}
    for power in comparison.power:
        place = {**common, "table": "power", "at": power.load.amount}
        yield {**place, "arm": "mtp", **_power(power.mtp), "energy_ratio": power.energy_ratio}
        yield {**place, "arm": "off", **_power(power.off)}
    if not (comparison.targets or comparison.same_concurrency):
        yield {**common, "table": "matched", "note": "; ".join(flag.text for flag in comparison.flags)}


def _printed(line: Line) -> Line:
    return {
        name: f"{value:.{DIGITS}g}" if isinstance(value, float) else "" if value is None else value
        for name, value in line.items()
    }


def _reading(reading: Reading) -> Line:
    """The JSON's fields, each as one cell."""
    cells = {"gpus": "/".join(map(str, reading.gpus)), "clamped": "clamped" if reading.clamped else ""}
    return {**reading_fields(reading), **cells}


def _power(arm: ArmPower) -> Line:
    return {**power_fields(arm), "void": " ".join(arm.void)}


def _ratio(ratio: Ratio | None, verdict: Verdict | None) -> Line:
    if ratio is None:
        return {"verdict": verdict or ""}
    return {
        "ratio": ratio.value,
        "lo": ratio.lo,
        "hi": ratio.hi,
        "interpolation": ratio.interpolation,
        "verdict": verdict or "",
    }

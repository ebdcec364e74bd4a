"""A Report as Markdown: the verdict and its sentences first, then the numbers, then what a reader should doubt."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from analysis.choices import Best, Choice
from analysis.compare import Report
from analysis.comparison import Comparison
from analysis.diff import COMMAND_LINE
from analysis.drafts_used import Positions, positions
from analysis.pairs import BEST, MATCHED, View
from analysis.prose import paragraph
from analysis.ratio import Ratio, Verdict
from analysis.rows import Unusable
from analysis.tables.grid import escaped, grid
from analysis.tables.power import MATCHED_HEAD, matched_power, power_grid
from analysis.targets import Reading, SameConcurrency
from harness.metrics import METRICS
from harness.units import MISSING, between, number, percent, plus_minus

EXAMPLES = 3
"""Rows named for each reason; the JSON names all."""

CELL = 150
"""Longest value of a setting that is shown whole; the JSON has it whole always."""


VIEWS: Mapping[View, str] = {MATCHED: "matched topology", BEST: "best of topologies"}
ARMS = (("MTP", "mtp"), ("Off", "off"))

DETAILS: Mapping[str, Callable[[Reading], str]] = {
    "output_tok_s_gpu": lambda r: number(r.output_tok_s_gpu),
    "input_tok_s_gpu": lambda r: number(r.input_tok_s_gpu),
    "cost_per_mtok": lambda r: number(r.cost_per_mtok),
    "cost_per_mtok_output": lambda r: number(r.cost_per_mtok_output),
    "tok_s_mw_provisioned": lambda r: number(r.tok_s_mw_provisioned),
    "concurrency": lambda r: number(r.concurrency),
    "ttft_s": lambda r: number(r.ttft_s),
    "acceptance_length": lambda r: number(r.acceptance_length),
    "gpus": lambda r: "/".join(map(str, r.gpus)),
}
"""What stands beside throughput; units come from METRICS."""

TITLES = {
    "output_tok_s_gpu": "output",
    "input_tok_s_gpu": "input",
    "cost_per_mtok_output": "output",
    "tok_s_mw_provisioned": "provisioned",
    "ttft_s": "TTFT",
    "acceptance_length": "",
    "cost_per_mtok": "",
    "gpus": "GPUs",
}


def render(report: Report) -> str:
    """The whole report."""
    parts = [_overview(report.comparisons)] if len(report.comparisons) > 1 else []
    parts += [part for comparison in report.comparisons for part in _comparison(comparison)]
    for choice in report.choices:
        parts += _choice(choice)
    if report.refused:
        parts += ["## Not comparable", "\n".join(f"- {escaped(pair.reason)}" for pair in report.refused)]
    if report.unusable:
        parts += ["## Not used", "\n".join(_unusable(report.unusable))]
    return "\n\n".join(parts or ["Nothing to compare."]) + "\n"


def _overview(comparisons: Sequence[Comparison]) -> str:
    """One line for each comparison."""
    stamps = any(comparison.stamps for comparison in comparisons)
    rows = [
        [
            escaped(comparison.pair.key),
            VIEWS[comparison.pair.view],
            _said(comparison.verdict),
            ", ".join(f"{number(t.ratio.value)} at {number(t.at)}" for t in comparison.targets if t.ratio) or MISSING,
            *([escaped(", ".join(comparison.stamps)) or MISSING] if stamps else []),
        ]
        for comparison in comparisons
    ]
    head = [
        "pair",
        "view",
        "verdict",
        f"MTP / Off in total {_unit('total_tok_s_gpu')}",
        *(["stamps"] if stamps else []),
    ]
    return grid(head, rows)


def _comparison(comparison: Comparison) -> Iterator[str]:
    stamps = _stamps(comparison.stamps)
    yield f"## {stamps}{escaped(comparison.pair.key)} ({VIEWS[comparison.pair.view]})"
    yield f"**{_headline(comparison)}** {escaped(paragraph(comparison))}"
    yield from _matched_section(comparison)
    yield from _matched_power_section(comparison)
    yield from _equal_load_section(comparison)
    yield from _positions_section(comparison)
    yield from _power_section(comparison)
    yield f"{stamps}{_assumed(comparison)}"
    yield from _doubts_section(comparison)


def _matched_section(comparison: Comparison) -> Iterator[str]:
    """Throughput and what goes with it, at matched interactivity."""
    if comparison.targets:
        yield (
            f"{_stamps(comparison.stamps)}At matched interactivity, total {_unit('total_tok_s_gpu')}, with 95 % "
            "intervals, and how far the ratio moves when a point beside the place is left out:"
        )
        yield _ratios(comparison)
        yield _details(comparison)


def _matched_power_section(comparison: Comparison) -> Iterator[str]:
    """What sensors measured, at matched interactivity."""
    if rows := matched_power(comparison.targets):
        arms = [arm for level in comparison.power for arm in (level.mtp, level.off)]
        scope = ", ".join(dict.fromkeys(arm.scope for arm in arms if arm.scope))
        stamps = _stamps(comparison.stamps)
        yield f"{stamps}Measured power at matched interactivity, of {escaped(scope)}, all tokens a MW in and out:"
        yield _stamped_grid(comparison.stamps, MATCHED_HEAD, rows)


def _equal_load_section(comparison: Comparison) -> Iterator[str]:
    """Both arms at each load that both measured."""
    if comparison.same_concurrency:
        follows = " throughput follows from the rate, so the verdict is on tok/s/user."
        yield f"At equal {_held_equal(comparison)}, as measured:{follows if comparison.pair.question.arrivals else ''}"
        yield _same_concurrency(comparison)


def _positions_section(comparison: Comparison) -> Iterator[str]:
    """Acceptance by position of the draft, where it was counted."""
    if found := positions(comparison.pair.mtp):
        stamps = _stamps(comparison.stamps)
        yield f"{stamps}How often the draft at each position was accepted, % of the steps that had drafts:"
        yield _positions(comparison, found)


def _power_section(comparison: Comparison) -> Iterator[str]:
    """Power of both arms at each load."""
    if comparison.power:
        yield (
            f"{_stamps(comparison.stamps)}Power at equal {_held_equal(comparison)}. Measured figures are of what "
            "`scope` names, provisioned ones of the all-in power that is assumed for a GPU: never compare one with the "
            "other. All tokens count, in and out."
        )
        yield _stamped_grid(comparison.stamps, *power_grid(comparison.power))


def _doubts_section(comparison: Comparison) -> Iterator[str]:
    """In what the arms differ, and what to know before believing a number."""
    if comparison.diff.differences:
        yield "What differs between the arms:"
        yield _differences(comparison)
    if comparison.flags:
        yield "To know before believing it:"
        yield "\n".join(_flags(comparison))


def _headline(comparison: Comparison) -> str:
    verdict = comparison.verdict
    return "Demo, no verdict." if verdict is None else f"Verdict: {verdict}."


def _stamps(stamps: Sequence[str]) -> str:
    """What the line's numbers must never lose, in front of it."""
    return f"\\[{escaped(', '.join(stamps))}\\] " if stamps else ""


def _flags(comparison: Comparison) -> Iterator[str]:
    by_code: dict[str, list[str]] = defaultdict(list)
    for flag in comparison.flags:
        by_code[flag.code].append(flag.text)
    for code, texts in by_code.items():
        yield f"- {code}: {_stamps(comparison.stamps)}{escaped('; '.join(texts))}"


def _ratios(comparison: Comparison) -> str:
    head = [_unit("interactivity"), "MTP", "Off", "MTP / Off", "interval", "point left out", "verdict"]
    rows = []
    for target in comparison.targets:
        ratio = target.ratio
        arms = [
            _with_half_width(arm.total_tok_s_gpu, arm.half_width)
            + (f" at {number(arm.interactivity)}, clamped" if arm.clamped else "")
            for arm in (target.mtp, target.off)
        ]
        rows.append(
            [
                number(target.at),
                *arms,
                number(ratio.value) if ratio else MISSING,
                (between(ratio.lo, ratio.hi) if ratio else "") or MISSING,
                _doubt(ratio),
                _said(comparison.verdict_at(target)),
            ]
        )
    return _stamped_grid(comparison.stamps, head, rows)


def _details(comparison: Comparison) -> str:
    rows = []
    for target in comparison.targets:
        for title, name in ARMS:
            reading: Reading = getattr(target, name)
            place = f"{number(reading.interactivity)} clamped" if reading.clamped else number(target.at)
            rows.append([place, title, *(cell(reading) for cell in DETAILS.values())])
    heads = [f"{TITLES.get(name, name)} {_unit(name)}".strip() for name in DETAILS]
    return _stamped_grid(comparison.stamps, [_unit("interactivity"), "arm", *heads], rows)


def _unit(name: str) -> str:
    return METRICS[name].unit if name in METRICS else ""


def _held_equal(comparison: Comparison) -> str:
    return "rate" if comparison.pair.question.arrivals else "concurrency"


def _same_concurrency(comparison: Comparison) -> str:
    speed, throughput = _unit("interactivity"), _unit("total_tok_s_gpu")
    head = [
        comparison.same_concurrency[0].load.unit,
        *(f"MTP {speed}", f"Off {speed}", "ratio"),
        *(f"MTP {throughput}", f"Off {throughput}", "ratio"),
        *("MTP TTFT s", "Off TTFT s"),
        *(_unit("acceptance_length"), "break-even"),
        "verdict",
    ]
    return _stamped_grid(comparison.stamps, head, [_level(comparison, level) for level in comparison.same_concurrency])


def _level(comparison: Comparison, level: SameConcurrency) -> list[str]:
    return [
        f"{level.load.amount:.6g}",
        number(level.mtp.interactivity),
        number(level.off.interactivity),
        _ratio(level.speedup),
        _with_half_width(level.mtp.total_tok_s_gpu, level.mtp.half_width),
        _with_half_width(level.off.total_tok_s_gpu, level.off.half_width),
        _ratio(level.ratio),
        number(level.mtp.ttft_s),
        number(level.off.ttft_s),
        number(level.mtp.acceptance_length),
        number(level.step_time_ratio),
        _said(comparison.verdict_at_load(level)),
    ]


def _positions(comparison: Comparison, found: Sequence[Positions]) -> str:
    topologies = len(comparison.pair.mtp.topologies) > 1
    head = ["MTP", *(f"position {index + 1}" for index in range(len(found[0].accepted)))]
    rows = [
        [
            level.label if topologies else level.load.label,
            *(MISSING if share is None else number(100 * share) for share in accepted),
        ]
        for level, accepted in found
    ]
    return _stamped_grid(comparison.stamps, head, rows)


def _assumed(comparison: Comparison) -> str:
    assumed = comparison.assumptions
    usd = f"${number(assumed.usd_per_gpu_hour)} per GPU-hour" if assumed.usd_per_gpu_hour else "no price"
    kw = f"{number(assumed.all_in_kw)} kW per GPU, all in" if assumed.all_in_kw else "no all-in power"
    return f"Assumed: {usd} ({escaped(assumed.usd_from)}); {kw} ({escaped(assumed.kw_from)})."


def _differences(comparison: Comparison) -> str:
    found = comparison.diff.differences
    drafting = [d for d in found if d.kind == "speculative" and MISSING in (d.off, d.mtp) and d.name != COMMAND_LINE]
    alone = len(drafting) > EXAMPLES
    rows = [
        [escaped(d.name), d.kind, escaped(_cut(d.off)), escaped(_cut(d.mtp))]
        for d in found
        if not (alone and d in drafting)
    ]
    if alone:
        rows.append([f"{len(drafting)} settings of drafting", "speculative", MISSING, "named in the JSON"])
    return _stamped_grid(comparison.stamps, ["what", "class", "Off value", "MTP value"], rows)


def _cut(text: str) -> str:
    return text if len(text) <= CELL else f"{text[: CELL - 3]}..."


def _choice(choice: Choice) -> Iterator[str]:
    yield f"## {_stamps(choice.stamps)}{escaped(choice.key)}: which draft length"
    for title, unit, found in (
        (f"By {choice.loads}, as measured:", choice.loads, choice.by_concurrency),
        ("By interactivity, the best of all arms:", METRICS["interactivity"].unit, choice.by_interactivity),
    ):
        if found:
            yield title
            arms = sorted({arm for best in found for arm in best.tok_s_gpu})
            head = [unit, *(f"{arm.label} {_unit('total_tok_s_gpu')}" for arm in arms), "run"]
            rows = [
                [f"{best.place:.4g}", *(number(best.tok_s_gpu.get(arm)) for arm in arms), _run(best)] for best in found
            ]
            yield _stamped_grid(choice.stamps, head, rows)


def _run(best: Best) -> str:
    return " or ".join(arm.label for arm in (best.best, *best.tied))


def _unusable(unusable: Sequence[Unusable]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for left in unusable:
        by_reason[left.reason].append(left.row)
    for reason, rows in by_reason.items():
        more = len(rows) - EXAMPLES
        named = ", ".join(rows[:EXAMPLES]) + (f" and {more} more" if more > 0 else "")
        yield f"- {len(rows)} x {escaped(reason)}: {escaped(named)}"


def _stamped_grid(stamps: Sequence[str], head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that says on every line of numbers what they must never lose."""
    if not stamps:
        return grid(head, rows)
    said = escaped(", ".join(stamps))
    return grid([*head, "stamps"], [[*row, said] for row in rows])


def _with_half_width(value: float, half_width: float | None) -> str:
    if half_width is None:
        return number(value)
    return f"{number(value)} {plus_minus(half_width)}"


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return MISSING
    doubt = between(ratio.lo, ratio.hi)
    return f"{number(ratio.value)} ({doubt})" if doubt else number(ratio.value)


def _doubt(ratio: Ratio | None) -> str:
    if ratio is None:
        return MISSING
    return "unknown" if ratio.interpolation is None else percent(ratio.interpolation)


def _said(verdict: Verdict | None) -> str:
    return MISSING if verdict is None else str(verdict)

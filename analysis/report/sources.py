"""Where an arm's numbers are from: command lines, machines, versions, and the points that were thrown out.

Reads the files that each server start left beside its points; a pair of imported rows has none, and its rows speak.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from analysis.diff import flags_of, starts
from analysis.importers.report import REASONS as OF_IMPORTS
from analysis.pairs import Pair, Side
from analysis.report.arms import Plain, number_cells
from analysis.rows import Row, Unusable
from harness.checks import CHECKS
from harness.errors import ResultsError

LEFT_OUT = ("collected", "load_average")
"""Provenance fields that are not shown: they differ between any two starts."""

SHOWN_VALUES = 4
"""Values of one arm that stand side by side; the rest is counted."""


def command_lines(pair: Pair) -> list[tuple[str, str]]:
    """The first start of each arm as a difference: `=`, `-` for Off alone, `+` for MTP alone, and the flag."""
    off, mtp = flags_of(pair.off), flags_of(pair.mtp)
    if not off or not mtp:
        return []
    lines: list[tuple[str, str]] = []
    for kind, low, high, start, stop in difflib.SequenceMatcher(a=off, b=mtp, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += [("=", flag) for flag in off[low:high]]
            continue
        lines += [("-", flag) for flag in off[low:high]]
        lines += [("+", flag) for flag in mtp[start:stop]]
    return lines


def provenance(pair: Pair) -> list[tuple[str, str, str]]:
    """Name, what Off says, what MTP says; several values of one arm side by side."""
    off, mtp = _told(pair.off), _told(pair.mtp)
    names = dict.fromkeys((*off, *mtp))
    return [(name, _joined(off.get(name, ())), _joined(mtp.get(name, ()))) for name in names]


def invalid_points(pair: Pair, unusable: Sequence[Unusable]) -> list[Plain]:
    """Points of the pair's own runs that take no part, each with its reasons and what to do."""
    found: list[Plain] = []
    for name, side in (("off", pair.off), ("mtp", pair.mtp)):
        runs = {(row.folder, row.run_key) for row in side.rows}
        rows = [left.measured for left in unusable if left.measured is not None]
        found += [_thrown_out(name, row) for row in rows if (row.folder, row.run_key) in runs and row.invalid]
    return found


def meaning(code: str) -> str:
    """What a verdict on a point means and what to do about it."""
    return CHECKS[code].meaning if code in CHECKS else OF_IMPORTS.get(code, code.replace("_", " "))


def _thrown_out(arm: str, row: Row) -> Plain:
    return {
        "arm": arm,
        "label": row.label,
        **row.load.fields,
        "launch": row.launch,
        "values": number_cells(row),
        "reasons": [(code, meaning(code)) for code in row.invalid],
    }


def _told(side: Side) -> Mapping[str, tuple[str, ...]]:
    """Name -> the distinct values that an arm's rows and starts give."""
    values: dict[str, dict[str, None]] = {}
    for name, value in (*_by_rows(side), *_by_starts(side)):
        values.setdefault(name, {})[value] = None
    return {name: tuple(found) for name, found in values.items()}


def _by_rows(side: Side) -> Iterator[tuple[str, str]]:
    for row in side.rows:
        yield from (
            (name, str(value))
            for name, value in (
                ("run", row.run_key),
                ("software", row.version),
                ("topology", f"{row.topology.label} on {row.gpus} GPUs"),
                ("day", row.day),
                ("node", row.node),
                ("prompts", row.prompt_hash),
                ("rows", row.origin),
                ("their run", row.run),
                ("source", row.source.partition(" line ")[0] if row.imported else None),
            )
            if value
        )
    yield "launches", str(side.launches)


def _by_starts(side: Side) -> Iterator[tuple[str, str]]:
    for start in starts(side):
        try:
            told = msgspec.json.decode(start.provenance.read_bytes(), type=dict[str, object])
        except FileNotFoundError:
            continue
        except (OSError, msgspec.DecodeError) as error:
            raise ResultsError(f"{start.provenance}: can't be read as provenance: {error}") from error
        yield from _leaves({name: value for name, value in told.items() if name not in LEFT_OUT})


def _leaves(values: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name} ")
        elif isinstance(value, list):
            for number, item in enumerate(value):
                told = item if isinstance(item, dict) else {"": item}
                yield from _leaves(told, f"{above}{name} {number} ")
        elif value is not None:
            yield f"{above}{name}".strip(), str(value)


def _joined(values: Iterable[str]) -> str:
    found = list(values)
    more = len(found) - SHOWN_VALUES
    return " / ".join(found[:SHOWN_VALUES]) + (f" and {more} more" if more > 0 else "")

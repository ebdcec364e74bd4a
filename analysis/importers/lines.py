"""Which rows of a public dashboard stand: a line takes its newest run, and a point that came twice counts once.

A line is one server configuration of one arm. Re-runs replace a line whole, as the dashboard does it, so a run that
measured fewer concurrencies shortens the line. Rows that do not stand are marked, never dropped.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from analysis.importers.inferencex import ORIGIN
from analysis.importers.row import FlatRow, invalid_codes

SUPERSEDED, DUPLICATE = "superseded", "duplicate"

Age: TypeAlias = tuple[str, int, int]


def newest_runs(rows: Iterable[FlatRow]) -> list[FlatRow]:
    """The rows, those of older runs marked `superseded`, exact repetitions `duplicate`.

    Several differing rows of one concurrency in one run are launches of it. Rows of other origins pass unchanged;
    doing it twice changes nothing.
    """
    given = list(rows)
    newest: dict[object, Age] = {}
    for row in given:
        if row.get("origin") == ORIGIN:
            line = row["run_key"]
            newest[line] = max(newest.get(line, _age(row)), _age(row))
    standing = [_judged(row, newest) for row in given]
    return _launches(standing)


def _judged(row: FlatRow, newest: dict[object, Age]) -> FlatRow:
    if row.get("origin") != ORIGIN or _age(row) == newest[row["run_key"]]:
        return row
    date, run, attempt = newest[row["run_key"]]
    by = " ".join(filter(None, [date, f"run {run}/{attempt}" if run >= 0 else ""]))
    return _marked(row, SUPERSEDED) | {"superseded_by": by}


def _launches(rows: Sequence[FlatRow]) -> list[FlatRow]:
    seen: dict[tuple[object, ...], list[FlatRow]] = defaultdict(list)

    def placed(row: FlatRow) -> FlatRow:
        if row.get("origin") != ORIGIN or SUPERSEDED in invalid_codes(row):
            return row
        earlier = seen[row["run_key"], row["concurrency"]]
        if any(_same_measurement(row, other) for other in earlier):
            return _marked(row, DUPLICATE)
        earlier.append(row)
        return row | {"launch": len(earlier) - 1}

    return [placed(row) for row in rows]


def _same_measurement(one: FlatRow, other: FlatRow) -> bool:
    return all(one.get(name) == other.get(name) for name in ("interactivity", "total_tok_s_gpu"))


def _age(row: FlatRow) -> Age:
    """Sorts runs by time: date, then the run's number and attempt; what is not known is oldest."""
    run, _, attempt = str(row.get("run") or "").partition("/")
    return str(row.get("date") or ""), _number(run), _number(attempt)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 20 else -1


def _marked(row: FlatRow, code: str) -> FlatRow:
    codes = invalid_codes(row)
    return row if code in codes else row | {"invalid": [*codes, code]}

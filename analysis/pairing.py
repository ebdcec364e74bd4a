"""Rows -> pairs of arms: who is compared with whom, and in which view.

A pair never mixes emulated with measured, demo with earnest, imported with our own, two engines, two workloads. It may
still be one that can't be compared: that is for `diff` to say. Knows no curve and no number beyond a row's age.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from analysis.pairs import (
    BEST,
    MATCHED,
    Arm,
    Asked,
    Lonely,
    MeasuredLoad,
    Pair,
    Question,
    Side,
    View,
    days_apart,
    loop_of,
)
from analysis.rows import Row, Table

K = TypeVar("K")


def find_pairs(table: Table) -> tuple[tuple[Asked, ...], tuple[Lonely, ...]]:
    """All pairs, in order of their questions; and the arms that found no partner."""
    asked: list[Asked] = []
    lonely: list[Lonely] = []
    for question, rows in sorted(_grouped([*table.rows, *table.older], Question.of).items(), key=_by_key):
        arms = _grouped(rows, _arm)
        off = arms.pop(Arm(0), [])
        if not off or not arms:
            alone = {**arms, Arm(0): off} if off else arms
            lonely += [
                Lonely(f"{question.key}/{arm.key}", tuple(alone[arm]), _elsewhere(question, arm, table))
                for arm in sorted(alone)
            ]
            continue
        asked += [_asked(question, arm, off, arms[arm]) for arm in sorted(arms)]
    return tuple(asked), tuple(lonely)


def _elsewhere(question: Question, arm: Arm, table: Table) -> tuple[str, ...]:
    """The other loops in which the arm that is missing was measured."""
    found = {
        loop_of(row.arrivals)
        for row in (*table.rows, *table.older)
        if replace(Question.of(row), arrivals=question.arrivals) == question
        and row.arrivals != (question.arrivals or None)
        and _arm(row).is_off != arm.is_off
    }
    return tuple(sorted(found))


def _by_key(item: tuple[Question, list[Row]]) -> tuple[str, bool, bool, str]:
    question = item[0]
    return question.key, question.emulated, question.demo, question.origin


def _arm(row: Row) -> Arm:
    draft_tokens = -1 if row.draft_tokens is None else row.draft_tokens
    return Arm(draft_tokens, row.forced_acceptance_length or 0.0)


def _grouped(rows: Iterable[Row], key: Callable[[Row], K]) -> dict[K, list[Row]]:
    groups: dict[K, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def _asked(question: Question, arm: Arm, off: list[Row], mtp: list[Row]) -> Asked:
    matched = tuple(_unique(_matched(question, arm, off, mtp)))
    return Asked(question, arm, matched, _pair(f"{question.key}/best/{arm.key}", question, BEST, arm, off, mtp))


def _matched(question: Question, arm: Arm, off: list[Row], mtp: list[Row]) -> Iterator[Pair]:
    by_request = _grouped(off, lambda row: (row.topology, row.pair_key))
    # Where no Off was asked for with the same settings, the Off with most rows stands in; `diff` says that it does.
    by_topology = {topology: rows for (topology, _), rows in sorted(by_request.items(), key=lambda item: len(item[1]))}
    runs = _grouped(mtp, lambda row: (row.topology, row.pair_key, row.run_key))
    for (topology, request, run_key), rows in sorted(runs.items()):
        partners = by_request.get((topology, request)) or by_topology.get(topology)
        if not partners:
            continue
        shares = sum(key[:2] == (topology, request) for key in runs) > 1
        of_run = Arm(arm.draft_tokens, arm.forced, run_key) if shares else arm
        key = f"{question.key}/{topology.label}/{of_run.key}"
        yield _pair(key, question, MATCHED, of_run, partners, rows)


def _unique(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """The pairs, those that share a key told apart by what was asked of their MTP arm."""
    given = list(pairs)
    keys = [pair.key for pair in given]
    for pair in given:
        digest = pair.mtp.rows[0].run_key.rpartition("-")[2]
        yield pair if keys.count(pair.key) == 1 else replace(pair, key=f"{pair.key}#{digest}")


def _pair(key: str, question: Question, view: View, arm: Arm, off: list[Row], mtp: list[Row]) -> Pair:
    off_rows, mtp_rows = _of_one_time(off, mtp)
    same = _same_request(off_rows, mtp_rows)
    return Pair(key, question, view, _side(Arm(0), off_rows), _side(arm, mtp_rows), same)


def _same_request(off: list[Row], mtp: list[Row]) -> bool:
    """Whether the arms were asked for with the same settings on every topology that both ran."""
    shared = {row.topology for row in off} & {row.topology for row in mtp}
    asked = [{(row.topology, row.pair_key) for row in rows if row.topology in shared} for rows in (off, mtp)]
    return asked[0] == asked[1]


def _side(arm: Arm, rows: Iterable[Row]) -> Side:
    levels = _grouped(rows, lambda row: (row.topology, row.pair_key, row.load))
    return Side(
        arm=arm,
        levels=tuple(
            MeasuredLoad(topology, load, tuple(sorted(launches, key=lambda row: row.launch_id)))
            for (topology, _, load), launches in sorted(levels.items())
        ),
    )


def _of_one_time(off: list[Row], mtp: list[Row]) -> tuple[list[Row], list[Row]]:
    """Of each arm the rows of one software version, chosen so that the two go together.

    The same version first; where one is not told, the runs nearest in time; where all differ, the newest of each. Among
    equals the ones with a curve to draw, then the newest.
    """
    candidates = [
        (_togetherness(off_rows, mtp_rows), off_rows, mtp_rows)
        for off_rows in _editions(off)
        for mtp_rows in _editions(mtp)
    ]
    _, off_rows, mtp_rows = max(candidates, key=lambda candidate: candidate[0])
    return off_rows, mtp_rows


def _editions(rows: list[Row]) -> list[list[Row]]:
    """Rows by version; those that tell none by results folder or by day, because these at least ran together.

    A row that tells none is of the one version that its line ran on that day, where others of that day tell it.
    """
    told: dict[tuple[str, str | None], set[str]] = defaultdict(set)
    for row in rows:
        if row.version:
            told[row.run_key, row.day].add(row.version)

    def edition(row: Row) -> str:
        of_the_day = told[row.run_key, row.day] if row.day else set()
        return row.version or (next(iter(of_the_day)) if len(of_the_day) == 1 else f"of {row.folder or row.day}")

    return list(_grouped(rows, edition).values())


def _togetherness(off: list[Row], mtp: list[Row]) -> tuple[int, int, int, str, str]:
    versions = _version(off), _version(mtp)
    known = 1 if None in versions else 2 * (versions[0] == versions[1])
    off_day, mtp_day = (max((row.day or "" for row in rows), default="") for rows in (off, mtp))
    curve = min(3, *(len({row.load for row in rows}) for rows in (off, mtp)))
    apart = 0 if known != 1 else -(days_apart(off_day, mtp_day) or 0)
    return known, curve, apart, mtp_day, off_day


def _version(edition: list[Row]) -> str | None:
    return next((row.version for row in edition if row.version), None)

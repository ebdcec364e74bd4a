"""Which points a sweep has: the concurrencies asked for outright, and those that its first results call for.

The answer is a function of the sweep and of the rows on disk alone, so that a sweep that was killed goes on with the
same points, and whoever looks at the folder sees the same ones. Rows of the first launch decide, the others follow.

- `refine_pct`: a point is added where interpolation may err by more than asked, judged by how far the curve moves when
  a point is left out; in every arm of a pair, so that arms stay alike.
- `targets`: each arm gets the concurrency at which it should have the interactivity asked for, until one is there.
  Arms get points of their own: at one interactivity they hold different numbers of users.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from harness.front import LEFT_OF_CHANGE, falling, spline, where_falling
from harness.metrics import INTERACTIVITY, THROUGHPUT
from harness.rundir import SweepDir
from harness.spec import Ladder, Point, Run, Sweep, expand

BESIDE = 0.03
"""A point lies beside a target when its interactivity is within this, relative: interpolation over so little errs by
a thousandth, being of second order."""
MOST_ADDED = 8
"""Additions to one arm: noise can ask for ever more."""


class Knot(NamedTuple):
    """What a row says of the curve; `doubt` is the relative half-width of y, 0 where it is not known."""

    x: float
    y: float
    doubt: float


Knots = Mapping[int, Knot]
Wanted = Callable[[Knots], list[int]]
"""Concurrencies that would serve the curve most, best first."""


def points(sweep: Sweep, results: SweepDir) -> tuple[Point, ...]:
    """All points in measuring order, as far as the rows of the folder tell.

    Raises:
        ResultsError: a point's row can't be read.
    """
    if not isinstance(sweep.concurrency, Ladder) or not sweep.concurrency.adaptive:
        return expand(sweep)
    return expand(sweep, added=_added(sweep, sweep.concurrency, results))


def _added(sweep: Sweep, ladder: Ladder, results: SweepDir) -> dict[str, tuple[int, ...]]:
    """Concurrencies beyond the ladder's steps, by Run.key."""
    runs = sweep.all_runs()
    if ladder.targets:
        return {
            run.key: _additions(results, run, ladder.steps, lambda knots: near(knots, ladder.targets)) for run in runs
        }
    assert ladder.refine_pct is not None
    limit = ladder.refine_pct / 100
    shared: dict[str, tuple[int, ...]] = defaultdict(tuple)
    for run in runs:  # each arm builds on what the arms before it, of the same pair, have called for
        steps = (*ladder.steps, *shared[run.baseline.key])
        shared[run.baseline.key] += _additions(results, run, steps, lambda knots: between(knots, limit))
    return {run.key: shared[run.baseline.key] for run in runs}


def _additions(results: SweepDir, run: Run, steps: Sequence[int], wanted: Wanted) -> tuple[int, ...]:
    """What the rows of an arm's first launch call for, one after the other; the last one may not be measured yet."""
    rows = {concurrency: _row(results, run, concurrency) for concurrency in steps}
    added: list[int] = []
    while all(row is not None for row in rows.values()) and len(added) < MOST_ADDED:
        knots = {concurrency: knot for concurrency in sorted(rows) if (knot := _knot(rows[concurrency])) is not None}
        following = next((concurrency for concurrency in wanted(knots) if concurrency not in rows), None)
        if following is None:
            break
        added.append(following)
        rows[following] = _row(results, run, following)
    return tuple(added)


def _row(results: SweepDir, run: Run, concurrency: int) -> dict[str, object] | None:
    files = results.run(run.key).point(f"c{concurrency}-l0")
    return files.row() if files.done else None


def _knot(row: Mapping[str, object] | None) -> Knot | None:
    """None for a row that is invalid or lacks a number."""
    if row is None or row.get("invalid"):
        return None
    x, y, lo, hi = (row.get(name) for name in (INTERACTIVITY, THROUGHPUT, f"{THROUGHPUT}_lo", f"{THROUGHPUT}_hi"))
    if not isinstance(x, int | float) or not isinstance(y, int | float) or x <= 0 or y <= 0:
        return None
    known = isinstance(lo, int | float) and isinstance(hi, int | float)
    return Knot(x, y, (float(str(hi)) - float(str(lo))) / 2 / y if known else 0.0)


def between(knots: Knots, limit: float) -> list[int]:
    """Concurrencies halfway between neighbours where interpolation may err by more than `limit`, relative.

    How far it errs is told by leaving a point out, where that moves the curve by more than the point's own noise.
    """
    users = list(knots)
    moved = {left: _moved(knots, left) for left in users[1:-1]}
    places = {}
    for one, other in pairwise(users):
        err = LEFT_OF_CHANGE * max(moved.get(one, 0.0), moved.get(other, 0.0))
        if err > limit and other - one > 1:
            places[round(math.sqrt(one * other))] = err
    return sorted(places, key=lambda place: -places[place])


def _moved(knots: Knots, left: int) -> float:
    """How far throughput at the knot's interactivity moves when the knot is left out, relative; 0 within its noise."""
    others = [users for users in knots if users != left]
    place = np.log(np.array(others, float))
    log_x, log_y = (np.log([value[i] for users, value in knots.items() if users != left]) for i in (0, 1))
    at = where_falling(place, falling(log_x), np.log([knots[left].x]))
    change = math.expm1(abs(float(spline(place, log_y, at)[0]) - math.log(knots[left].y)))
    return change if math.isfinite(change) and change > knots[left].doubt else 0.0


def near(knots: Knots, targets: Sequence[float]) -> list[int]:
    """For each target inside the curve without a point beside it, the concurrency that should have it."""
    if len(knots) < 2:
        return []
    place, log_x = np.log(np.array(list(knots), float)), falling(np.log([knot.x for knot in knots.values()]))
    far = [t for t in targets if all(abs(math.log(knot.x / t)) > BESIDE for knot in knots.values())]
    log_users = [float(where_falling(place, log_x, np.log([target]))[0]) for target in far]
    return [round(math.exp(at)) for at in log_users if math.isfinite(at)]

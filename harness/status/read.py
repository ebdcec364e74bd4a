"""What a results folder has, what is being measured in it, what went wrong and what is left: from its files alone.

`read` may be asked at any time, from any machine that sees the folder, while a harness is at work in it or after one
was killed. Starts nothing, holds nothing, writes nothing; knows of no queue.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness import config, ladder
from harness.atomic_files import read_json
from harness.plan.guess import Guess, outlook_of, point_s, ready_s, total
from harness.progress.grid import Cell
from harness.rundir import PointDir, SweepDir
from harness.server_note import ServerNote, read_server_note
from harness.spec import Point, Run, Sweep
from harness.units import NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class PointStatus:
    """One point.

    Attributes:
        cell: where it stands; SAVED has raw samples and no row yet: the next `run` scores it without a server.
        invalid, warnings: codes of its row.
        took_s: about how long it was measured; None before it is done, or where nothing was steady.
    """

    point: Point
    cell: Cell
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    took_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that is starting, or measured on."""

    run: Run
    attempt: int
    now: ServerNote


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All of a folder.

    Attributes:
        servers: those in use at this moment.
        left_s: until the last point is done, one server after the other; unknown where a duration can't be guessed.
    """

    folder: Path
    sweep: Sweep
    points: tuple[PointStatus, ...]
    servers: tuple[Server, ...]
    left_s: Guess

    def having(self, *states: Cell) -> tuple[PointStatus, ...]:
        """Points in one of these states, in measuring order."""
        return tuple(each for each in self.points if each.cell in states)


def read(folder: Path) -> Status:
    """Where a sweep stands.

    Raises:
        ResultsError: the folder holds no sweep of ours.
    """
    results = SweepDir(folder)
    sweep = config.load(results.locked())
    notes = {run.key: _notes(results, run) for run in sweep.all_runs()}
    points = tuple(_point(results, point, notes[point.run.key]) for point in ladder.points(sweep, results))
    return Status(
        folder=folder,
        sweep=sweep,
        points=points,
        servers=tuple(
            Server(run=run, attempt=attempt, now=now)
            for run in sweep.all_runs()
            for attempt, now in notes[run.key].items()
            if now.lasts
        ),
        left_s=_left_s(sweep, points, [now for of_run in notes.values() for now in of_run.values()]),
    )


def _notes(results: SweepDir, run: Run) -> dict[int, ServerNote]:
    """What was left by each start of a Run's server, by attempt."""
    found = {attempt.number: read_server_note(attempt) for attempt in results.run(run.key).attempts()}
    return {number: now for number, now in found.items() if now is not None}


def _point(results: SweepDir, point: Point, notes: Mapping[int, ServerNote]) -> PointStatus:
    files = results.run(point.run.key).point(point.folder)
    if files.done:
        return _done(point, files)
    if any(now.lasts and now.point == point.folder for now in notes.values()):
        return PointStatus(point=point, cell=Cell.RUNNING)
    return PointStatus(point=point, cell=Cell.SAVED if files.measured else Cell.LEFT)


def _done(point: Point, files: PointDir) -> PointStatus:
    row = files.row()
    invalid, warnings = (_codes(row.get(name)) for name in ("invalid", "warnings"))
    cell = Cell.of_row(invalid, warnings)
    return PointStatus(point=point, cell=cell, invalid=invalid, warnings=warnings, took_s=_took_s(files))


def _codes(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _took_s(files: PointDir) -> float | None:
    """Start-up, window, and the request that was under way at its end."""
    window = read_json(files.point).get("window")
    if not isinstance(window, dict) or "end_ns" not in window:
        return None
    return float(window["cut_s"] + 2 * window["request_time_s"] + (window["end_ns"] - window["start_ns"]) / NS_PER_S)


def _left_s(sweep: Sweep, points: Sequence[PointStatus], notes: Sequence[ServerNote]) -> Guess:
    """What is left of the points and of the starts, less what is under way has had already."""
    waiting = [each for each in points if each.cell in (Cell.LEFT, Cell.RUNNING)]
    up = {(each.point.run.key, each.point.launch) for each in waiting if each.cell is Cell.RUNNING}
    starts = {(each.point.run.key, each.point.launch): each.point.run for each in waiting}
    measuring = total(_point_s(sweep, each.point, points) for each in waiting)
    starting = total(_ready_s(run, notes) for launch, run in starts.items() if launch not in up)
    had = sum(now.for_s(datetime.now(UTC)) for now in notes if now.lasts)
    return (measuring + starting + Guess(-had, -had)).at_least(0.0)


def _point_s(sweep: Sweep, point: Point, points: Sequence[PointStatus]) -> Guess:
    """As long as the same point took in other launches, or else in other arms, or else as planned."""
    alike = [each for each in points if each.took_s is not None and each.point.load == point.load]
    same = [each for each in alike if each.point.run.key == point.run.key]
    took = [each.took_s for each in same or alike if each.took_s is not None]
    if took:
        return Guess(min(took), max(took))
    return point_s(outlook_of(point, sweep).request_s, sweep, point.rate)


def _ready_s(run: Run, notes: Sequence[ServerNote]) -> Guess:
    """As long as other starts took, or else as planned."""
    took = [now.ready_s for now in notes if now.ready_s is not None]
    return Guess(min(took), max(took)) if took else ready_s(run)

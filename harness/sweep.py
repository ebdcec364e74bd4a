"""Measure a sweep: for each launch of each Run serve it, for each of its points hold the load, save, score, show.

Resumes by what lies in the folder, and starts a server anew when it dies: the point in flight is then a row that says
so, the rest of the launch is measured on the next start. Serving and measuring are `one_launch`'s.
"""

from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from harness import config, ladder, status, virtual
from harness.accuracy import lm_eval
from harness.emulator_clock import refuse_speed
from harness.errors import UserError
from harness.launch.leftovers import reap_leftovers
from harness.one_launch import Work, measure_launch
from harness.progress.grid import Cell
from harness.progress.live import Progress
from harness.rundir import SweepDir
from harness.scoring import score_answers_anew
from harness.sigterm import terminated_is_cancelled
from harness.spec import Point, Sweep
from harness.surroundings import Surroundings, ThisMachine


async def run_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    only: str | None = None,
    retry_invalid: bool = False,
    power_required: bool = False,
    in_virtual_time: bool = False,
    speed: float = 1.0,
) -> list[dict[str, object]]:
    """Measure what is missing of a sweep.

    Args:
        sweep: what is asked.
        folder: where the results lie or will lie.
        only: a glob over `<run key>/<point>`; other points are left for another time.
        retry_invalid: measure points again whose row is invalid.
        power_required: make a point without good power figures invalid, and start nothing without a meter.
        in_virtual_time: the emulator in virtual time, without a server.
        speed: how fast the emulator's clock goes.

    Returns:
        All rows of the folder, those of earlier calls included.

    Raises:
        UserError: the folder is in use or another sweep's, `only` matches nothing, or the speed or what `accuracy`
            asks for can't be had.
        NoMeter: power is required and can't be read.
        ServerError: a server did not come up; what was measured before stays.
    """
    results = SweepDir(folder)
    if in_virtual_time:
        virtual.refuse_task(sweep)
    with results.held(), terminated_is_cancelled():
        results.claim(config.dump(sweep))
        await reap_leftovers(folder)
        if retry_invalid:
            _forget_invalid(results)

        def asked() -> list[Point]:
            return _selected(ladder.points(sweep, results), only)

        if speed != 1.0:
            refuse_speed(speed, asked(), metered=power_required, virtual=in_virtual_time)
        await measure_part(
            sweep,
            results,
            asked,
            ThisMachine(),
            power_required=power_required,
            in_virtual_time=in_virtual_time,
            speed=speed,
        )
        return results.rebuild()


async def measure_part(
    sweep: Sweep,
    results: SweepDir,
    asked: Callable[[], Sequence[Point]],
    surroundings: Surroundings,
    *,
    power_required: bool = False,
    in_virtual_time: bool = False,
    speed: float = 1.0,
) -> None:
    """Measure what is missing of some of a sweep's points, or of all; others may measure the rest beside it.

    Args:
        sweep: what is asked.
        results: where everybody's results lie.
        asked: the points that are to be measured here; rows may add to them.
        surroundings: this machine alone, or the cluster's job.
        power_required: as for `run_sweep`.
        in_virtual_time: as for `run_sweep`.
        speed: as for `run_sweep`.

    Raises:
        NoMeter: power is required and can't be read.
        ServerError: a server did not come up; what was measured before stays.
    """
    with Progress(_cells(results.path, asked())) as progress:
        work = Work(
            sweep=sweep,
            results=results,
            asked=asked,
            surroundings=surroundings,
            progress=progress,
            power_required=power_required,
            in_virtual_time=in_virtual_time,
            speed=speed,
        )
        await _measure(work)


async def _measure(work: Work) -> None:
    """Measure until nothing is missing."""
    _score_leftovers(work)
    _score_answers(work)
    if work.missing() and not work.in_virtual_time:
        await lm_eval.require_loadable_task(work.sweep)
    while todo := work.missing():
        await measure_launch(work, todo[0].run, todo[0].launch)
        _score_answers(work)


def _score_leftovers(work: Work) -> None:
    """Score points whose raw files an interrupted harness left; the others still need a server."""
    for point in work.missing():
        if work.files(point).measured:
            work.score(point)


def _score_answers(work: Work) -> None:
    """Mend rows that were written before it was known what came of their servers' answers."""
    shared = work.surroundings.shares_folder
    points = work.asked() if shared else ladder.points(work.sweep, work.results)
    if score_answers_anew(work.sweep, work.results, points) and not shared:
        work.results.rebuild()


def _cells(folder: Path, asked: Sequence[Point]) -> list[tuple[Point, Cell]]:
    """Where the points stand that this call is about."""
    names = {(point.run.key, point.folder) for point in asked}
    points = status.read(folder).points
    return [(each.point, each.cell) for each in points if (each.point.run.key, each.point.folder) in names]


def _selected(points: Sequence[Point], only: str | None) -> list[Point]:
    chosen = [p for p in points if only is None or fnmatch(f"{p.run.key}/{p.folder}", only)]
    if not chosen:
        raise UserError(f"--only {only}: matches no point; the first is {points[0].run.key}/{points[0].folder}")
    return chosen


def _forget_invalid(results: SweepDir) -> None:
    for files in results.done():
        if files.row().get("invalid"):
            files.reset()

"""Measure a sweep: for each launch of each Run serve it, for each of its points hold the load, save, score, show.

Resumes by what lies in the folder, saves raw samples before anything is computed, and starts a server anew when it
dies: the point in flight is then a row that says so, the rest of the launch is measured on the next start.
"""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import msgspec

from harness import answers, config, evaluation, ladder, load, prompts, status, virtual
from harness.dilation import Dilation, hurried, hurried_load, refuse_speed
from harness.errors import ServerDied, UserError
from harness.launch.leftovers import reap_leftovers
from harness.load.steady import StopRule
from harness.metering import keep_power, power_of, processes_of
from harness.now import leave_note
from harness.plan.client import chunks_s, shards_for
from harness.power.session import Session
from harness.progress.grid import Cell
from harness.progress.live import Progress
from harness.prompts import PromptStream
from harness.records import PointResult, write_jsonl
from harness.rundir import PointDir, SweepDir
from harness.samplefile import write_samples
from harness.scoring import Measured, score_answers_anew, score_point, window_spec
from harness.server import Server, serve
from harness.settle import settle
from harness.spec import Point, Run, Sweep
from harness.surroundings import Surroundings
from harness.termination import terminated_is_cancelled
from harness.whole import atomic, write_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Work:
    """What every step needs.

    Attributes:
        asked: the points that this call is about, in measuring order; rows may add to them.
        progress: who watches.
        power_required: whether a point without power is worth nothing.
        speed: how fast the emulator's clock goes; what it measures is in that clock's time.
        around: None is this machine alone.
    """

    sweep: Sweep
    results: SweepDir
    asked: Callable[[], Sequence[Point]]
    progress: Progress
    power_required: bool
    in_virtual_time: bool = False
    speed: float = 1.0
    around: Surroundings | None = None

    def files(self, point: Point) -> PointDir:
        return self.results.run(point.run.key).point(point.folder)

    def missing(self) -> list[Point]:
        """What has no row yet, in measuring order; rows may add to it."""
        return [point for point in self.asked() if not self.files(point).done]

    def next_of(self, run: Run, launch: int) -> Point | None:
        """The next point of one launch; None when it has no other."""
        return next((point for point in self.missing() if (point.run.key, point.launch) == (run.key, launch)), None)


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
        selected = _selected(ladder.points(sweep, results), only)
        if speed != 1.0:
            refuse_speed(speed, selected, metered=power_required, virtual=in_virtual_time)
        with Progress(_cells(folder, selected)) as progress:
            work = _Work(
                sweep=sweep,
                results=results,
                asked=lambda: _selected(ladder.points(sweep, results), only),
                progress=progress,
                power_required=power_required,
                in_virtual_time=in_virtual_time,
                speed=speed,
            )
            await _measure(work)
        return results.rebuild()


async def measure_part(
    sweep: Sweep,
    results: SweepDir,
    asked: Callable[[], Sequence[Point]],
    around: Surroundings,
    *,
    power_required: bool = False,
    in_virtual_time: bool = False,
) -> None:
    """Measure what is missing of some of a sweep's points, beside others who measure the rest of it.

    Args:
        sweep: what is asked.
        results: where everybody's results lie.
        asked: the points that are to be measured here; rows may add to them.
        around: the cluster's job.
        power_required: as for `run_sweep`.
        in_virtual_time: as for `run_sweep`.

    Raises:
        NoMeter: power is required and can't be read.
        ServerError: a server did not come up; what was measured before stays.
    """
    with Progress(_cells(results.path, asked())) as progress:
        work = _Work(
            sweep=sweep,
            results=results,
            asked=asked,
            progress=progress,
            power_required=power_required,
            in_virtual_time=in_virtual_time,
            around=around,
        )
        await _measure(work)


async def _measure(work: _Work) -> None:
    """Measure until nothing is missing."""
    _score_leftovers(work)
    _score_answers(work)
    if work.missing() and not work.in_virtual_time:
        await evaluation.see_that_it_can(work.sweep)
    while todo := work.missing():
        await _measure_launch(work, todo[0].run, todo[0].launch)
        _score_answers(work)


async def _measure_launch(work: _Work, run: Run, launch: int) -> None:
    """Measure what is missing of a launch; where its server dies, some of it stays missing."""
    if work.in_virtual_time:
        await _emulate_launch(work, run, launch)
    else:
        await _measure_on_one_server(work, run, launch)


async def _emulate_launch(work: _Work, run: Run, launch: int) -> None:
    """Points of one launch in virtual time."""
    folder = work.results.run(run.key)
    write_text(folder.run, run.model_dump_json(indent=1) + "\n")
    attempt = folder.new_attempt()
    started = virtual.started(run, launch, attempt)
    while point := work.next_of(run, launch):
        if work.around:
            await work.around.may_start(point)
        seen = started.observe(work.sweep, point)
        _save(work.files(point), seen, virtual.facts(work.sweep, attempt, seen.aborted))
        _score(work, point)


async def _measure_on_one_server(work: _Work, run: Run, launch: int) -> None:
    """Measure what is missing of a launch on a new server, until it is done or the server has to be left."""
    folder = work.results.run(run.key)
    write_text(folder.run, run.model_dump_json(indent=1) + "\n")
    attempt = folder.new_attempt()
    work.progress.starting(run, launch)
    leave_note(attempt, launch, "starting")
    ready_s = None
    measured: list[Point] = []
    try:
        wrapping = work.around.wrapping(run) if work.around else None
        async with (
            power_of(
                run,
                attempt,
                required=work.power_required,
                idle_s=work.sweep.idle_power_s,
                elsewhere=work.around.elsewhere(run) if work.around else (),
            ) as power,
            serve(
                hurried(run, work.speed), attempt, on_wait=partial(work.progress.waiting, run), wrapping=wrapping
            ) as server,
        ):
            ready_s = server.ready_s
            work.progress.ready(run, ready_s, power.stream if power else None)
            if power is not None:
                await power.served(processes_of(server, work.around))
                await power.idle(work.sweep.idle_power_s, attempt.idle_loaded)
            await answers.ask(server, attempt, "before", work.sweep)
            stream = await prompts.build(work.sweep.workload, server.tokenize, chat=run.model.chat)
            while point := work.next_of(run, launch):
                if work.around:
                    await work.around.may_start(point)
                await settle(server, used=bool(measured))
                leave_note(attempt, launch, "measuring", point=point.folder, ready_s=ready_s)
                work.progress.begins(point, status.time_left(status.read(work.results.path)))
                aborted = await _measure_point(work, server, attempt.number, stream, point, power)
                measured.append(point)
                if aborted == "server_died":
                    break
            else:
                await settle(server)
                await answers.ask(server, attempt, "after", work.sweep)
                await evaluation.evaluate(server, attempt, work.sweep, launch)
    except ServerDied:
        # Between two points nothing is lost; but a server that dies before its first point will do so again.
        if not measured:
            raise
    finally:
        leave_note(attempt, launch, "stopped", ready_s=ready_s)


async def _measure_point(
    work: _Work, server: Server, attempt: int, stream: PromptStream, point: Point, power: Session | None
) -> str | None:
    """Measure, save raw, score, show; why the load was given up, if it was."""
    window = window_spec(work.sweep, power.metering if power else None)
    stop = StopRule(point.concurrency, window, work.sweep.target_half_width_pct, rate=point.rate)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    clock = Dilation(work.speed)
    seen = await load.measure(
        server.engine,
        server.endpoint,
        hurried_load(point, work.speed),
        stream,
        clock.rule(stop),
        died=server.died,
        eos_ids=frozenset(point.run.model.eos_token_ids),
        on_progress=lambda now: work.progress.measuring(
            point,
            elapsed_s=now.elapsed_s,
            expected_s=stop.expected_s / work.speed,
            in_flight=now.in_flight,
            finished=now.finished,
            output_tokens=now.output_tokens,
        ),
        on_reading=work.progress.counters,
        client=work.sweep.client,
        shards=shards_for(chunks_s(point, work.sweep), len(os.sched_getaffinity(0))),
    )
    if work.around:
        await work.around.may_save(seen.aborted)
    measured = clock.measurement(seen)
    metering = await keep_power(work.files(point), measured, power)
    facts = Measured(
        attempt=attempt,
        started=started,
        prompts=stream.facts(len(measured.samples)),
        aborted=measured.aborted,
        health=measured.health,
        counter_failures=measured.counter_failures,
        metering=metering,
        power_required=work.power_required,
        speed=work.speed,
    )
    _save(work.files(point), measured, facts)
    _score(work, point)
    return measured.aborted


def _save(files: PointDir, measured: load.Measurement, facts: Measured) -> None:
    """Raw files before anything is computed: a bug in a metric must not cost an hour of GPU."""
    with atomic(files.engine) as partial_file:
        write_jsonl(partial_file, measured.counters)
    with atomic(files.requests) as partial_file:
        write_samples(partial_file, measured.samples, {"measured": msgspec.to_builtins(facts)})


def _score(work: _Work, point: Point) -> PointResult:
    result = score_point(work.sweep, work.results, point)
    if work.around is None:  # otherwise whoever is last gathers the rows of all
        work.results.rebuild()
    work.progress.finished(point, result)
    return result


def _score_leftovers(work: _Work) -> None:
    """Score points whose raw files an interrupted harness left; the others still need a server."""
    for point in work.missing():
        if work.files(point).measured:
            _score(work, point)


def _score_answers(work: _Work) -> None:
    """Mend rows that were written before it was known what came of their servers' answers."""
    alone = work.around is None
    points = ladder.points(work.sweep, work.results) if alone else work.asked()
    if score_answers_anew(work.sweep, work.results, points) and alone:
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

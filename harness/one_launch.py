"""One launch of a Run, measured: its missing points, one after the other, on one server or in virtual time.

Raw samples are saved before anything is computed. A server that dies is left; what it did not get to stays missing.
"""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import msgspec

from harness import load, prompts, status, virtual
from harness.accuracy import agreement, lm_eval
from harness.atomic_files import atomic, write_text
from harness.emulator_clock import EmulatorClock, load_in_real_time, with_speed
from harness.errors import ServerDied
from harness.load.steady import StopRule
from harness.metering import keep_power, power_of
from harness.plan.client import chunks_s, shards_for
from harness.power.records import Metering
from harness.power.session import Session
from harness.progress.live import Progress
from harness.prompts import PromptStream
from harness.records import write_jsonl
from harness.rundir import AttemptDir, PointDir, SweepDir
from harness.samplefile import write_samples
from harness.scoring import Measured, score_point, window_spec
from harness.server import Server, serve
from harness.server_note import write_server_note
from harness.settle import settle
from harness.spec import Point, Run, Sweep
from harness.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Work:
    """What every step needs.

    Attributes:
        asked: the points that this call is about, in measuring order; rows may add to them.
        surroundings: where they are measured.
        progress: who watches.
        power_required: whether a point without power is worth nothing.
        speed: how fast the emulator's clock goes; what it measures is in that clock's time.
    """

    sweep: Sweep
    results: SweepDir
    asked: Callable[[], Sequence[Point]]
    surroundings: Surroundings
    progress: Progress
    power_required: bool
    in_virtual_time: bool
    speed: float

    def files(self, point: Point) -> PointDir:
        """A point's files."""
        return self.results.run(point.run.key).point(point.folder)

    def missing(self) -> list[Point]:
        """What has no row yet, in measuring order; rows may add to it."""
        return [point for point in self.asked() if not self.files(point).done]

    def next_of(self, run: Run, launch: int) -> Point | None:
        """The next point of one launch; None when it has no other."""
        return next((point for point in self.missing() if (point.run.key, point.launch) == (run.key, launch)), None)

    def count_done(self, run: Run, launch: int) -> int:
        """How many points of one launch have a row."""
        of_launch = [point for point in self.asked() if (point.run.key, point.launch) == (run.key, launch)]
        return sum(self.files(point).done for point in of_launch)

    def save(self, point: Point, measured: load.Measurement, facts: Measured) -> None:
        """Write raw files before anything is computed: a bug in a metric must not cost an hour of GPU."""
        files = self.files(point)
        with atomic(files.engine) as partial_file:
            write_jsonl(partial_file, measured.counters)
        with atomic(files.requests) as partial_file:
            write_samples(partial_file, measured.samples, {"measured": msgspec.to_builtins(facts)})

    def score(self, point: Point) -> None:
        """Write a point's row, and show it."""
        result = score_point(self.sweep, self.results, point)
        if not self.surroundings.shares_folder:  # otherwise whoever is last gathers the rows of all
            self.results.rebuild()
        self.progress.finished(point, result)


@dataclass(frozen=True, slots=True)
class _Served:
    """A server that is ready, and the launch that is measured on it.

    Attributes:
        run: as it was asked for; its server's clock may go faster.
        attempt: files of this start.
        power: None where none is read.
    """

    work: Work
    run: Run
    launch: int
    attempt: AttemptDir
    server: Server
    power: Session | None


async def measure_launch(work: Work, run: Run, launch: int) -> None:
    """Measure what is missing of a launch; where its server dies, some of it stays missing."""
    if work.in_virtual_time:
        await _emulate_launch(work, run, launch)
    else:
        await _measure_on_one_server(work, run, launch)


def _new_attempt(work: Work, run: Run) -> AttemptDir:
    """The folder of a Run's next start; what the Run is stands beside it."""
    folder = work.results.run(run.key)
    write_text(folder.run, run.model_dump_json(indent=1) + "\n")
    return folder.new_attempt()


async def _emulate_launch(work: Work, run: Run, launch: int) -> None:
    """Points of one launch in virtual time."""
    attempt = _new_attempt(work, run)
    started = virtual.started(run, launch, attempt)
    while point := work.next_of(run, launch):
        await work.surroundings.may_start(point)
        seen = started.observe(work.sweep, point)
        work.save(point, seen, virtual.facts(work.sweep, attempt, seen.aborted))
        work.score(point)


async def _measure_on_one_server(work: Work, run: Run, launch: int) -> None:
    """Measure what is missing of a launch on a new server, until it is done or the server has to be left."""
    done_before = work.count_done(run, launch)
    try:
        async with _serving(work, run, launch) as served:
            await _before_load(served)
            if await _measure_points(served):
                await _after_load(served)
    except ServerDied:
        # Between two points nothing is lost; but a server that dies before its first point will do so again.
        if work.count_done(run, launch) == done_before:
            raise


@asynccontextmanager
async def _serving(work: Work, run: Run, launch: int) -> AsyncIterator[_Served]:
    """A new server for a launch, its power metered from before it starts; notes say what is being done with it."""
    attempt = _new_attempt(work, run)
    work.progress.starting(run, launch)
    write_server_note(attempt, launch, "starting")
    ready_s = None
    try:
        wrapping = work.surroundings.wrapping(run)
        async with (
            power_of(
                run,
                attempt,
                required=work.power_required,
                idle_s=work.sweep.idle_power_s,
                other_nodes=work.surroundings.other_nodes(run),
            ) as power,
            serve(
                with_speed(run, work.speed), attempt, on_wait=partial(work.progress.waiting, run), wrapping=wrapping
            ) as server,
        ):
            ready_s = server.ready_s
            work.progress.ready(run, ready_s, power.stream if power else None)
            yield _Served(work, run, launch, attempt, server, power)
    finally:
        write_server_note(attempt, launch, "stopped", ready_s=ready_s)


async def _before_load(served: _Served) -> None:
    """Tell who is on the GPUs, read their idle power, and have the first answers."""
    work, server, power = served.work, served.server, served.power
    if power is not None:
        await power.served(work.surroundings.server_processes(server.endpoint.pid))
        await power.idle(work.sweep.idle_power_s, served.attempt.idle_loaded)
    await agreement.ask(server, served.attempt, "before", work.sweep)


async def _measure_points(served: _Served) -> bool:
    """Measure what is missing of the launch, point after point; False when the server died of one."""
    work, run, launch, server = served.work, served.run, served.launch, served.server
    stream = await prompts.build(work.sweep.workload, server.tokenize, chat=run.model.chat)
    used = False
    while point := work.next_of(run, launch):
        await work.surroundings.may_start(point)
        await settle(server, used=used)
        write_server_note(served.attempt, launch, "measuring", point=point.folder, ready_s=server.ready_s)
        work.progress.begins(point, status.time_left(status.read(work.results.path)))
        if await _measure_point(served, stream, point) == "server_died":
            return False
        used = True
    return True


async def _after_load(served: _Served) -> None:
    """Have the last answers, and put lm-eval's task where the sweep asks for one."""
    server, sweep = served.server, served.work.sweep
    await settle(server)
    await agreement.ask(server, served.attempt, "after", sweep)
    await lm_eval.evaluate(server, served.attempt, sweep, served.launch)


async def _measure_point(served: _Served, stream: PromptStream, point: Point) -> str | None:
    """Measure, save raw, score, show; why the load was given up, if it was."""
    work, power = served.work, served.power
    window = window_spec(work.sweep, power.metering if power else None)
    stop = StopRule(point.concurrency, window, work.sweep.target_half_width_pct, rate=point.rate)
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), EmulatorClock(work.speed)
    seen = await _hold_load(served, stream, point, stop, clock)
    await work.surroundings.may_save(seen.aborted)
    measured = clock.measurement(seen)
    metering = await keep_power(work.files(point), measured, power)
    work.save(point, measured, _facts(served, stream, measured, metering, started))
    work.score(point)
    return measured.aborted


async def _hold_load(
    served: _Served, stream: PromptStream, point: Point, stop: StopRule, clock: EmulatorClock
) -> load.Measurement:
    """The point's load on the server, as our clock sees it; `stop` rules in the emulator's time."""
    work, server = served.work, served.server
    return await load.measure(
        server.engine,
        server.endpoint,
        load_in_real_time(point, work.speed),
        stream,
        clock.rule(stop),
        died=server.died,
        eos_ids=frozenset(point.run.model.eos_token_ids),
        on_progress=partial(_report, work, point, stop),
        on_reading=work.progress.counters,
        client=work.sweep.client,
        shards=shards_for(chunks_s(point, work.sweep), len(os.sched_getaffinity(0))),
    )


def _report(work: Work, point: Point, stop: StopRule, now: load.LoadProgress) -> None:
    """Show how far a point's load is, in our time."""
    work.progress.measuring(
        point,
        elapsed_s=now.elapsed_s,
        expected_s=stop.expected_s / work.speed,
        in_flight=now.in_flight,
        finished=now.finished,
        output_tokens=now.output_tokens,
    )


def _facts(
    served: _Served, stream: PromptStream, measured: load.Measurement, metering: Metering | None, started: str
) -> Measured:
    """What stands beside the samples of a point that began at `started` (UTC, ISO 8601)."""
    return Measured(
        attempt=served.attempt.number,
        started=started,
        prompts=stream.facts(len(measured.samples)),
        aborted=measured.aborted,
        health=measured.health,
        counter_failures=measured.counter_failures,
        metering=metering,
        power_required=served.work.power_required,
        speed=served.work.speed,
    )

"""A launch of the emulator in virtual time: the same command line, samples and counters, no server and no waiting.

A point that would take its GPUs ten minutes takes seconds. What it leaves is what the load generator would have
recorded with a perfect clock and no network; nothing here scores or saves samples.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import msgspec

from harness.arrivals import most_in_flight, schedule_s
from harness.atomic_files import write_json
from harness.emulator.command import settings
from harness.emulator.settings import VERSION, Settings
from harness.emulator.virtual_load import Observed, StopCheck, closed_loop, open_loop
from harness.engines import engine_named
from harness.engines.emulator import classified
from harness.errors import UserError
from harness.load import Measurement
from harness.load.steady import StopRule
from harness.metrics.requests import CUT_OFF
from harness.records import ClientHealth
from harness.rundir import AttemptDir
from harness.scoring import Measured
from harness.spec import Point, Run, Sweep

NODE = "virtual"
SLOWEST_S = 86_400.0
"""Virtual time after which a point is given up, whatever its stop rule says."""

PERFECT = ClientHealth(busy=0.0, lateness_p50_s=0.0, lateness_p99_s=0.0, lateness_max_s=0.0)


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of a Run's emulator that never happens."""

    run: Run
    asked: Settings

    def observe(self, sweep: Sweep, point: Point) -> Measurement:
        """The point as its load generator would have recorded it, stopped by the same rule."""
        rule = StopRule(point.concurrency, sweep.window, sweep.target_half_width_pct, rate=point.rate)
        seen = self._seen(point, rule.look)
        return Measurement(
            samples=seen.samples,
            counters=seen.counters,
            health=PERFECT,
            started_ns=seen.counters[0].t_ns,
            stopped_ns=seen.counters[-1].t_ns,
            aborted="overloaded" if point.rate is not None and _backlog(seen) > most_in_flight(point.run) else None,
        )

    def _seen(self, point: Point, stop: StopCheck) -> Observed:
        asked, workload = self.asked, point.workload
        loop = (
            partial(open_loop, due_s=schedule_s(point), most=most_in_flight(point.run))
            if point.concurrency is None
            else partial(closed_loop, concurrency=point.concurrency)
        )
        return loop(
            asked.profile,
            isl=workload.isl,
            osl=workload.osl,
            duration_s=SLOWEST_S,
            speculation=asked.speculation,
            limits=asked.limits,
            stop=stop,
            seed=asked.seed + point.load.seed,
        )


def _backlog(seen: Observed) -> int:
    """Requests in flight at the end."""
    return int((seen.samples.error == CUT_OFF).sum())


def refuse_task(sweep: Sweep) -> None:
    """Stop where answers are to be looked at: in virtual time there are none.

    Raises:
        UserError: the sweep asks for a task of lm-eval.
    """
    if sweep.accuracy is not None:
        raise UserError("--virtual: accuracy puts a task to a server; leave it out of the sweep")


def started(run: Run, launch: int, attempt: AttemptDir) -> Launch:
    """A launch, with the files that a start leaves: its command, what it says of itself, where it ran.

    Raises:
        UserError: the Run's engine is a real one, or is told to misbehave.
    """
    if run.engine.name != "emulator":
        raise UserError(f"--virtual: {run.engine.name} is a real engine; add --engine emulator")
    name = f"{run.key}-{launch}"
    argv = _command_line(run, name)
    asked = settings(argv)
    if asked.faults or asked.speed != 1.0:
        raise UserError("--virtual: faults and a speed need a server; leave them out of engine.args")
    shown = ["<served-name>" if word == name else word for word in argv]
    write_json(attempt.argv, {"argv": shown, "env": {}, "stamps": list(engine_named("emulator").stamps(run))})
    write_json(attempt.configuration, msgspec.to_builtins(classified(asked.described(), run)))
    write_json(attempt.provenance, {"engine_version": VERSION, "node": NODE})
    return Launch(run, asked)


def settings_of(run: Run) -> Settings:
    """What an emulator of a Run would be started with."""
    return settings(_command_line(run, run.key))


def _command_line(run: Run, name: str) -> list[str]:
    engine = engine_named("emulator")
    parts = (
        engine.common_args(run, host="127.0.0.1", port=1, served_name=name),
        engine.mtp_args(run.mtp),
        engine.derived_args(run),
    )
    return [word for part in parts for word in part.args]


def facts(sweep: Sweep, attempt: AttemptDir, aborted: str | None) -> Measured:
    """What stands beside the samples: prompts of a length, no text."""
    said = json.dumps({"virtual": True, "workload": sweep.workload.model_dump(mode="json")}, sort_keys=True)
    return Measured(
        attempt=attempt.number,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        aborted=aborted,
        prompts={"hash": hashlib.sha256(said.encode()).hexdigest()[:16], "virtual": True},
        health=PERFECT,
    )

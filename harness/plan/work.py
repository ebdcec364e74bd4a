"""A Sweep to the work that it means: every start and every point, each with its command and its guesses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.emulator.profile import Profile
from harness.engines import Additions, Engine, engine_named
from harness.errors import EngineMissing, UserError
from harness.plan.guess import Guess, Outlook, fitted_profile, outlook_of, point_s, ready_s, total
from harness.plan.memory import Memory, memory
from harness.provenance.disclosure import Placeholders
from harness.spec import Point, Prices, Run, Sweep, expand
from harness.units import SECONDS_PER_HOUR

PORT = 65535  # no server gets it here: it stands for the port in the command, and is replaced
NAME = "served-name-of-the-launch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How a Run's server will be started.

    Attributes:
        argv: with placeholders for what is new in each launch; empty where the server runs already.
        env: variables that are added to the environment.
        arm: what the arm alone brings to both; Off may bring something too (graph sizes).
        note: why the program can't be found here, or where the server runs; None when there is nothing to say.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    arm: Additions
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPoint:
    """One load of a Run, measured once in each launch: what its users may see, seconds of the whole point."""

    point: Point
    outlook: Outlook
    point_s: Guess


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One Run; its server is started once in each launch. Without a profile its speeds come of a roofline."""

    run: Run
    command: Command
    ready_s: Guess
    points: tuple[PlannedPoint, ...]
    memory: Memory
    profile: Profile | None

    @property
    def launch_s(self) -> Guess:
        """Seconds of one start and all its points."""
        return self.ready_s + total(point.point_s for point in self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All of a Sweep.

    Attributes:
        hours: from the first start to the last point, one server after the other.
        gpu_hours: the same, times each server's GPUs.
        usd: tier -> $ of the GPU-hours; empty without prices, and `usd_reason` says why.
        prices: what the $ were computed with.
    """

    sweep: Sweep
    runs: tuple[PlannedRun, ...]
    hours: Guess
    gpu_hours: Guess
    usd: Mapping[str, Guess]
    usd_reason: str | None
    prices: Prices | None


def plan(sweep: Sweep, *, day: str | None = None) -> Plan:
    """What a sweep will do and take.

    Args:
        sweep: what is asked.
        day: prices of this day, ISO date; None is today.

    Raises:
        UserError: an engine can't be started as asked.
    """
    points = expand(sweep.model_copy(update={"launches": 1}))
    runs = tuple(_planned(run, sweep, [point for point in points if point.run == run]) for run in sweep.all_runs())
    per_hour = sweep.launches / SECONDS_PER_HOUR
    gpu_hours = total(run.launch_s * (per_hour * run.run.parallel.gpus) for run in runs)
    prices = sweep.gpu.prices_on(day or datetime.now(UTC).date().isoformat())
    tiers = prices.usd_per_gpu_hour if prices else {}
    return Plan(
        sweep=sweep,
        runs=runs,
        hours=total(run.launch_s * per_hour for run in runs),
        gpu_hours=gpu_hours,
        usd={tier: gpu_hours * usd for tier, usd in tiers.items()},
        usd_reason=None if tiers else f"{sweep.gpu.name} has no prices" + (f" on {day}" if day else ""),
        prices=prices,
    )


def _planned(run: Run, sweep: Sweep, points: Sequence[Point]) -> PlannedRun:
    return PlannedRun(
        run=run,
        command=_command(run),
        ready_s=ready_s(run),
        points=tuple(_point(point, sweep) for point in points),
        memory=memory(run),
        profile=fitted_profile(run),
    )


def _point(point: Point, sweep: Sweep) -> PlannedPoint:
    outlook = outlook_of(point, sweep)
    return PlannedPoint(point=point, outlook=outlook, point_s=point_s(outlook.request_s, sweep, point.rate))


def _command(run: Run) -> Command:
    engine = engine_named(run.engine.name)
    if run.engine.endpoint is not None:
        return Command(argv=(), env={}, arm=Additions(), note=f"runs already, at {run.engine.endpoint}")
    program, note = _program(engine, run)
    common = engine.common_args(run, host="127.0.0.1", port=PORT, served_name=NAME)
    mtp, derived = engine.mtp_args(run.mtp), engine.derived_args(run)
    arm = Additions((*mtp.args, *derived.args), {**mtp.env, **derived.env})
    placeholders = Placeholders(words={str(PORT): "<port>"}, parts={NAME: "<served-name>"})
    argv = (*program, *common.args, *arm.args)
    return Command(
        argv=tuple(str(placeholders.hide(word)) for word in argv),
        env={**common.env, **arm.env},
        arm=arm,
        note=note,
    )


def _program(engine: Engine, run: Run) -> tuple[tuple[str, ...], str | None]:
    """First words of the command; where the program is not here, without its place, and why."""
    try:
        return engine.executable(run), None
    except (EngineMissing, UserError) as e:
        in_image = run.engine.model_copy(update={"venv": None, "image": "any"})
        return engine.executable(run.model_copy(update={"engine": in_image})), str(e)

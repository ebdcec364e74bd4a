"""A Plan as plain text: a table of points, the totals, the commands."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.plan.client import chunks_s, shards_for
from harness.plan.guess import Guess
from harness.plan.memory import Memory
from harness.plan.work import Plan, PlannedRun
from harness.spec import Ladder, Run
from harness.units import MISSING, SECONDS_PER_HOUR, duration, number

HEADINGS = ("run", "GPUs", "start", "{load}", "tok/s/user", "tok/s/GPU", "a request", "a point")


def render(plan: Plan) -> str:
    """The whole plan, for a terminal; no line break at the end."""
    blocks = (_head(plan), _points(plan), _totals(plan), *_commands(plan))
    return "\n\n".join("\n".join(block) for block in blocks)


def _labels(plan: Plan) -> dict[str, PlannedRun]:
    """Runs by the name of their arm, numbered where that says too little."""
    arms = [planned.run.mtp.label for planned in plan.runs]
    return {
        arm if arms.count(arm) == 1 else f"{arm}, run {index}": planned
        for index, (arm, planned) in enumerate(zip(arms, plan.runs, strict=True))
    }


def _head(plan: Plan) -> Iterator[str]:
    sweep, starts = plan.sweep, len(plan.runs) * plan.sweep.launches
    yield f"{sweep.name}: {sweep.model.label} in {sweep.precision} on {sweep.gpu.label}, {sweep.engine.name}"
    yield f"{sweep.workload.isl} tokens in, {sweep.workload.osl} out ({sweep.workload.name})"
    yield f"{starts} server starts, {starts * sweep.loads} points"
    if sweep.arrivals is not None:
        yield f"open loop: arrivals {sweep.arrivals.label}, sent when they are due"
    if isinstance(sweep.concurrency, Ladder) and sweep.concurrency.refine_pct is not None:
        yield f"and those that refine_pct: {sweep.concurrency.refine_pct:g} adds between them"
    if isinstance(sweep.concurrency, Ladder) and sweep.concurrency.targets:
        targets = ", ".join(f"{target:g}" for target in sweep.concurrency.targets)
        yield f"and for each arm those that come nearest to {targets} tok/s/user"
    if sweep.demo:
        yield "demo: short windows, to look at; no verdict comes of it"


def _points(plan: Plan) -> Iterator[str]:
    loads = "users" if plan.sweep.rate is None else "requests/s"
    rows = [tuple(heading.format(load=loads) for heading in HEADINGS)]
    for label, planned in _labels(plan).items():
        arm = (label, str(planned.run.parallel.gpus), _span(planned.ready_s))
        for point in planned.points:
            outlook = point.outlook
            speeds = (_span(outlook.interactivity, number), _span(outlook.total_tok_s_gpu, number))
            load = f"{point.point.load.amount:.6g}"
            rows.append((*arm, load, *speeds, _span(outlook.request_s), _span(point.point_s)))
            arm = ("", "", "")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    reasons = {point.outlook.request_s.reason for planned in plan.runs for point in planned.points}
    yield from (f"{MISSING} no guess of a request: {reason}" for reason in sorted(filter(None, reasons)))


def _totals(plan: Plan) -> Iterator[str]:
    yield from _basis(plan)
    if plan.hours.reason:
        yield f"time    unknown: {plan.hours.reason}"
    else:
        gpu_hours = _span(plan.gpu_hours, number)
        yield f"time    {_span(plan.hours * SECONDS_PER_HOUR)}, one server after the other; {gpu_hours} GPU-hours"
    if plan.usd_reason or plan.hours.reason:
        yield f"cost    unknown: {plan.usd_reason or plan.hours.reason}"
    else:
        for tier, usd in plan.usd.items():
            since = f", prices since {plan.prices.since}" if plan.prices else ""
            yield f"cost    {_span(usd, lambda value: f'${number(value)}')} ({tier}{since})"
    yield from _client(plan)
    labels = _labels(plan)
    for memory in dict.fromkeys(planned.memory for planned in plan.runs):
        of = [label for label, planned in labels.items() if planned.memory == memory]
        yield f"memory  {_memory(memory)}" + (f" ({', '.join(of)})" if len(of) < len(plan.runs) else "")


def _basis(plan: Plan) -> Iterator[str]:
    """What the expected speeds rest on."""
    for profile in {planned.profile for planned in plan.runs if planned.profile}:
        yield f"speeds  profile {profile.name}: {profile.source}"
    if any(planned.profile is None and not planned.points[0].outlook.request_s.reason for planned in plan.runs):
        yield "speeds  a roofline at a quarter and at three quarters of the GPU's peak; no measurement of this system"
    if any(not planned.run.is_off and planned.run.mtp.forced_acceptance_length is None for planned in plan.runs):
        golden = plan.sweep.model.golden
        acceptance = f"taken as the golden length ({golden.name})" if golden else "anything from none to all"
        yield f"        natural acceptance is {acceptance}"


def _client(plan: Plan) -> Iterator[str]:
    """What the load generator needs, where one process is not enough for it."""
    points = [planned_point.point for planned in plan.runs for planned_point in planned.points]
    expected = max((chunks_s(point, plan.sweep) for point in points), key=lambda guess: guess.high or 0.0)
    shards = shards_for(expected)
    if shards > 1 and expected.high is not None:
        yield f"client  up to {expected.high:,.0f} chunks/s: {shards} processes, each needs a core beside the engine's"


def _memory(memory: Memory) -> str:
    if memory.weights_gb is None or memory.kv_gb is None:
        return f"unknown: {memory.reason}"
    needed = f"{number(memory.weights_gb)} GB of weights, {number(memory.kv_gb)} GB of KV cache when full"
    verdict = "" if memory.fits else ": too little, requests will wait or be preempted"
    return f"{needed}, activations on top; {number(memory.available_gb)} GB there{verdict}"


def _commands(plan: Plan) -> Iterator[list[str]]:
    """A block for each Run; arms of one baseline show only what is their own."""
    shown: dict[Run, str] = {}
    for label, planned in _labels(plan).items():
        command = planned.command
        first = shown.setdefault(planned.run.baseline, label)
        if first == label:
            note = f" {command.note}" if command.note else ""
            yield [f"{label}:{note}", *_lines(command.env, command.argv)]
        else:
            yield [f"{label}: as {first}, with", *_lines(command.arm.env, command.arm.args)]


def _lines(env: Mapping[str, str], argv: Sequence[str]) -> Iterator[str]:
    yield from (f"  {name}={shlex.quote(value)}" for name, value in env.items())
    if argv:
        yield f"  {_shell(argv)}"


def _shell(argv: Sequence[str]) -> str:
    """A command as it could be typed, placeholders bare."""
    return " ".join(word if word in {"<port>", "<served-name>"} else shlex.quote(word) for word in argv)


def _span(guess: Guess, show: Callable[[float], str] = duration) -> str:
    if guess.low is None or guess.high is None:
        return MISSING
    low, high = show(guess.low), show(guess.high)
    return low if low == high else f"{low} to {high}"

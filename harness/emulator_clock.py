"""The emulator's clock, N times faster than ours: what a client stamps, put back into the emulator's time.

Every time is stretched from one moment on, so that windows, latencies and rates come out in the emulator's seconds. So
does what is not the emulator's: how late the client was, and the milliseconds between a user's requests are N times as
long there. Verdicts (client_bound, littles_law) see them as they see all else. Starts and sends nothing.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from harness.emulator.expected import Load, expected
from harness.errors import UserError
from harness.load import Measurement, Stop
from harness.records import ClientHealth, Int64, Reads, RequestSample
from harness.spec import Point, Run
from harness.virtual import settings_of

CHUNKS_S = 10_000.0
"""Chunks a real second that one emulator is asked for, at most: beyond, its own steps come late."""


@dataclass(frozen=True, slots=True)
class EmulatorClock:
    """A clock that was ours at `origin_ns` and goes `speed` times as fast since."""

    speed: float
    origin_ns: int = field(default_factory=time.monotonic_ns)

    def ns(self, ours: int) -> int:
        """Its reading at a moment of ours."""
        return self.origin_ns + round((ours - self.origin_ns) * self.speed)

    def all_ns(self, ours: Int64) -> Int64:
        """Its readings at moments of ours."""
        since: Int64 = np.rint((ours - self.origin_ns) * self.speed).astype(np.int64)
        return since + self.origin_ns

    def rule(self, stop: Stop) -> Stop:
        """A stop rule that sees all in its time."""
        return stop if self.speed == 1.0 else _StopInEmulatorTime(stop, self)

    def measurement(self, seen: Measurement) -> Measurement:
        """All of a point, in its time."""
        if self.speed == 1.0:
            return seen
        samples = seen.samples
        return replace(
            seen,
            samples=replace(
                samples,
                due_ns=np.where(samples.due_ns < 0, samples.due_ns, self.all_ns(samples.due_ns)),
                sent_ns=self.all_ns(samples.sent_ns),
                end_ns=self.all_ns(samples.end_ns),
                chunk_ns=self.all_ns(samples.chunk_ns),
            ),
            counters=tuple(msgspec.structs.replace(each, t_ns=self.ns(each.t_ns)) for each in seen.counters),
            health=self._health(seen.health),
            started_ns=self.ns(seen.started_ns),
            stopped_ns=self.ns(seen.stopped_ns),
        )

    def sample(self, seen: RequestSample) -> RequestSample:
        """A request, in its time."""
        return msgspec.structs.replace(
            seen,
            due_ns=None if seen.due_ns is None else self.ns(seen.due_ns),
            sent_ns=self.ns(seen.sent_ns),
            end_ns=self.ns(seen.end_ns),
            chunk_ns=self.all_ns(seen.chunk_ns),
        )

    def _health(self, seen: ClientHealth) -> ClientHealth:
        late = {name: getattr(seen, name) * self.speed for name in LATENESS}
        reads = seen.reads and msgspec.structs.replace(
            seen.reads, **{name: getattr(seen.reads, name) * self.speed for name in LATE_READS}
        )
        return msgspec.structs.replace(seen, **late, reads=reads)


LATENESS = tuple(name for name in ClientHealth.__struct_fields__ if name.startswith("lateness_"))
LATE_READS = tuple(name for name in Reads.__struct_fields__ if name.endswith("_s"))


class _StopInEmulatorTime:
    """A stop rule that sees all in the time of another clock."""

    def __init__(self, rule: Stop, clock: EmulatorClock) -> None:
        self._rule = rule
        self._clock = clock
        self._finished: list[RequestSample] = []

    def look(self, now_ns: int, finished: Sequence[RequestSample]) -> bool:
        """Whether to stop now; arguments in our time."""
        self._finished += map(self._clock.sample, finished[len(self._finished) :])
        return self._rule.look(self._clock.ns(now_ns), self._finished)


def with_speed(run: Run, speed: float) -> Run:
    """The same Run on a server whose clock goes faster."""
    if speed == 1.0:
        return run
    engine = run.engine.model_copy(update={"args": (*run.engine.args, "--speed", f"{speed:g}")})
    return run.model_copy(update={"engine": engine})


def load_in_real_time(point: Point, speed: float) -> Point:
    """The point as our clock sees it: requests that are due come as much sooner; users wait for the server anyway."""
    return point if point.rate is None else point.model_copy(update={"rate": point.rate * speed})


def refuse_speed(speed: float, points: Sequence[Point], *, metered: bool, virtual: bool) -> None:
    """See that a speed can be had.

    Raises:
        UserError: time is not the emulator's, or more chunks would come than it sends in time.
    """
    if speed <= 0:
        raise UserError(f"--speed {speed:g}: give a number above 0")
    if virtual or metered:
        raise UserError(
            f"--speed: not with {'--virtual, which has none' if virtual else '--require-power, in our time'}"
        )
    for engine in {point.run.key: point.run.engine for point in points}.values():
        if engine.name != "emulator":
            raise UserError(f"--speed: {engine.name} is a real engine and has one speed; add --engine emulator")
        if engine.endpoint is not None:
            raise UserError(f"--speed: the emulator at {engine.endpoint} runs already, at its own speed")
    most, point = max(_rates(points), key=lambda rate: rate[0])
    if most * speed > CHUNKS_S:
        users = point.load.words if point.concurrency is None else f"{point.concurrency} users"
        raise UserError(
            f"--speed {speed:g}: {users} of {point.run.mtp.label} would get {most * speed:,.0f} chunks a "
            f"second, of which {CHUNKS_S:,.0f} come in time: --speed {CHUNKS_S / most:.1f} at most, or --only less, "
            "or --virtual"
        )


def _rates(points: Sequence[Point]) -> Iterator[tuple[float, Point]]:
    """Chunks a second of each point in the emulator's time: a step brings each user one."""
    known = {run.key: settings_of(run) for run in {point.run.key: point.run for point in points}.values()}
    for point in points:
        asked = known[point.run.key]
        if point.concurrency is None:
            yield point.load.amount * point.workload.osl / asked.speculation.acceptance_length, point
            continue
        load = Load(
            users=point.concurrency,
            isl=point.workload.isl,
            osl=point.workload.osl,
            draft_tokens=asked.speculation.draft_tokens,
            acceptance_length=asked.speculation.acceptance_length,
        )
        yield point.concurrency * expected(asked.profile, load).interactivity / load.acceptance_length, point

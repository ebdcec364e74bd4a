"""When the requests of an open loop are due: one seeded schedule for a point, whoever sends it.

The gaps are drawn for a rate of 1 and stretched to the point's, seeded by the workload and the launch: both arms get
the same schedule, every rate the same pattern, every launch another one (a trace is begun at another place). Processes
that share a point each take every n-th arrival of the one schedule: together they send it whatever their number.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError
from harness.paths import expand
from harness.spec import Arrivals, Point, Run, Trace
from harness.trace import digest, read_trace

_DRAWN = 1024
_STREAM = 5
"""Keeps these draws apart from others of the same seed."""

Gaps = NDArray[np.float64]


def most_in_flight(run: Run) -> int:
    """Requests in flight that no server works off: three full batches queue behind the one that it decodes."""
    return 64 + 4 * run.settings.max_running_requests


def schedule_s(point: Point, share: int = 0, shares: int = 1) -> Iterator[float]:
    """Seconds from the point's start at which each request is due, without end.

    Args:
        point: one in open loop.
        share: take arrivals `share`, `share + shares`, ... of the schedule.
        shares: how many take of it.

    Raises:
        UserError: the trace is not there, or not the one that the sweep was checked with.
    """
    assert point.rate is not None
    assert point.arrivals is not None
    seed = (point.workload.seed & 0xFFFFFFFF, point.launch, _STREAM)
    return islice(due_s(point.arrivals, point.rate, np.random.default_rng(seed)), share, None, shares)


def due_s(arrivals: Arrivals, rate: float, rng: np.random.Generator) -> Iterator[float]:
    """Seconds at which requests are due, `rate` of them a second in the mean."""
    draw = _unit_gaps(arrivals, rng)
    return _summed(draw, rate)


def _summed(draw: Callable[[], Gaps], rate: float) -> Iterator[float]:
    begun = 0.0
    while True:
        due = begun + np.cumsum(draw())
        begun = float(due[-1])
        yield from (due / rate).tolist()


def _unit_gaps(arrivals: Arrivals, rng: np.random.Generator) -> Callable[[], Gaps]:
    """Gives the next gaps of a process with one arrival a second."""
    if arrivals.process == "trace":
        assert arrivals.trace is not None
        gaps = _gaps_of(arrivals.trace)
        recorded = np.roll(gaps, -int(rng.integers(len(gaps))))
        return lambda: recorded
    if arrivals.process == "gamma":
        shape = arrivals.burstiness
        assert shape is not None
        return lambda: rng.standard_gamma(shape, _DRAWN) / shape
    if arrivals.process == "constant":
        return lambda: np.ones(_DRAWN)
    return lambda: rng.standard_exponential(_DRAWN)


def _gaps_of(trace: Trace) -> Gaps:
    """A trace's gaps over their mean; one mean gap leads from its end to its beginning."""
    times_s = read_trace(Path(expand(trace.file)), trace.field, trace.unit)
    if trace.digest not in (None, digest(times_s)):
        raise UserError(f"{trace.file}: not the trace that the sweep was checked with; put that back, or start anew")
    gaps = np.diff(times_s)
    return np.concatenate([[1.0], gaps / gaps.mean()])

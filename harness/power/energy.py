"""Joules of a power stream between any moments. Pure; whether they may be used, `validity` says.

    counter      C(t1) - C(t0), each between the two readings around it: what is reported
    trapezoid    the power of the moment, integrated: what the counter is held against
    1 Hz means   the library's one-second means, one reading a second, integrated: InferenceX's way, for comparison

A held reading (sensors publish every 100 ms or so) is kept, never dropped as a repeat: of a constant load all are.
Counters are differenced from edge to edge; sums of short differences lose what falls between two publications.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from harness.power.stream import THROTTLE, Device, PowerSample, Stream
from harness.records import Int64
from harness.stats import Floats
from harness.units import NS_PER_S

WRAP_LIMIT_W = 10_000.0
"""What no GPU draws: a counter that would have to, had it begun anew at 0, was set back instead."""


@dataclass(frozen=True)
class Trace:
    """One GPU's readings as columns, times in ns."""

    device: Device
    samples: tuple[PowerSample, ...]

    def column(self, name: str) -> tuple[Int64, Floats]:
        """Times and values of the readings that have a field."""
        pairs = [(s.t_ns, value) for s in self.samples if (value := getattr(s, name)) is not None]
        return np.array([t for t, _ in pairs], np.int64), np.array([value for _, value in pairs], np.float64)

    @cached_property
    def counter_j(self) -> tuple[Int64, Floats]:
        """Times and energy since the first reading, J, across a wrap; falls where the counter was set back."""
        known = [(s.t_ns, s.energy_count) for s in self.samples if s.energy_count is not None]
        times = np.array([t for t, _ in known], np.int64)
        steps = [later - earlier for (_, earlier), (_, later) in pairwise(known)]
        gaps_s = np.diff(times) / NS_PER_S
        grown = [self._step_j(step, gap_s) for step, gap_s in zip(steps, gaps_s.tolist(), strict=True)]
        joules: Floats = np.cumsum([0.0, *grown])[: len(times)]
        return times, joules

    def _step_j(self, step: int, gap_s: float) -> float:
        """Joules of one step of the counter; a fall that a wrap explains, at a power that a GPU can draw, is a rise."""
        unit, told = self.device.energy_unit_j, self.device.energy_wraps_at
        # A library's 64 bits may be filled from a counter of 32; a kernel that says where its counter wraps knows it.
        for wraps_at in (2**32, told) if told == 2**64 else (told,):
            wrapped = (step + wraps_at) * unit
            if step < 0 <= wrapped <= WRAP_LIMIT_W * gap_s:
                return wrapped
        return step * unit

    def energy_j(self, edges_ns: Int64) -> Floats:
        """Energy by the counter between consecutive edges, J."""
        times, joules = self.counter_j
        return _differences(times, joules, edges_ns)

    def trapezoid_j(self, edges_ns: Int64) -> Floats:
        """Energy by integrating the power of the moment between consecutive edges, J."""
        return _integral(*self.column("power_w"), edges_ns)

    def inferencex_j(self, start_ns: int, end_ns: int) -> float | None:
        """Energy by one reading a second of the library's one-second mean, J; None where it has no such mean.

        Source: InferenceX benchmarks/benchmark_lib.sh (nvidia-smi --loop=1) and utils/aggregate_power.py (trapezoid).
        """
        times, watts = self.column("average_w")
        if not len(times):
            return None
        seconds = (times - start_ns) // NS_PER_S
        first = np.flatnonzero(np.diff(seconds, prepend=seconds[0] - 1))
        return float(_integral(times[first], watts[first], np.array([start_ns, end_ns])).sum())

    def mean(self, name: str, start_ns: int, end_ns: int) -> float | None:
        """Mean of a field's readings inside; None where there are none."""
        times, values = self.column(name)
        inside = values[(times >= start_ns) & (times <= end_ns)]
        return float(inside.mean()) if len(inside) else None

    def throttled(self, kind: str, start_ns: int, end_ns: int) -> float | None:
        """Share of the time that clocks were held down by the worst of a kind of reasons; see `THROTTLE`."""
        shares = [
            share
            for reason, its_kind in THROTTLE.items()
            if its_kind == kind and (share := self._throttled_share(reason, start_ns, end_ns)) is not None
        ]
        return max(shares, default=None)

    def _throttled_share(self, reason: str, start_ns: int, end_ns: int) -> float | None:
        """Share of the time, at most 1, that one reason held clocks down; None where nothing counts it."""
        counted = [s for s in self.samples if reason in s.throttle]
        if not counted:
            return None
        edges, times = np.array([start_ns, end_ns]), np.array([s.t_ns for s in counted], np.int64)
        clocks = np.array([s.t_ns if s.throttle_clock is None else s.throttle_clock for s in counted], np.float64)
        held = _differences(times, np.array([s.throttle[reason] for s in counted], np.float64), edges).sum()
        passed = _differences(times, clocks - clocks[0], edges).sum()
        return min(1.0, float(held / passed)) if passed > 0 else None


def traces(stream: Stream) -> tuple[Trace, ...]:
    """A stream by GPU, in the header's order."""
    devices = () if stream.header is None else stream.header.devices
    return tuple(Trace(device, tuple(s for s in stream.samples if s.gpu == device.gpu)) for device in devices)


def _differences(times: Int64, values: Floats, edges_ns: Int64) -> Floats:
    """Growth between edges of a quantity that is known at some times, evenly between them."""
    at = np.interp((edges_ns - times[0]).astype(np.float64), (times - times[0]).astype(np.float64), values)
    growth: Floats = np.diff(at)
    return growth


def _integral(times: Int64, values: Floats, edges_ns: Int64) -> Floats:
    """Trapezoids between edges, the value at an edge taken from the line between its neighbours."""
    all_ns = np.union1d(times, edges_ns)
    at = np.interp((all_ns - times[0]).astype(np.float64), (times - times[0]).astype(np.float64), values)
    areas = np.diff(all_ns) / NS_PER_S * (at[1:] + at[:-1]) / 2
    summed = np.concatenate([[0.0], np.cumsum(areas)])
    integral: Floats = np.diff(summed[np.searchsorted(all_ns, edges_ns)])
    return integral

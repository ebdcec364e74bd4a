"""What speaks against a power stream: each fault a function that gives a phrase or None. Fails closed.

Pure: looks at a stream, at what is known of the GPUs that were meant, and at the window that is to be cut.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from harness.power.energy import Trace
from harness.power.records import Metering, OtherNode
from harness.power.stream import Stream
from harness.records import Int64
from harness.units import NS_PER_S

GAP_S = 3.0
SHORTEST_S = 10.0
APART = 0.05
KNOWN_SCALES = (1 / 1000, 1 / 1024, 1 / 65536, 1000, 1024, 65536)
SCALE_TOLERANCE = 0.1
CLOCK_ERROR_S = 0.025
"""A quarter of the time between two publications of a GPU's sensors."""
FASTEST_DRIFT = 1e-3
"""A clock that is being set gains or loses 500 millionths of a second a second (adjtimex(2)); two, at most so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """What a stream is judged by.

    Attributes:
        traces: its readings by GPU.
        start_ns, end_ns: the window.
    """

    metering: Metering
    stream: Stream
    traces: tuple[Trace, ...]
    start_ns: int
    end_ns: int

    @property
    def edges_ns(self) -> Int64:
        """Start and end."""
        return np.array([self.start_ns, self.end_ns], np.int64)

    def first(self, find: Callable[["Doubt", Trace], str | None]) -> str | None:
        """What is found of the first GPU that has it."""
        found = ((trace.device.gpu, find(self, trace)) for trace in self.traces)
        return next((f"{gpu}: {text}" for gpu, text in found if text is not None), None)


def findings(doubt: Doubt) -> dict[str, str]:
    """Code -> what was found. What is wrong with the stream itself hides what would follow from it."""
    found = _found(doubt, _STREAM)
    return found or _found(doubt, _NUMBERS)


def findings_beside(doubt: Doubt) -> dict[str, str]:
    """The same of a stream that has a counter or a power, but not both, of things that are no GPUs."""
    return _found(doubt, _BESIDE_STREAM) or _found(doubt, _BESIDE_NUMBERS)


def _found(doubt: Doubt, checks: Mapping[str, Callable[[Doubt], str | None]]) -> dict[str, str]:
    return {code: text for code, check in checks.items() if (text := check(doubt)) is not None}


def _each(find: Callable[[Doubt, Trace], str | None]) -> Callable[[Doubt], str | None]:
    return lambda doubt: doubt.first(find)


def _nothing(doubt: Doubt) -> str | None:
    """Of a thing that should be read there is no reading at all, so none around the window."""
    return doubt.first(lambda _, trace: None if trace.samples else "no reading")


def _sampler_died(doubt: Doubt) -> str | None:
    return doubt.metering.failure


def _damaged(doubt: Doubt) -> str | None:
    if doubt.stream.header is None:
        return "no header"
    return f"{doubt.stream.damaged} lines" if doubt.stream.damaged else None


def _clock(doubt: Doubt) -> str | None:
    found = (_of_clock(node) for node in doubt.metering.nodes)
    return next((text for text in found if text is not None), None)


def _of_clock(node: OtherNode) -> str | None:
    if len(node.ticks) < 2:
        return f"{node.node}: its clock was not read before and after"
    before, after = node.ticks
    worst_s = max(before.error_ns, after.error_ns) / NS_PER_S
    if worst_s > CLOCK_ERROR_S:
        return f"{node.node}: its clock is known to {1000 * worst_s:.0f} ms only"
    moved_ns, known_ns = abs(after.ahead_ns - before.ahead_ns), before.error_ns + after.error_ns
    if moved_ns > known_ns + FASTEST_DRIFT * (after.at_ns - before.at_ns):
        return f"{node.node}: its clock moved by {1000 * moved_ns / NS_PER_S:.0f} ms against the first node's"
    return None


def _missing_gpu(doubt: Doubt) -> str | None:
    read = {trace.device.gpu for trace in doubt.traces if trace.samples}
    absent = [gpu for gpu in doubt.metering.asked if gpu not in read]
    unused = [gpu for gpu in doubt.metering.asked if doubt.metering.used is not None and gpu not in doubt.metering.used]
    if absent or not doubt.metering.asked:
        return f"{', '.join(absent) or 'none was read'}: no reading"
    if unused:
        return f"{', '.join(unused)}: the server does not use it (told by {doubt.metering.told_by})"
    return doubt.first(_lost)


def _lost(_: Doubt, trace: Trace) -> str | None:
    said = [fault for sample in trace.samples for fault in sample.faults if fault.startswith("gpu:")]
    return said[0].removeprefix("gpu: ") if said else None


def _extra_gpu(doubt: Doubt) -> str | None:
    extra = [gpu for gpu in doubt.metering.used or () if gpu not in doubt.metering.asked]
    return f"{', '.join(extra)}: the server uses it too (told by {doubt.metering.told_by})" if extra else None


def _shared(_: Doubt, trace: Trace) -> str | None:
    return trace.device.shared


def _no_counter(_: Doubt, trace: Trace) -> str | None:
    without = [sample for sample in trace.samples if sample.energy_count is None or sample.power_w is None]
    if not without:
        return None
    said = next((fault for sample in without for fault in sample.faults), "nothing was said")
    return f"{len(without)} of {len(trace.samples)} readings without energy or power ({said})"


def _zero(_: Doubt, trace: Trace) -> str | None:
    zeros = sum(sample.power_w == 0 for sample in trace.samples)
    return f"{zeros} of {len(trace.samples)} readings" if zeros else None


def _gap(doubt: Doubt, trace: Trace) -> str | None:
    times = np.array([s.t_ns for s in trace.samples])
    around = (times[1:] >= doubt.start_ns) & (times[:-1] <= doubt.end_ns)
    longest_s = float(np.diff(times)[around].max(initial=0)) / NS_PER_S
    return f"{longest_s:.1f} s" if longest_s > GAP_S else None


def _edge(doubt: Doubt, trace: Trace) -> str | None:
    first, last = trace.samples[0].t_ns, trace.samples[-1].t_ns
    if first <= doubt.start_ns and doubt.end_ns <= last:
        return None
    return f"begins {(first - doubt.start_ns) / NS_PER_S:+.1f} s, ends {(last - doubt.end_ns) / NS_PER_S:+.1f} s"


def _reset(_: Doubt, trace: Trace) -> str | None:
    fall = float(np.diff(trace.counter_j[1]).min(initial=0))
    return f"by {-fall:.0f} J" if fall < 0 else None


def _frozen(_: Doubt, trace: Trace) -> str | None:
    """Over a time in which at any power that is drawn a counter of this unit would have moved."""
    times, joules = trace.counter_j
    if not len(times):
        return None
    moved = times[np.flatnonzero(np.diff(joules, prepend=joules[0] - 1))]
    longest_s = float(np.diff([*moved, max(moved[-1], times[-1])]).max(initial=0)) / NS_PER_S
    return f"for {longest_s:.1f} s" if longest_s > GAP_S else None


def ratio(doubt: Doubt, trace: Trace) -> float:
    """Energy by the counter over energy by the power of the moment."""
    drawn = float(trace.trapezoid_j(doubt.edges_ns).sum())
    return float(trace.energy_j(doubt.edges_ns).sum()) / drawn if drawn else float("nan")


def _scale(doubt: Doubt, trace: Trace) -> str | None:
    got = ratio(doubt, trace)
    known = [scale for scale in KNOWN_SCALES if abs(got / scale - 1) <= SCALE_TOLERANCE]
    return f"counter / power = {got:.3g}" if known else None


def _apart(doubt: Doubt, trace: Trace) -> str | None:
    got = ratio(doubt, trace)
    return None if abs(got - 1) <= APART else f"counter / power = {got:.3g}"


def _limit(doubt: Doubt, trace: Trace) -> str | None:
    times, watts = trace.column("limit_w")
    seen = watts[(times >= doubt.start_ns) & (times <= doubt.end_ns)]
    return f"{seen.min():.0f} to {seen.max():.0f} W" if len(set(seen.tolist())) > 1 else None


def _short(doubt: Doubt) -> str | None:
    length_s = (doubt.end_ns - doubt.start_ns) / NS_PER_S
    return f"{length_s:.1f} s" if length_s < SHORTEST_S else None


_STREAM: Mapping[str, Callable[[Doubt], str | None]] = {
    "power_sampler_died": _sampler_died,
    "power_stream_damaged": _damaged,
    "power_clock": _clock,
    "power_missing_gpu": _missing_gpu,
    "power_extra_gpu": _extra_gpu,
    "power_shared_gpu": _each(_shared),
    "power_no_counter": _each(_no_counter),
    "power_zero": _each(_zero),
}
_NUMBERS: Mapping[str, Callable[[Doubt], str | None]] = {
    "power_gap": _each(_gap),
    "power_edge": _each(_edge),
    "power_window_short": _short,
    "power_counter_reset": _each(_reset),
    "power_counter_frozen": _each(_frozen),
    "power_counter_scale": _each(_scale),
    "power_crosscheck": _each(_apart),
    "power_limit_changed": _each(_limit),
}
_BESIDE_STREAM: Mapping[str, Callable[[Doubt], str | None]] = {
    "power_sampler_died": _sampler_died,
    "power_stream_damaged": _damaged,
    "power_edge": _nothing,
    "power_zero": _each(_zero),
}
_BESIDE_NUMBERS: Mapping[str, Callable[[Doubt], str | None]] = {
    name: _NUMBERS[name]
    for name in ("power_gap", "power_edge", "power_window_short", "power_counter_reset", "power_counter_frozen")
}

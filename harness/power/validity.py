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

MAX_GAP_S = 3.0
MIN_WINDOW_S = 10.0
CROSSCHECK_TOLERANCE = 0.05
KNOWN_SCALES = (1 / 1000, 1 / 1024, 1 / 65536, 1000, 1024, 65536)
SCALE_TOLERANCE = 0.1
MAX_CLOCK_ERROR_S = 0.025
"""A quarter of the time between two publications of a GPU's sensors."""
MAX_DRIFT = 1e-3
"""A clock that is being set gains or loses 500 millionths of a second a second (adjtimex(2)); two, at most so much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvidence:
    """What a stream is judged by.

    Attributes:
        metering: which GPUs were meant, and which the server took.
        traces: the stream's readings by GPU.
        start_ns, end_ns: the window.
    """

    metering: Metering
    stream: Stream
    traces: tuple[Trace, ...]
    start_ns: int
    end_ns: int

    @property
    def edges_ns(self) -> Int64:
        """The window's start and end."""
        return np.array([self.start_ns, self.end_ns], np.int64)

    def first_fault(self, fault_of: Callable[["StreamEvidence", Trace], str | None]) -> str | None:
        """The first GPU's fault, with its UUID in front; None where no GPU has one."""
        faults = ((trace.device.gpu, fault_of(self, trace)) for trace in self.traces)
        return next((f"{gpu}: {text}" for gpu, text in faults if text is not None), None)


Check = Callable[[StreamEvidence], str | None]
"""Gives a phrase for a fault of the stream, None where it has none."""


def findings_against(evidence: StreamEvidence) -> dict[str, str]:
    """Code -> what was found. What is wrong with the stream itself hides what would follow from it."""
    return _failed(_STREAM, evidence) or _failed(_NUMBERS, evidence)


def findings_beside_gpus(evidence: StreamEvidence) -> dict[str, str]:
    """The same of the host's or the node's stream, which has a counter or a power, but not both."""
    return _failed(_BESIDE_STREAM, evidence) or _failed(_BESIDE_NUMBERS, evidence)


def _failed(checks: Mapping[str, Check], evidence: StreamEvidence) -> dict[str, str]:
    return {code: text for code, check in checks.items() if (text := check(evidence)) is not None}


def _each(fault_of: Callable[[StreamEvidence, Trace], str | None]) -> Check:
    """The check of every GPU by itself."""
    return lambda evidence: evidence.first_fault(fault_of)


def _no_reading(evidence: StreamEvidence) -> str | None:
    """Of a thing that should be read there is no reading at all, so none around the window."""
    return evidence.first_fault(lambda _, trace: None if trace.samples else "no reading")


def _sampler_died(evidence: StreamEvidence) -> str | None:
    return evidence.metering.failure


def _damaged(evidence: StreamEvidence) -> str | None:
    if evidence.stream.header is None:
        return "no header"
    return f"{evidence.stream.damaged} lines" if evidence.stream.damaged else None


def _clock(evidence: StreamEvidence) -> str | None:
    faults = (_clock_fault(node) for node in evidence.metering.nodes)
    return next((text for text in faults if text is not None), None)


def _clock_fault(node: OtherNode) -> str | None:
    if len(node.ticks) < 2:
        return f"{node.node}: its clock was not read before and after"
    before, after = node.ticks
    worst_s = max(before.error_ns, after.error_ns) / NS_PER_S
    if worst_s > MAX_CLOCK_ERROR_S:
        return f"{node.node}: its clock is known to {1000 * worst_s:.0f} ms only"
    moved_ns, known_ns = abs(after.ahead_ns - before.ahead_ns), before.error_ns + after.error_ns
    if moved_ns > known_ns + MAX_DRIFT * (after.at_ns - before.at_ns):
        return f"{node.node}: its clock moved by {1000 * moved_ns / NS_PER_S:.0f} ms against the first node's"
    return None


def _missing_gpu(evidence: StreamEvidence) -> str | None:
    metering, read = evidence.metering, {trace.device.gpu for trace in evidence.traces if trace.samples}
    absent = [gpu for gpu in metering.asked if gpu not in read]
    unused = [gpu for gpu in metering.asked if metering.used is not None and gpu not in metering.used]
    if absent or not metering.asked:
        return f"{', '.join(absent) or 'none was read'}: no reading"
    if unused:
        return f"{', '.join(unused)}: the server does not use it (told by {metering.told_by})"
    return evidence.first_fault(_lost)


def _lost(_: StreamEvidence, trace: Trace) -> str | None:
    faults = [fault for sample in trace.samples for fault in sample.faults if fault.startswith("gpu:")]
    return faults[0].removeprefix("gpu: ") if faults else None


def _extra_gpu(evidence: StreamEvidence) -> str | None:
    extra = [gpu for gpu in evidence.metering.used or () if gpu not in evidence.metering.asked]
    return f"{', '.join(extra)}: the server uses it too (told by {evidence.metering.told_by})" if extra else None


def _shared_gpu(_: StreamEvidence, trace: Trace) -> str | None:
    return trace.device.shared


def _no_counter(_: StreamEvidence, trace: Trace) -> str | None:
    without = [sample for sample in trace.samples if sample.energy_count is None or sample.power_w is None]
    if not without:
        return None
    fault = next((fault for sample in without for fault in sample.faults), "nothing was said")
    return f"{len(without)} of {len(trace.samples)} readings without energy or power ({fault})"


def _zero(_: StreamEvidence, trace: Trace) -> str | None:
    zeros = sum(sample.power_w == 0 for sample in trace.samples)
    return f"{zeros} of {len(trace.samples)} readings" if zeros else None


def _gap(evidence: StreamEvidence, trace: Trace) -> str | None:
    times = np.array([s.t_ns for s in trace.samples])
    around = (times[1:] >= evidence.start_ns) & (times[:-1] <= evidence.end_ns)
    longest_s = float(np.diff(times)[around].max(initial=0)) / NS_PER_S
    return f"{longest_s:.1f} s" if longest_s > MAX_GAP_S else None


def _edge(evidence: StreamEvidence, trace: Trace) -> str | None:
    first, last = trace.samples[0].t_ns, trace.samples[-1].t_ns
    if first <= evidence.start_ns and evidence.end_ns <= last:
        return None
    return f"begins {(first - evidence.start_ns) / NS_PER_S:+.1f} s, ends {(last - evidence.end_ns) / NS_PER_S:+.1f} s"


def _counter_reset(_: StreamEvidence, trace: Trace) -> str | None:
    fall = float(np.diff(trace.counter_j[1]).min(initial=0))
    return f"by {-fall:.0f} J" if fall < 0 else None


def _counter_frozen(_: StreamEvidence, trace: Trace) -> str | None:
    """Over a time in which at any power that is drawn a counter of this unit would have moved."""
    times, joules = trace.counter_j
    if not len(times):
        return None
    moved = times[np.flatnonzero(np.diff(joules, prepend=joules[0] - 1))]
    longest_s = float(np.diff([*moved, max(moved[-1], times[-1])]).max(initial=0)) / NS_PER_S
    return f"for {longest_s:.1f} s" if longest_s > MAX_GAP_S else None


def counter_to_power(evidence: StreamEvidence, trace: Trace) -> float:
    """Energy by the counter over energy by the power of the moment, in the window; NaN where the latter is 0."""
    by_power_j = float(trace.trapezoid_j(evidence.edges_ns).sum())
    return float(trace.energy_j(evidence.edges_ns).sum()) / by_power_j if by_power_j else float("nan")


def _counter_scale(evidence: StreamEvidence, trace: Trace) -> str | None:
    ratio = counter_to_power(evidence, trace)
    known = [scale for scale in KNOWN_SCALES if abs(ratio / scale - 1) <= SCALE_TOLERANCE]
    return f"counter / power = {ratio:.3g}" if known else None


def _crosscheck(evidence: StreamEvidence, trace: Trace) -> str | None:
    ratio = counter_to_power(evidence, trace)
    return None if abs(ratio - 1) <= CROSSCHECK_TOLERANCE else f"counter / power = {ratio:.3g}"


def _limit_changed(evidence: StreamEvidence, trace: Trace) -> str | None:
    times, watts = trace.column("limit_w")
    seen = watts[(times >= evidence.start_ns) & (times <= evidence.end_ns)]
    return f"{seen.min():.0f} to {seen.max():.0f} W" if len(set(seen.tolist())) > 1 else None


def _window_short(evidence: StreamEvidence) -> str | None:
    length_s = (evidence.end_ns - evidence.start_ns) / NS_PER_S
    return f"{length_s:.1f} s" if length_s < MIN_WINDOW_S else None


_STREAM: Mapping[str, Check] = {
    "power_sampler_died": _sampler_died,
    "power_stream_damaged": _damaged,
    "power_clock": _clock,
    "power_missing_gpu": _missing_gpu,
    "power_extra_gpu": _extra_gpu,
    "power_shared_gpu": _each(_shared_gpu),
    "power_no_counter": _each(_no_counter),
    "power_zero": _each(_zero),
}
_NUMBERS: Mapping[str, Check] = {
    "power_gap": _each(_gap),
    "power_edge": _each(_edge),
    "power_window_short": _window_short,
    "power_counter_reset": _each(_counter_reset),
    "power_counter_frozen": _each(_counter_frozen),
    "power_counter_scale": _each(_counter_scale),
    "power_crosscheck": _each(_crosscheck),
    "power_limit_changed": _each(_limit_changed),
}
_BESIDE_STREAM: Mapping[str, Check] = {
    "power_sampler_died": _sampler_died,
    "power_stream_damaged": _damaged,
    "power_edge": _no_reading,
    "power_zero": _each(_zero),
}
_BESIDE_NUMBERS: Mapping[str, Check] = {
    name: _NUMBERS[name]
    for name in ("power_gap", "power_edge", "power_window_short", "power_counter_reset", "power_counter_frozen")
}

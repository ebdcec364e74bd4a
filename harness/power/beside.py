"""The power of the host's CPUs and of the whole node, over a point's window. Pure.

Per node, never per GPU, each with what it covers; no other figure is made of them, for they cover what the GPUs'
own sensors do not, and other users of the node too. Streams of their own: doubt about one spoils no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from harness.power.energy import Trace, traces
from harness.power.records import Metering
from harness.power.stream import Stream
from harness.power.validity import Doubt, findings_beside
from harness.records import NoWindow, Window
from harness.units import NS_PER_S

NO_METER = ("no_rapl", "rapl_not_readable", "no_node_meter", "several_node_meters", "several_nodes")
"""Why there is no meter, the word before the colon of what was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A mean power, or the reason why there is none.

    Attributes:
        scope: what it covers.
    """

    power_w: float | None = None
    scope: str | None = None
    reason: str | None = None


def fields(
    said: Mapping[str, str | None], streams: Mapping[str, Stream | None], window: Window | NoWindow
) -> dict[str, object]:
    """Fields of a row, for each meter that was looked for: `host_power_w`, its scope, its reason.

    Args:
        said: meter -> why it did not read, or not to the end.
        streams: meter -> what it read.
        window: the point's steady part.
    """
    drawn = {name: mean(failure, streams[name], window) for name, failure in said.items()}
    return {
        field: value
        for name, of in drawn.items()
        for field, value in {
            f"{name}_power_w": of.power_w,
            f"{name}_power_scope": of.scope,
            f"{name}_power_reason": of.reason,
        }.items()
    }


def mean(failure: str | None, stream: Stream | None, window: Window | NoWindow) -> Drawn:
    """All that a stream holds, together: energy by counters where there are such, else the power, integrated."""
    if isinstance(window, NoWindow):
        return Drawn(reason="no_window")
    if stream is None:
        code = (failure or "").partition(":")[0]
        return Drawn(reason=code if code in NO_METER else "power_sampler_died")
    read = [_with_values(trace) for trace in traces(stream)]
    doubt = Doubt(
        metering=Metering(failure=failure),
        stream=stream,
        traces=tuple(read),
        start_ns=window.start_ns,
        end_ns=window.end_ns,
    )
    if found := findings_beside(doubt):
        return Drawn(reason=next(iter(found)))
    joules = sum(_energy_j(trace, window) for trace in read)
    scope = " and ".join(sorted({trace.device.scope for trace in read}))
    return Drawn(power_w=joules * NS_PER_S / (window.end_ns - window.start_ns), scope=scope)


def _with_values(trace: Trace) -> Trace:
    """Without the readings that failed: what they leave open is a gap, and judged as one."""
    had = tuple(s for s in trace.samples if s.energy_count is not None or s.power_w is not None)
    return replace(trace, samples=had)


def _energy_j(trace: Trace, window: Window) -> float:
    edges_ns = np.array([window.start_ns, window.end_ns], np.int64)
    counted = len(trace.counter_j[0]) > 0
    return float((trace.energy_j(edges_ns) if counted else trace.trapezoid_j(edges_ns)).sum())

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
from harness.power.validity import StreamEvidence, findings_beside_gpus
from harness.records import NoWindow, Window
from harness.units import NS_PER_S

NO_METER = ("no_rapl", "rapl_not_readable", "no_node_meter", "several_node_meters", "several_nodes")
"""Why there is no meter, the word before the colon of what was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanPower:
    """A mean power, or the reason why there is none.

    Attributes:
        scope: what it covers.
    """

    power_w: float | None = None
    scope: str | None = None
    reason: str | None = None


def host_and_node_fields(
    failures: Mapping[str, str | None], streams: Mapping[str, Stream | None], window: Window | NoWindow
) -> dict[str, object]:
    """Fields of a row, for each meter that was looked for: `host_power_w`, its scope, its reason.

    Args:
        failures: meter -> why it did not read, or not to the end.
        streams: meter -> what it read.
        window: the point's steady part.
    """
    means = {name: mean_power(failure, streams[name], window) for name, failure in failures.items()}
    return {
        field: value
        for name, mean in means.items()
        for field, value in {
            f"{name}_power_w": mean.power_w,
            f"{name}_power_scope": mean.scope,
            f"{name}_power_reason": mean.reason,
        }.items()
    }


def mean_power(failure: str | None, stream: Stream | None, window: Window | NoWindow) -> MeanPower:
    """Mean of all that a stream holds, summed: energy by counters where there are such, else the power, integrated.

    Args:
        failure: why the meter did not read, or not to the end.
        stream: what it read; None where there is no file.
        window: the point's steady part.
    """
    if isinstance(window, NoWindow):
        return MeanPower(reason="no_window")
    if stream is None:
        code = (failure or "").partition(":")[0]
        return MeanPower(reason=code if code in NO_METER else "power_sampler_died")
    readings = tuple(_with_values(trace) for trace in traces(stream))
    evidence = StreamEvidence(
        metering=Metering(failure=failure),
        stream=stream,
        traces=readings,
        start_ns=window.start_ns,
        end_ns=window.end_ns,
    )
    if findings := findings_beside_gpus(evidence):
        return MeanPower(reason=next(iter(findings)))
    joules = sum(_energy_j(trace, window) for trace in readings)
    scope = " and ".join(sorted({trace.device.scope for trace in readings}))
    return MeanPower(power_w=joules * NS_PER_S / (window.end_ns - window.start_ns), scope=scope)


def _with_values(trace: Trace) -> Trace:
    """Without the readings that failed: what they leave open is a gap, and judged as one."""
    samples = tuple(s for s in trace.samples if s.energy_count is not None or s.power_w is not None)
    return replace(trace, samples=samples)


def _energy_j(trace: Trace, window: Window) -> float:
    """Energy in the window, J, by the counter where there is one."""
    edges_ns = np.array([window.start_ns, window.end_ns], np.int64)
    has_counter = len(trace.counter_j[0]) > 0
    return float((trace.energy_j(edges_ns) if has_counter else trace.trapezoid_j(edges_ns)).sum())

"""What a point's power stream has to say: figures for the metrics, findings for the verdicts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from harness.power.energy import Trace, traces
from harness.power.records import Metering
from harness.power.stream import Stream
from harness.power.validity import StreamEvidence, counter_to_power, findings_against
from harness.records import Int64, Window
from harness.stats import Floats
from harness.units import NS_PER_S

MIN_IDLE_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PointPower:
    """A point's power; figures are had only where nothing was found against it.

    Attributes:
        findings: code -> what was found: any of them voids every figure.
        traces: readings by GPU; empty where there are findings.
        foreign: processes of others on these GPUs.
        idle_bare_w, idle_loaded_w: mean of one GPU before the server was started, and with its model loaded but no
            request; None where that was not read.
        crosscheck: energy by the counter over energy by the power of the moment, of the GPU where they differ most.
    """

    findings: Mapping[str, str]
    traces: tuple[Trace, ...] = ()
    foreign: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    idle_bare_w: float | None = None
    idle_loaded_w: float | None = None
    crosscheck: float | None = None

    @property
    def reason(self) -> str | None:
        """Why there are no figures: the first code."""
        return next(iter(self.findings), None)

    @property
    def scope(self) -> str | None:
        """What the figures cover; None where there are none."""
        return " and ".join(sorted({trace.device.scope for trace in self.traces})) or None

    def energy_j(self, edges_ns: Int64) -> Floats:
        """Energy of all GPUs together between consecutive edges, J."""
        summed: Floats = np.sum([trace.energy_j(edges_ns) for trace in self.traces], axis=0)
        return summed

    def inferencex_j(self, start_ns: int, end_ns: int) -> float | None:
        """Energy of all GPUs together by InferenceX's method, J; None where one has no such readings."""
        parts = [trace.inferencex_j(start_ns, end_ns) for trace in self.traces]
        return None if None in parts else float(sum(part for part in parts if part is not None))

    def mean(self, name: str, start_ns: int, end_ns: int) -> float | None:
        """A field's mean over time and GPUs; None where one GPU has no such readings."""
        parts = [trace.mean(name, start_ns, end_ns) for trace in self.traces]
        return None if None in parts else float(np.mean([part for part in parts if part is not None]))

    def throttled(self, kind: str, start_ns: int, end_ns: int) -> float | None:
        """Share of the time that the worst GPU's clocks were held down, by a kind of reasons; None where unknown."""
        shares = (trace.throttled(kind, start_ns, end_ns) for trace in self.traces)
        return max((share for share in shares if share is not None), default=None)


def point_power(
    metering: Metering,
    stream: Stream | None,
    window: Window,
    *,
    bare: Stream | None = None,
    loaded: Stream | None = None,
) -> PointPower:
    """Judge a point's stream and make it ready to be cut.

    Args:
        metering: which GPUs were meant, and which the server took.
        stream: the point's readings; None where there is no file.
        window: the point's steady part.
        bare: readings before the server was started.
        loaded: readings while it was ready and idle.
    """
    if stream is None or not metering.asked:
        code = "power_sampler_died" if metering.asked else "power_no_meter"
        return PointPower(findings={code: metering.failure or "no power.jsonl"}, foreign=metering.foreign)
    evidence = StreamEvidence(
        metering=metering, stream=stream, traces=traces(stream), start_ns=window.start_ns, end_ns=window.end_ns
    )
    findings = findings_against(evidence)
    if findings:
        return PointPower(findings=findings, foreign=metering.foreign)
    ratios = [counter_to_power(evidence, trace) for trace in evidence.traces]
    return PointPower(
        findings={},
        traces=evidence.traces,
        foreign=metering.foreign,
        idle_bare_w=_idle_w(metering, bare),
        idle_loaded_w=_idle_w(metering, loaded),
        crosscheck=max(ratios, key=lambda ratio: abs(ratio - 1)),
    )


def _idle_w(metering: Metering, stream: Stream | None) -> float | None:
    """Mean of one GPU from the first reading of all to the last of all; None where the stream is in doubt."""
    if stream is None or not stream.samples:
        return None
    gpus = traces(stream)
    if any(not trace.samples for trace in gpus):
        return None
    start_ns = max(trace.samples[0].t_ns for trace in gpus)
    end_ns = min(trace.samples[-1].t_ns for trace in gpus)
    evidence = StreamEvidence(metering=metering, stream=stream, traces=gpus, start_ns=start_ns, end_ns=end_ns)
    if end_ns - start_ns < MIN_IDLE_S * NS_PER_S or findings_against(evidence).keys() - {"power_window_short"}:
        return None
    edges = np.array([start_ns, end_ns])
    return float(np.mean([trace.energy_j(edges).sum() for trace in gpus])) * NS_PER_S / (end_ns - start_ns)

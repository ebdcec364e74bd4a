"""What a real H100 said, said again: through the sampler, on a clock of the test's."""

import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.errors import NoMeter
from harness.power.energy import traces
from harness.power.point_power import point_power
from harness.power.records import Metering
from harness.power.replay import ReplayMeter
from harness.power.sampler import header, sample
from harness.power.stream import Stream, encode_line, read_stream
from harness.records import Window

HARDWARE = Path(__file__).parents[3] / "results" / "hardware" / "h100-one-gpu-vllm"
POINTS = sorted(path.parent for path in HARDWARE.glob("*/c64-l0/power.jsonl"))
PERIOD_NS = 100_000_000


def window_of(point: Path) -> Window:
    return msgspec.convert(json.loads((point / "point.json").read_text())["window"], Window)


def replayed(recording: Path, target: Path, phase_ns: int) -> Stream:
    """The stream that a sampler writes over a recording, beginning so much after its first reading."""
    samples = read_stream(recording).samples
    now_ns = samples[0].t_ns + phase_ns

    def ends(wait_s: float) -> bool:
        nonlocal now_ns
        now_ns += round(wait_s * 1e9)
        return now_ns > samples[-1].t_ns

    meter, out = ReplayMeter(recording, lambda: now_ns), io.BytesIO()
    out.write(encode_line(header(meter, "replay", meter.devices(), 10.0)))
    gpus = [device.gpu for device in meter.devices()]
    sample(meter, gpus, out, 10.0, ends, clock=lambda: now_ns, wall=lambda: 0)
    target.write_bytes(out.getvalue())
    return read_stream(target)


def energy_j(stream: Stream, window: Window) -> float:
    (trace,) = traces(stream)
    return float(trace.energy_j(np.array([window.start_ns, window.end_ns])).sum())


def test_there_are_recordings_of_both_arms():
    assert 2 == len(POINTS)


@pytest.mark.parametrize("point", POINTS, ids=lambda path: path.parent.name[-12:])
def test_a_real_recording_replayed_gives_the_energy_that_was_recorded(point, tmp_path):
    window, recorded = window_of(point), read_stream(point / "power.jsonl")
    again = replayed(point / "power.jsonl", tmp_path / "again.jsonl", PERIOD_NS // 2)
    power = point_power(Metering(asked=tuple(d.gpu for d in again.header.devices)), again, window)

    assert ({}, "gpu-board", 0) == (power.findings, power.scope, again.damaged)
    assert pytest.approx(energy_j(recorded, window), rel=1e-3) == energy_j(again, window)


@pytest.mark.parametrize("phase_ns", range(0, PERIOD_NS, PERIOD_NS // 5))
def test_at_any_phase_the_energies_are_no_more_apart_than_a_reading_is_old(phase_ns, tmp_path):
    point = POINTS[0]
    window, recorded = window_of(point), read_stream(point / "power.jsonl")
    again = replayed(point / "power.jsonl", tmp_path / "again.jsonl", phase_ns)
    most_w = max(s.power_w for s in recorded.samples)

    assert pytest.approx(energy_j(recorded, window), abs=most_w * 2 * PERIOD_NS / 1e9) == energy_j(again, window)


def test_outside_the_recording_there_is_no_reading():
    recording = POINTS[0] / "power.jsonl"
    samples = read_stream(recording).samples
    before, after = samples[0].t_ns - 1, samples[-1].t_ns + 2 * PERIOD_NS

    for moment in (before, after):
        reading = ReplayMeter(recording, lambda now_ns=moment: now_ns).read(samples[0].gpu)

        assert (None, None) == (reading.energy_count, reading.power_w)
        assert ("gpu: the recording does not cover this moment",) == reading.faults


def test_a_recording_without_its_header_is_refused_in_one_line(tmp_path):
    lines = (POINTS[0] / "power.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "headless.jsonl").write_bytes(b"".join(lines[1:9]))

    with pytest.raises(NoMeter, match="header is damaged"):
        ReplayMeter(tmp_path / "headless.jsonl")

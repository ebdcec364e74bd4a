"""Energy of a power stream: it adds up, it does not hang on when anybody looked, and no damage passes for a number."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.power.energy import traces
from harness.power.point_power import point_power
from harness.power.records import Metering
from harness.power.stream import encode_line, read_stream
from harness.records import Window

SEGMENTS = st.lists(st.tuples(st.floats(0.05, 5), st.floats(60, 1400)), min_size=1, max_size=12)
PHASE = st.floats(0, 0.0999)
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ns(*seconds):
    return np.array([round(s * 1e9) for s in seconds], np.int64)


@given(segments=SEGMENTS, cuts=st.lists(st.floats(1, 18), min_size=3, max_size=8, unique=True))
@QUICK
def test_energy_adds_over_adjacent_windows(power_stream, board, segments, cuts):
    (trace,) = traces(power_stream([board(segments=segments)]))
    edges = ns(*sorted(cuts))

    for energy_j in (trace.energy_j, trace.trapezoid_j):
        assert energy_j(edges[[0, -1]]).sum() == pytest.approx(energy_j(edges).sum(), rel=1e-9, abs=1e-6)


@given(segments=SEGMENTS, sampler_s=PHASE, sensor_s=PHASE, start_s=st.floats(1, 4), end_s=st.floats(14, 18))
@QUICK
def test_energy_is_the_truth_at_any_phase_of_sampler_and_sensor(
    power_stream, board, segments, sampler_s, sensor_s, start_s, end_s
):
    gpu = board(segments=segments, phase_s=sensor_s)
    (trace,) = traces(power_stream([gpu], start_s=sampler_s))
    truth_j = gpu.joules(end_s) - gpu.joules(start_s)

    # What is told at an edge is at most a period of the sensor and one of the sampler old.
    most_j = 0.2 * max(watts for _, watts in segments) + 0.002
    assert truth_j == pytest.approx(trace.energy_j(ns(start_s, end_s)).sum(), abs=most_j)


@given(watts=st.floats(60, 1400), sampler_s=PHASE, sensor_s=PHASE)
@QUICK
def test_of_a_steady_load_every_phase_gives_the_same(power_stream, board, watts, sampler_s, sensor_s):
    (trace,) = traces(power_stream([board(segments=[(1e9, watts)], phase_s=sensor_s)], start_s=sampler_s))

    assert 10 * watts == pytest.approx(trace.energy_j(ns(5, 15)).sum(), rel=0.012)


@given(place=st.integers(0, 10**9), flip=st.integers(1, 255))
@QUICK
def test_any_byte_that_is_changed_gives_a_code_or_changes_nothing(power_stream, board, tmp_path, place, flip):
    stream = power_stream([board(), board(gpu="GPU-1")], end_s=14.0)
    whole = b"".join(map(encode_line, (stream.header, *stream.samples)))
    spoilt = bytearray(whole)
    spoilt[place % len(whole)] ^= flip
    (tmp_path / "power.jsonl").write_bytes(spoilt)
    edges = ns(1, 12)
    window = Window(start_ns=int(edges[0]), end_ns=int(edges[1]), blocks_ns=(0,), request_time_s=1.0, cut_s=0.0)

    power = point_power(Metering(asked=("GPU-0", "GPU-1")), read_stream(tmp_path / "power.jsonl"), window)

    assert power.reason is not None or power.energy_j(edges).sum() == pytest.approx(2 * 11 * 400.0, rel=0.02)

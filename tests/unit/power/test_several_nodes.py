"""Streams of two nodes, each on its own clock, as one; and what is said where the clocks don't allow it."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.power.merge import on_first_nodes_clock, path_of_node, read_merged
from harness.power.point_power import point_power
from harness.power.records import Metering, OtherNode, Tick
from harness.power.stream import PowerSample, Stream, encode_line
from harness.records import Window

S = 1_000_000_000
STEP = ((10.0, 100.0), (1e9, 700.0))
AHEAD_S = 5000.0
WINDOW = Window(start_ns=5 * S, end_ns=17 * S, blocks_ns=(5 * S, 17 * S), request_time_s=1.0, cut_s=0.0)


def tick(at_s: float, ahead_s: float = AHEAD_S, error_s: float = 0.001) -> Tick:
    return Tick(at_ns=round(at_s * S), ahead_ns=round(ahead_s * S), error_ns=round(error_s * S))


def node(*ticks: Tick) -> OtherNode:
    return OtherNode(node="h100-2", ticks=ticks)


def sample(at_s: int) -> PowerSample:
    return PowerSample(gpu="GPU-0", t_ns=at_s * S, wall_ns=at_s * S, took_us=20, sweep=at_s, late_us=0)


STEADY = node(tick(-1), tick(20))


def on_its_own_clock(stream: Stream, ahead_s: float = AHEAD_S, drift: float = 0.0) -> Stream:
    """As a node writes it whose clock is ahead of the first one's, by more the later it is."""
    samples = tuple(
        msgspec.structs.replace(s, t_ns=s.t_ns + round(ahead_s * S + drift * s.t_ns)) for s in stream.samples
    )
    return Stream(header=stream.header, samples=samples, damaged=stream.damaged)


@pytest.fixture
def two_nodes(power_stream, board, tmp_path):
    """Where two streams lie whose GPUs go from 100 to 700 W at one moment; the second is 5000 s ahead."""
    path = tmp_path / "power.jsonl"
    for rank in (0, 1):
        stream = power_stream([board(gpu=f"GPU-{rank}", segments=STEP)], end_s=19.0)
        stream = on_its_own_clock(stream) if rank else stream
        path_of_node(path, rank).write_bytes(b"".join(map(encode_line, (stream.header, *stream.samples))))
    return path


def judged(path, *others: OtherNode):
    metering = Metering(asked=("GPU-0", "GPU-1"), nodes=others)
    return point_power(metering, read_merged(path, others), WINDOW)


def test_energy_is_of_the_same_moments_on_both_nodes(two_nodes):
    power = judged(two_nodes, STEADY)
    each = power.traces[0].energy_j(np.array([5 * S, 17 * S])), power.traces[1].energy_j(np.array([5 * S, 17 * S]))

    assert {} == power.findings
    assert 5 * 100 + 7 * 700 == pytest.approx(each[0][0], abs=60), "sensors publish 0.1 s late"
    assert each[0][0] == pytest.approx(each[1][0], rel=1e-6)
    assert 2 * each[0][0] == pytest.approx(power.energy_j(np.array([5 * S, 17 * S]))[0], rel=1e-6)


@given(
    ahead_s=st.floats(-1e8, 1e8),
    drift=st.floats(-1e-4, 1e-4),
    before_s=st.floats(-60, -1),
    after_s=st.floats(20, 90),
)
def test_moments_come_back_whatever_the_clock_and_its_drift(ahead_s, drift, before_s, after_s):
    here = Stream(header=None, samples=tuple(map(sample, range(20))), damaged=0)
    other = node(*(tick(at_s, ahead_s + drift * at_s) for at_s in (before_s, after_s)))
    back = on_first_nodes_clock(on_its_own_clock(here, ahead_s, drift), other)

    apart_ns = [abs(one.t_ns - truth.t_ns) for one, truth in zip(back.samples, here.samples, strict=True)]

    assert max(apart_ns) < 100_000


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (node(), "h100-2: its clock was not read before and after"),
        (node(tick(-1)), "h100-2: its clock was not read before and after"),
        (node(tick(-1), tick(20, error_s=0.04)), "h100-2: its clock is known to 40 ms only"),
        (node(tick(-1), tick(20, AHEAD_S + 0.5)), "h100-2: its clock moved by 500 ms against the first node's"),
    ],
)
def test_a_clock_that_does_not_tell_leaves_no_figure(two_nodes, other, says):
    assert ("power_clock", says) == next(iter(judged(two_nodes, other).findings.items()))


def test_clocks_that_are_being_set_are_followed(two_nodes):
    assert {} == judged(two_nodes, node(tick(-1), tick(20, AHEAD_S + 0.01))).findings


def test_a_node_whose_stream_is_gone_is_missed_by_its_gpus(two_nodes):
    path_of_node(two_nodes, 1).unlink()

    assert {"power_missing_gpu": "GPU-1: no reading"} == judged(two_nodes, STEADY).findings

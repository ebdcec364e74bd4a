"""What must hold of every score, whatever the load was: nothing is counted twice, and only time and tokens matter."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness import metrics
from harness.metrics.reduce import reduce
from harness.records import RequestSample, Window, columns
from harness.spec import EngineSpec, Gpu, Model, Mtp, Parallel, Point, Run, ServerSettings, Vendor, Workload

BASE = 10**12
MS = 10**6
SPAN_MS = 4000


def point() -> Point:
    model = Model(
        name="m",
        label="M",
        weights="/m",
        context=4096,
        layers=1,
        parameters_b=1.0,
        active_b=1.0,
        mtp_modules=1,
        source="a test",
    )
    run = Run(
        model=model,
        gpu=Gpu(name="g", label="G", vendor=Vendor.CPU, arch="-", memory_gb=1.0, source="a test"),
        precision="fp8",
        engine=EngineSpec(name="emulator"),
        parallel=Parallel(),
        settings=ServerSettings(max_running_requests=4, context=4096),
        mtp=Mtp(),
    )
    return Point(run=run, workload=Workload(name="w", isl=10, osl=10), concurrency=4, launch=0)


@st.composite
def requests(draw):
    """Requests of any shape, in milliseconds: their chunks may lie anywhere after the send."""
    made = []
    for index in range(draw(st.integers(1, 12))):
        sent = draw(st.integers(0, SPAN_MS))
        gaps = draw(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 5)), max_size=8))
        times = sent + np.cumsum([gap for gap, _ in gaps], dtype=np.int64)
        tokens = np.cumsum([count for _, count in gaps], dtype=np.int32)
        total = int(tokens[-1]) if len(tokens) else 0
        made.append(
            RequestSample(
                index=index,
                slot=draw(st.integers(0, 3)),
                starter=draw(st.booleans()),
                prompt_hash="0" * 16,
                isl=draw(st.integers(1, 50)),
                osl=total + draw(st.integers(0, 5)),
                sent_ns=BASE + sent * MS,
                chunk_ns=BASE + times * MS,
                chunk_tokens=tokens,
                end_ns=BASE + (int(times[-1]) if len(times) else sent) * MS,
                completion_tokens=total,
                eos_at=draw(st.none() | st.integers(0, 10)),
                error=draw(st.sampled_from([None, None, None, "cancelled", "stall"])),
            )
        )
    return made


@st.composite
def edges(draw):
    """Edges of a window's blocks: equal, whole milliseconds."""
    start = draw(st.integers(-500, SPAN_MS))
    length, blocks = draw(st.integers(1, 700)), draw(st.integers(1, 8))
    return tuple(BASE + (start + length * i) * MS for i in range(blocks + 1))


def window_of(edges_ns):
    return Window(start_ns=edges_ns[0], end_ns=edges_ns[-1], blocks_ns=tuple(edges_ns), request_time_s=1.0, cut_s=0.0)


def scored(rows, edges_ns):
    batch = columns(rows)
    return metrics.score(point(), lambda: iter([batch]), (), window_of(edges_ns))


def sums(rows, edges_ns):
    got = reduce(iter([columns(rows)]), np.array(edges_ns, np.int64))
    return {
        "output": got.output_tokens.sum(),
        "in_flight": got.in_flight_s.sum(),
        "cohort": len(got.cohort),
        "ended": got.ended_s,
        "before": got.before_eos.sum(),
        "after": got.after_eos.sum(),
    }


@given(requests(), edges(), st.data())
def test_windows_side_by_side_add_up(rows, edges_ns, data):
    middle = data.draw(st.integers(edges_ns[0] // MS, edges_ns[-1] // MS)) * MS
    assume(edges_ns[0] < middle < edges_ns[-1])
    whole = sums(rows, (edges_ns[0], edges_ns[-1]))
    left, right = sums(rows, (edges_ns[0], middle)), sums(rows, (middle, edges_ns[-1]))

    for name, total in whole.items():
        assert total == pytest.approx(left[name] + right[name]), name


@given(requests(), edges())
def test_blocks_add_up_to_their_window(rows, edges_ns):
    by_block = reduce(iter([columns(rows)]), np.array(edges_ns, np.int64))
    whole = reduce(iter([columns(rows)]), np.array([edges_ns[0], edges_ns[-1]], np.int64))

    for name in ("output_tokens", "input_tokens", "in_flight_s", "before_eos", "after_eos"):
        one, other = getattr(by_block, name), getattr(whole, name)
        assert one.sum(axis=-1) == pytest.approx(other.sum(axis=-1)), name


@given(requests(), edges())
def test_time_in_flight_is_what_ended_less_what_had_lived_plus_what_lives_on(rows, edges_ns):
    """Little's law for a finite window, exact, when all that ended inside is counted."""
    good = [msgspec.structs.replace(row, error=None, starter=False) for row in rows if len(row.chunk_ns)]
    assume(all(row.sent_ns < row.end_ns for row in good))
    got = reduce(iter([columns(good)]), np.array(edges_ns, np.int64))

    assert got.in_flight_s.sum() == pytest.approx(got.ended_s - got.age_start_s + got.age_end_s, abs=1e-6)


def same(one, other, scale=lambda name: 1.0):
    for name, estimate in one.estimates.items():
        twin = other.estimates[name]
        assert estimate.reason == twin.reason, name
        if estimate.value is not None:
            assert estimate.value * scale(name) == pytest.approx(twin.value, rel=2e-3, abs=1e-9), name


@settings(deadline=None, max_examples=40)
@given(requests(), edges(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_order_and_batches_change_nothing(rows, edges_ns, random, size):
    shuffled = list(rows)
    random.shuffle(shuffled)
    batches = [columns(shuffled[i : i + size]) for i in range(0, len(shuffled), size)]

    same(scored(rows, edges_ns), metrics.score(point(), lambda: iter(batches), (), window_of(edges_ns)))


TIMES = {"window_s", "ttft_s", "tpot_s", "itl_s", "chunk_gap_s", "e2e_s", "inferencex_tpot_s"}
SPEEDS = {
    "interactivity",
    "user_tok_s_e2e",
    "total_tok_s_gpu",
    "output_tok_s_gpu",
    "input_tok_s_gpu",
    "request_s",
    "inferencex_interactivity",
    "inferencex_output_tok_s_gpu",
    "inferencex_total_tok_s_gpu",
}


@settings(deadline=None, max_examples=40)
@given(requests(), edges(), st.sampled_from([2, 5]))
def test_slower_time_scales_times_and_speeds_and_nothing_else(rows, edges_ns, factor):
    def slow(time_ns):
        return BASE + (time_ns - BASE) * factor

    slowed = [
        msgspec.structs.replace(row, sent_ns=slow(row.sent_ns), end_ns=slow(row.end_ns), chunk_ns=slow(row.chunk_ns))
        for row in rows
    ]

    def scale(name):
        return factor if name in TIMES else 1 / factor if name in SPEEDS else 1.0

    same(scored(rows, edges_ns), scored(slowed, [slow(edge) for edge in edges_ns]), scale)


@settings(deadline=None, max_examples=40)
@given(requests(), edges(), st.integers(-(10**12) + 10**10, 10**15))
def test_where_the_clock_began_changes_nothing(rows, edges_ns, shift):
    moved = [
        msgspec.structs.replace(
            row, sent_ns=row.sent_ns + shift, end_ns=row.end_ns + shift, chunk_ns=row.chunk_ns + shift
        )
        for row in rows
    ]

    same(scored(rows, edges_ns), scored(moved, [edge + shift for edge in edges_ns]))


@settings(deadline=None, max_examples=80)
@given(requests(), edges())
def test_every_number_is_finite_or_has_a_reason(rows, edges_ns):
    for name, estimate in scored(rows, edges_ns).estimates.items():
        numbers = [estimate.value, estimate.lo, estimate.hi, estimate.p10, estimate.p50, estimate.p90, estimate.p99]

        assert (estimate.value is None) == (estimate.reason in metrics.REASONS), name
        assert all(number is None or math.isfinite(number) for number in numbers), name

"""Toy requests with times that can be checked in the head, and a point to score them for."""

import numpy as np
import pytest

from harness import metrics
from harness.power.energy import traces
from harness.power.point_power import PointPower
from harness.records import RequestSample, Window, columns
from harness.spec import (
    Arrivals,
    EngineSpec,
    Gpu,
    Model,
    Mtp,
    Parallel,
    Point,
    Prices,
    Run,
    ServerSettings,
    Vendor,
    Workload,
)

S = 1_000_000_000
START = 1_000 * S  # a clock that is far from zero, as CLOCK_MONOTONIC is


def ns(seconds):
    return START + round(seconds * S)


@pytest.fixture
def at():
    return ns


@pytest.fixture
def request_of():
    """A request sent at a second, with chunks as (second, tokens added)."""

    def make(sent_s, chunks, *, osl=None, isl=100, index=0, slot=0, **facts):
        total = sum(tokens for _, tokens in chunks)
        end_s = chunks[-1][0] if chunks else sent_s
        known = {
            "prompt_hash": "0" * 16,
            "isl": isl,
            "osl": total if osl is None else osl,
            "end_ns": ns(end_s),
            "starter": False,
            "prompt_tokens": isl,
            "completion_tokens": total,
        } | facts
        return RequestSample(
            index=index,
            slot=slot,
            sent_ns=ns(sent_s),
            chunk_ns=np.array([ns(second) for second, _ in chunks], np.int64),
            chunk_tokens=np.cumsum([tokens for _, tokens in chunks], dtype=np.int32),
            **known,
        )

    return make


@pytest.fixture
def user(request_of):
    """One user's requests, back to back from second 0: first token after 0.2 s, then 8 more, one each 0.1 s.

    Each lives for 1 s, has 9 tokens and a TPOT of 0.1 s.
    """

    def make(requests, *, slot=0, start_s=0.0, **facts):
        return [
            request_of(
                start_s + i,
                [(start_s + i + 0.2 + 0.1 * token, 1) for token in range(9)],
                index=1000 * slot + i,
                slot=slot,
                **facts,
            )
            for i in range(requests)
        ]

    return make


@pytest.fixture
def window_of():
    def make(start_s, end_s, blocks=10, **facts):
        edges = np.linspace(ns(start_s), ns(end_s), blocks + 1).astype(np.int64).tolist()
        known = {"request_time_s": 1.0, "cut_s": 0.0} | facts
        return Window(start_ns=edges[0], end_ns=edges[-1], blocks_ns=tuple(edges), **known)

    return make


@pytest.fixture
def point_of():
    def make(*, draft_tokens=0, forced=None, concurrency=1, rate=None, arrivals=None, tp=1, prices=(), **workload):
        gpu = Gpu(
            name="g", label="G", vendor=Vendor.NVIDIA, arch="x", memory_gb=80.0, prices=tuple(prices), source="a test"
        )
        model = Model(
            name="m",
            label="M",
            weights="/m",
            context=4096,
            layers=2,
            parameters_b=1.0,
            active_b=1.0,
            mtp_modules=1,
            source="a test",
        )
        run = Run(
            model=model,
            gpu=gpu,
            precision="fp8",
            engine=EngineSpec(name="emulator"),
            parallel=Parallel(tp=tp),
            settings=ServerSettings(max_running_requests=64, context=1024),
            mtp=Mtp(draft_tokens=draft_tokens, forced_acceptance_length=forced),
        )
        load = Workload(name="w", **{"isl": 100, "osl": 9} | workload)
        if rate is not None:
            return Point(run=run, workload=load, rate=rate, arrivals=arrivals or Arrivals(), launch=0)
        return Point(run=run, workload=load, concurrency=concurrency, launch=0)

    return make


@pytest.fixture
def prices():
    def make(since="2026-01-01", kw=2.0, **usd):
        return Prices(since=since, usd_per_gpu_hour=usd, all_in_kw=kw, source="a test")

    return make


@pytest.fixture
def scored(point_of, window_of):
    """Requests scored over a window, 10 s from second 2 on unless said otherwise."""

    def run(requests, *, window=None, point=None, counters=(), **more):
        samples = columns(requests)
        window = window or window_of(2.0, 12.0)
        return metrics.score(point or point_of(), lambda: iter([samples]), counters, window, **more)

    return run


@pytest.fixture
def power_of(power_stream, board):
    """So many GPUs at a constant power, read all the while."""

    def make(watts: float, *, gpus: int = 1, **more) -> PointPower:
        boards = [board(segments=[(1e9, watts)], gpu=f"GPU-{index}") for index in range(gpus)]
        return PointPower(
            **{"findings": {}, "traces": traces(power_stream(boards, start_s=999.0, end_s=1060.0))} | more
        )

    return make

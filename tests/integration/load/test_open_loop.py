"""An open loop on the emulator over real sockets: what was due against what was sent, by either client, by several."""

import asyncio
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from harness import config, load, prompts
from harness.arrivals import most_in_flight, schedule_s
from harness.rundir import AttemptDir
from harness.samplefile import read_samples, write_samples
from harness.server import serve
from harness.spec import Arrivals, EngineSpec, Point, Workload

SWEEP = Path(__file__).parents[3] / "configs" / "sweeps" / "tiny-vllm-cpu.yaml"
WORKLOAD = Workload(name="w", isl=64, osl=20)
RATE = 40.0
REQUESTS = 60
WAYS = {"kernel": ("kernel", 1), "aiohttp": ("aiohttp", 1), "shards": ("kernel", 3)}
SLOW = EngineSpec(name="emulator", args=("--profile", "h100-like", "--speed", "0.02"))


class After:
    """Stops once so many requests have ended."""

    def __init__(self, requests: int) -> None:
        self.requests = requests

    def look(self, now_ns, finished) -> bool:
        return len(finished) >= self.requests


@dataclass(frozen=True)
class Observed:
    """One point by each way, and another at a rate that is far beyond its server."""

    point: Point
    ways: dict[str, load.Measurement]
    flood: Point
    flooded: load.Measurement


@pytest.fixture(scope="module")
def observed(tmp_path_factory) -> Observed:
    return asyncio.run(observe(tmp_path_factory.mktemp("open")))


async def observe(folder) -> Observed:
    off = next(run for run in config.load(SWEEP, engine="emulator").all_runs() if run.is_off)
    fast, slow = (
        off.model_copy(update={"engine": engine})
        for engine in (EngineSpec(name="emulator", args=("--profile", "h100-like")), SLOW)
    )
    point = Point(run=fast, workload=WORKLOAD, rate=RATE, arrivals=Arrivals(), launch=0)
    async with asyncio.timeout(240):
        ways = await measured(point, folder / "fast", WAYS, After(REQUESTS))
        settings = slow.settings.model_copy(update={"max_running_requests": 1})
        one_seat = slow.model_copy(update={"settings": settings})
        flood = point.model_copy(update={"run": one_seat, "rate": 1000.0})
        flooded = await measured(flood, folder / "slow", {"flood": ("kernel", 1)}, After(10**9))
    return Observed(point, ways, flood, flooded["flood"])


async def measured(point, folder, ways, stop) -> dict[str, load.Measurement]:
    async with serve(point.run, AttemptDir(folder)) as server:
        stream = await prompts.build(WORKLOAD, server.tokenize, chat=point.run.model.chat)
        return {
            name: await load.measure(
                server.engine, server.endpoint, point, stream, stop, died=server.died, client=client, shards=shards
            )
            for name, (client, shards) in ways.items()
        }


@pytest.mark.parametrize("way", WAYS)
def test_each_request_of_the_schedule_is_sent_once_and_not_before_it_is_due(observed, way):
    """Processes that share a schedule stop a moment apart, so only its last requests may lack one of theirs."""
    samples = observed.ways[way].samples
    sent = sorted(samples.index.tolist())

    assert len(set(sent)) == len(sent)
    assert list(range(REQUESTS)) == sent[:REQUESTS]
    assert (samples.sent_ns >= samples.due_ns).all()
    assert not samples.starter.any()
    assert {"", "cancelled"} >= set(samples.error)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_due_is_the_points_one_schedule(observed, way):
    samples = observed.ways[way].samples
    order = np.argsort(samples.index)
    schedule = np.array(list(islice(schedule_s(observed.point), samples.index.max() + 1)))[samples.index[order]]

    assert (np.diff(schedule) * 1e9).tolist() == pytest.approx(np.diff(samples.due_ns[order]).tolist(), abs=2)


@pytest.mark.parametrize("way", WAYS)
def test_the_schedule_begins_with_the_point(observed, way):
    measured = observed.ways[way]
    first_s = next(schedule_s(observed.point))

    assert first_s == pytest.approx((measured.samples.due_ns.min() - measured.started_ns) / 1e9, abs=1.0)
    assert measured.samples.due_ns.max() <= measured.stopped_ns


def test_how_late_a_request_was_sent_is_in_the_files(observed, tmp_path):
    samples = observed.ways["kernel"].samples
    write_samples(tmp_path / "s.parquet", samples)
    again = read_samples(tmp_path / "s.parquet")

    assert samples.due_ns.tolist() == again.due_ns.tolist()
    assert samples.sent_ns.tolist() == again.sent_ns.tolist()


def test_each_prompt_is_that_of_its_place_in_the_stream(observed):
    hashes = [
        samples.prompt_hash[np.argsort(samples.index)][:REQUESTS].tolist()
        for samples in (observed.ways[way].samples for way in WAYS)
    ]

    assert hashes[0] == hashes[1] == hashes[2]


def test_a_backlog_that_no_server_works_off_ends_the_point(observed):
    flooded = observed.flooded
    waiting = (flooded.samples.error == "cancelled").sum()

    assert "overloaded" == flooded.aborted
    assert waiting > most_in_flight(observed.flood.run)

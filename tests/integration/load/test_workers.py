"""One load over three processes, on the emulator: together they do what one does."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness import config, load, prompts
from harness.prompts import PromptStream
from harness.records import EngineCounters
from harness.rundir import AttemptDir
from harness.server import serve
from harness.spec import EngineSpec, Point, Workload

SWEEP = Path(__file__).parents[3] / "configs" / "sweeps" / "tiny-vllm-cpu.yaml"
WORKLOAD = Workload(name="w", isl=64, osl=20)
USERS = 5
SHARDS = 3


class After:
    """Stops once so many requests have ended, and notes how many it was shown each time."""

    def __init__(self, requests: int) -> None:
        self.requests = requests
        self.shown: list[int] = []

    def look(self, now_ns, finished) -> bool:
        self.shown.append(len(finished))
        return len(finished) >= self.requests


@dataclass(frozen=True)
class Observed:
    """What was measured on one server: from idle to idle, cut off in flight, a worker killed, through its death."""

    stream: PromptStream
    stop: After
    drained: load.Measurement
    before: EngineCounters
    after: EngineCounters
    cut: load.Measurement
    killed: BaseException | None
    died: load.Measurement


@pytest.fixture(scope="module")
def observed(tmp_path_factory) -> Observed:
    off = next(run for run in config.load(SWEEP, engine="emulator").all_runs() if run.is_off)
    engine = EngineSpec(name="emulator", args=("--profile", "h100-like"))
    return asyncio.run(observe(off.model_copy(update={"engine": engine}), tmp_path_factory.mktemp("workers")))


async def observe(run, folder) -> Observed:
    async with serve(run, AttemptDir(folder)) as server:
        stream = await prompts.build(WORKLOAD, server.tokenize, chat=run.model.chat)
        point = Point(run=run, workload=WORKLOAD, concurrency=USERS, launch=0)

        async def measure(stop, **options):
            async with asyncio.timeout(120):
                return await load.measure(
                    server.engine, server.endpoint, point, stream, stop, died=server.died, shards=SHARDS, **options
                )

        async def killed() -> BaseException | None:
            left_to_kill = [1]

            def kill(_) -> None:
                if left_to_kill and (workers := children()):
                    left_to_kill.clear()
                    os.kill(workers[0], signal.SIGKILL)

            with contextlib.suppress(ChildProcessError):
                return await measure(After(10**9), on_progress=kill)
            return ChildProcessError()

        before, stop = await server.counters(), After(40)
        drained = await measure(stop, drain=True)
        after = await server.counters()
        cut = await measure(After(12))
        lost = await killed()
        asyncio.get_running_loop().call_later(2.0, os.kill, server.endpoint.pid, signal.SIGKILL)
        died = await measure(After(10**9))
    return Observed(stream, stop, drained, before, after, cut, lost, died)


def children() -> list[int]:
    """Load workers of this process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if b"harness.load" in words and parent == os.getpid():
                found.append(int(folder.name))
    return found


def test_together_they_have_every_token_that_the_server_counts(observed):
    samples = observed.drained.samples

    assert {""} == set(samples.error)
    assert samples.completion_tokens.sum() == observed.after.generation_tokens - observed.before.generation_tokens
    assert len(samples) == observed.after.requests - observed.before.requests


def test_each_prompt_is_sent_once_and_each_user_is_one_users(observed):
    samples = observed.drained.samples
    counted = ~samples.starter
    shares = {index % SHARDS for index in samples.index[counted].tolist()}

    assert {1} == set(Counter(samples.index.tolist()).values())
    assert {0, 1, 2} == shares
    assert all(samples.slot[counted] % SHARDS == samples.index[counted] % SHARDS)
    assert set(range(USERS)) == set(samples.slot.tolist())
    assert sorted(range(-USERS, 0)) == sorted(samples.index[samples.starter].tolist())


def test_a_prompt_is_the_same_whoever_sends_it(observed):
    samples = observed.drained.samples
    counted = np.flatnonzero(~samples.starter)

    assert [observed.stream.request(index).hash for index in samples.index[counted].tolist()] == samples.prompt_hash[
        counted
    ].tolist()


def test_the_stop_rule_sees_them_all_in_one_growing_record(observed):
    shown = observed.stop.shown

    assert sorted(shown) == shown
    assert 40 <= shown[-1] <= len(observed.drained.samples)


def test_what_is_in_flight_at_the_stop_is_cut_off_and_kept(observed):
    samples = observed.cut.samples

    assert {"", "cancelled"} == set(samples.error)
    assert 1 <= (samples.error == "cancelled").sum() <= USERS
    assert all(samples.sent_ns <= observed.cut.stopped_ns)
    assert sorted(samples.end_ns.tolist()) == samples.end_ns.tolist()


def test_a_worker_that_is_killed_ends_the_point(observed):
    assert isinstance(observed.killed, ChildProcessError)


def test_the_death_of_the_server_ends_them_all(observed):
    assert "server_died" == observed.died.aborted


def test_no_worker_outlives_its_point(observed):
    assert [] == children()


def test_health_is_that_of_the_worst_and_says_how_many_there_were(observed):
    health = observed.drained.health

    assert SHARDS == health.shards
    assert health.reads.count >= len(observed.drained.samples.chunk_ns) / 4

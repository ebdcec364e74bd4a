"""The load on the emulator and on the real vLLM, both arms: every token that the server counts was recorded."""

import asyncio
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness import config, load, prompts
from harness.prompts import PromptStream
from harness.records import EngineCounters
from harness.rundir import AttemptDir
from harness.server import Server, serve
from harness.spec import EngineSpec, Mtp, Point, Run, Workload

SWEEP = Path(__file__).parents[2] / "configs" / "sweeps" / "tiny-vllm-cpu.yaml"
WORKLOAD = Workload(name="w", isl=64, osl=40)
USERS = 4


class After:
    def __init__(self, requests: int) -> None:
        self.requests = requests

    def look(self, now_ns, finished) -> bool:
        return len(finished) >= self.requests


class Never:
    def look(self, now_ns, finished) -> bool:
        return False


@dataclass(frozen=True)
class Arm:
    """What was measured on one server: from idle to idle, then cut off in flight, then through its death."""

    stream: PromptStream
    drained: load.Measurement
    settled: tuple[EngineCounters, EngineCounters]
    cut: load.Measurement
    died: load.Measurement


@pytest.fixture(scope="module", params=["emulator", pytest.param("vllm", marks=pytest.mark.vllm)])
def arms(request, tmp_path_factory) -> dict[str, Arm]:
    off = next(run for run in config.load(SWEEP, engine=request.param).all_runs() if run.is_off)
    if request.param == "vllm":
        request.getfixturevalue("vllm_venv")  # the sweep names it
    else:
        off = off.model_copy(update={"engine": EngineSpec(name="emulator", args=("--profile", "h100-like"))})
    mtp = off.model_copy(update={"mtp": Mtp(draft_tokens=2)})
    folder = tmp_path_factory.mktemp("load")
    return {run.mtp.label: asyncio.run(observe(run, AttemptDir(folder / run.mtp.label))) for run in (off, mtp)}


async def observe(run: Run, files: AttemptDir) -> Arm:
    async with serve(run, files) as server:
        stream = await prompts.build(WORKLOAD, server.tokenize, chat=run.model.chat)
        before = await idle(server)
        drained = await measure(server, stream, After(40), drain=True)
        after = await idle(server)
        cut = await measure(server, stream, After(12))
        await idle(server)
        asyncio.get_running_loop().call_later(1.0, os.kill, server.endpoint.pid, signal.SIGKILL)
        died = await measure(server, stream, Never())
    return Arm(stream, drained, (before, after), cut, died)


async def measure(server: Server, stream: PromptStream, stop, *, drain: bool = False) -> load.Measurement:
    point = Point(run=server.run, workload=WORKLOAD, concurrency=USERS, launch=0)
    eos_ids = frozenset(server.run.model.eos_token_ids)
    async with asyncio.timeout(120):
        return await load.measure(
            server.engine, server.endpoint, point, stream, stop, died=server.died, eos_ids=eos_ids, drain=drain
        )


async def idle(server: Server) -> EngineCounters:
    """The counters once nothing runs."""
    for _ in range(600):
        counters = await server.counters()
        if not counters.running and not counters.waiting:
            return counters
        await asyncio.sleep(0.1)
    raise AssertionError("requests still run after a minute")


def tokens(measurement: load.Measurement) -> int:
    """Tokens received, by the last count of each request."""
    samples = measurement.samples
    last = samples.offsets[1:] - 1
    return int(samples.chunk_tokens[last[np.diff(samples.offsets) > 0]].sum())


def test_from_idle_to_idle_the_client_has_every_token_that_the_server_counts(arms):
    for arm in arms.values():
        before, after = arm.settled
        samples = arm.drained.samples

        assert {""} == set(samples.error)
        assert tokens(arm.drained) == samples.completion_tokens.sum()
        assert tokens(arm.drained) == after.generation_tokens - before.generation_tokens
        assert samples.prompt_tokens.sum() == after.prompt_tokens - before.prompt_tokens
        assert len(samples) == after.requests - before.requests


def test_readings_at_the_ends_of_a_drained_load_agree_too(arms):
    for arm in arms.values():
        first, last = arm.drained.counters[0], arm.drained.counters[-1]

        assert tokens(arm.drained) == last.generation_tokens - first.generation_tokens
        assert () == arm.drained.counter_failures


def test_prompts_and_outputs_have_the_lengths_asked_for(arms):
    for arm in arms.values():
        samples = arm.drained.samples

        assert {64} == set(samples.prompt_tokens.tolist())
        assert samples.osl.tolist() == samples.completion_tokens.tolist()
        assert {40} == set(samples.osl[~samples.starter].tolist())
        assert {"length"} == set(samples.finish_reason)


def test_both_arms_get_the_same_prompts_in_the_same_order(arms):
    walks = []
    for arm in arms.values():
        samples = arm.drained.samples
        order = np.argsort(samples.sent_ns, kind="stable")
        order = order[~samples.starter[order]]
        walks.append(list(zip(samples.index[order].tolist(), samples.prompt_hash[order].tolist(), strict=True)))
    shorter = min(map(len, walks))

    assert arms["off"].stream.hash == arms["mtp2"].stream.hash
    assert shorter >= 36
    assert walks[0][:shorter] == walks[1][:shorter]


def test_under_mtp_a_chunk_is_several_tokens_and_off_it_hardly_is(arms):
    per_chunk = {name: tokens(arm.drained) / len(arm.drained.samples.chunk_ns) for name, arm in arms.items()}

    assert 1.0 <= per_chunk["off"] < 1.1
    assert 1.3 < per_chunk["mtp2"] <= 3.0


def test_time_runs_forward_in_every_request(arms):
    for arm in arms.values():
        samples = arm.drained.samples
        for number in range(len(samples)):
            chunks = samples.chunk_ns[samples.offsets[number] : samples.offsets[number + 1]]
            times = [samples.sent_ns[number], *chunks.tolist(), samples.end_ns[number]]

            assert times == sorted(times)


def test_what_is_cut_off_keeps_the_tokens_that_came(arms):
    for arm in arms.values():
        samples = arm.cut.samples
        first, last = arm.cut.counters[0], arm.cut.counters[-1]

        assert {"", "cancelled"} >= set(samples.error)
        assert 1 <= (samples.error == "cancelled").sum() <= USERS
        assert tokens(arm.cut) <= last.generation_tokens - first.generation_tokens


def test_a_server_that_dies_ends_the_load(arms):
    for arm in arms.values():
        samples = arm.died.samples

        assert "server_died" == arm.died.aborted
        assert len(samples) >= USERS
        assert {"", "cancelled", "early_eof", "connect"} >= set(samples.error)

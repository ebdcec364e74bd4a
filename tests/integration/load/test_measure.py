"""N users in closed loop against a scripted server, through the one door that a sweep uses."""

import asyncio
import gc
from collections import Counter
from functools import partial

import numpy as np
import pytest

from harness import load
from harness.engines.base import Endpoint
from harness.load import users
from harness.prompts import Frame, PromptStream
from harness.records import EngineCounters
from harness.spec import (
    EngineSpec,
    Gpu,
    Model,
    Mtp,
    Parallel,
    Point,
    Run,
    ServerSettings,
    Workload,
)

WORKLOAD = Workload(name="w", isl=24, osl=12)
LONG = Workload(name="long", isl=24, osl=10_000)


class ScriptedEngine:
    """Words requests for the scripted server and reads its token count; the rest of an engine is not asked for."""

    def __init__(self, server) -> None:
        self.server = server
        self.readings = 0
        self.broken = False

    def request_path(self) -> str:
        return "/v1/completions"

    def request_body(self, endpoint, prompt, osl, workload) -> dict[str, object]:
        return {"model": endpoint.model, "prompt": prompt, "max_tokens": osl}

    async def counters(self, http, endpoint) -> EngineCounters:
        self.readings += 1
        if self.broken:
            raise OSError("metrics are out")
        return EngineCounters(t_ns=self.readings, generation_tokens=float(self.server.tokens))


class After:
    """Stops once so many counted requests have ended well or not."""

    def __init__(self, requests: int) -> None:
        self.requests = requests

    def look(self, now_ns, finished) -> bool:
        return sum(not sample.starter for sample in finished) >= self.requests


class Never:
    def look(self, now_ns, finished) -> bool:
        return False


def point(concurrency: int, workload: Workload = WORKLOAD) -> Point:
    facts = {"context": 4096, "layers": 1, "parameters_b": 0.1, "active_b": 0.1, "mtp_modules": 1, "source": "-"}
    model = Model(name="m", label="M", weights="m", **facts)
    run = Run(
        model=model,
        gpu=Gpu(name="g", label="G", vendor="cpu", arch="x", memory_gb=1.0, source="-"),
        precision="bf16",
        engine=EngineSpec(name="scripted"),
        parallel=Parallel(),
        settings=ServerSettings(max_running_requests=64, context=4096),
        mtp=Mtp(),
    )
    return Point(run=run, workload=workload, concurrency=concurrency, launch=0)


def stream(workload: Workload = WORKLOAD) -> PromptStream:
    ids = np.random.default_rng(0).integers(0, 900, 4000).astype(np.int32)
    return PromptStream(workload, Frame((1001,), (1002,)), ids, "sha")


@pytest.fixture
def measured(server, client):
    return partial(measure, server, client)


async def measure(server, client, concurrency: int, stop, workload: Workload = WORKLOAD, engine=None, **options):
    endpoint = Endpoint(base_url=server.url, model="m-1", api_key="sk-1")
    engine = engine or ScriptedEngine(server)
    async with asyncio.timeout(60):
        return await load.measure(
            engine, endpoint, point(concurrency, workload), stream(workload), stop, client=client, **options
        )


def rows(samples, name: str, **where) -> list:
    chosen = np.ones(len(samples), bool)
    for column, value in where.items():
        chosen &= getattr(samples, column) == value
    return getattr(samples, name)[chosen].tolist()


async def test_n_requests_are_held_in_flight_and_never_more(measured, server, script):
    server.script = lambda _: script(gap_s=0.01)
    samples = (await measured(8, After(80))).samples
    full_ns, end_ns = np.sort(samples.sent_ns)[8], samples.end_ns.max()
    in_flight_ns = np.maximum(samples.end_ns - np.maximum(samples.sent_ns, full_ns), 0).sum()

    assert 8 == server.most_active
    assert 6.5 < in_flight_ns / (end_ns - full_ns) <= 8.0


async def test_each_user_starts_with_one_residual_life_and_goes_on_with_full_requests(measured, server, script):
    server.script = lambda _: script(gap_s=0.004)
    samples = (await measured(6, After(20))).samples

    assert sorted(range(-6, 0)) == sorted(rows(samples, "index", starter=True))
    assert [-1 - slot for slot in rows(samples, "slot", starter=True)] == rows(samples, "index", starter=True)
    assert 6 == len(set(rows(samples, "osl", starter=True)))
    assert {12} == set(rows(samples, "osl", starter=False))
    assert {24} == set(samples.isl.tolist())


async def test_both_arms_walk_the_same_prompts_in_the_same_order(measured, server, script):
    walks = []
    for per_chunk, gap_s in [((1,), 0.004), ((3, 1), 0.002)]:
        server.script = lambda _, per_chunk=per_chunk, gap_s=gap_s: script(per_chunk=per_chunk, gap_s=gap_s)
        samples = (await measured(4, After(40))).samples
        order = np.argsort(samples.sent_ns, kind="stable")
        counted = order[~samples.starter[order]]
        walks.append(list(zip(samples.index[counted].tolist(), samples.prompt_hash[counted].tolist(), strict=True)))
    shorter = min(map(len, walks))

    assert list(range(shorter)) == [index for index, _ in walks[0][:shorter]]
    assert walks[0][:shorter] == walks[1][:shorter]


async def test_the_prompt_that_is_sent_is_the_one_that_is_recorded(measured, server, script):
    samples = (await measured(2, After(5))).samples
    prompts = stream()
    hashes = dict(zip(samples.index.tolist(), samples.prompt_hash.tolist(), strict=True))
    sent = {tuple(served.body["prompt"]) for served in server.served}

    assert {tuple(prompts.request(index).ids) for index in range(5)} <= sent
    assert all(prompts.request(index).hash == hashes[index] for index in range(5))


async def test_tokens_are_the_servers_and_not_the_chunks(measured, server, script):
    server.script = lambda _: script(per_chunk=(2, 3, 1))
    samples = (await measured(3, After(12), drain=True)).samples

    assert set(samples.completion_tokens[~samples.starter].tolist()) == {12}
    assert {6} == set(np.diff(samples.offsets)[~samples.starter].tolist())


async def test_from_idle_to_idle_no_token_is_lost(measured, server, script):
    server.script = lambda number: script(per_chunk=(1 + number % 4,), gap_s=0.002)
    measurement = await measured(8, After(50), drain=True)
    first, last = measurement.counters[0], measurement.counters[-1]

    assert set(measurement.samples.error) == {""}
    assert measurement.samples.completion_tokens.sum() == last.generation_tokens - first.generation_tokens > 0


async def test_what_is_in_flight_at_the_end_is_cut_off_and_kept(measured, server, script):
    server.script = lambda _: script(gap_s=0.01)
    measurement = await measured(5, After(10))
    samples = measurement.samples
    cut = samples.error == "cancelled"

    assert 1 <= cut.sum() <= 5
    assert set(samples.error[~cut]) == {""}
    assert all(samples.end_ns[cut] >= measurement.stopped_ns)
    assert all(samples.sent_ns <= measurement.stopped_ns)
    assert np.diff(samples.offsets)[cut].sum() > 0


async def test_no_request_outlives_the_point(measured, server, script, until):
    server.script = lambda _: script(gap_s=0.01)
    before = asyncio.all_tasks() - server.handlers
    measurement = await measured(5, After(10))
    await until(lambda: not server.active)

    assert before == asyncio.all_tasks() - server.handlers
    assert len(measurement.samples) == len(server.served)


async def test_the_death_of_the_server_ends_the_point_at_once(measured, server, script):
    server.script = lambda _: script(gap_s=0.05)
    died = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, died.set)
    async with asyncio.timeout(10):
        measurement = await measured(4, Never(), died=died, workload=WORKLOAD.model_copy(update={"osl": 10_000}))

    assert "server_died" == measurement.aborted
    assert 4 == len(measurement.samples)
    assert {"cancelled"} == set(measurement.samples.error)


async def test_death_is_noticed_while_requests_run_out(measured, server, script):
    server.script = lambda _: script(gap_s=0.05)
    died = asyncio.Event()
    asyncio.get_running_loop().call_later(0.6, died.set)
    measurement = await measured(2, After(0), died=died, drain=True, workload=LONG)

    assert "server_died" == measurement.aborted


async def test_a_server_that_only_fails_is_given_up_with_its_samples(measured, server, script, monkeypatch):
    monkeypatch.setattr(users, "_FAILURES_PER_SLOT", 3)
    server.script = lambda _: script(fault="http_500")
    measurement = await measured(4, Never())

    assert "failed_requests" == measurement.aborted
    assert len(measurement.samples) >= 12
    assert {"http_status"} == set(measurement.samples.error) - {"cancelled"}
    assert not any("sk-1" in text for text in measurement.samples.error_text)


async def test_a_failed_request_is_not_sent_again_and_its_user_goes_on(measured, server, script):
    server.script = lambda number: script(gap_s=0.001, fault="early_eof" if number == 9 else None)
    samples = (await measured(3, After(20))).samples

    assert {1} == set(Counter(samples.index.tolist()).values())
    assert 1 == (samples.error == "early_eof").sum()


async def test_a_failing_user_waits_longer_each_time(measured, server, script, monkeypatch):
    monkeypatch.setattr(users, "_FAILURES_PER_SLOT", 4)
    server.script = lambda _: script(fault="http_500")
    samples = (await measured(1, Never())).samples
    pauses_s = (samples.sent_ns[1:] - samples.end_ns[:-1]) / 1e9

    assert all(pauses_s[:3] >= [0.05, 0.1, 0.2])


async def test_counters_are_read_before_the_first_request_and_after_the_last(measured, server, script):
    measurement = await measured(2, After(4), drain=True)

    assert 0 == measurement.counters[0].generation_tokens
    assert server.tokens == measurement.counters[-1].generation_tokens
    assert () == measurement.counter_failures


async def test_counters_that_can_not_be_read_are_noted_and_harm_nothing(measured, server, script):
    engine = ScriptedEngine(server)
    engine.broken = True
    measurement = await measured(2, After(4), engine=engine)

    assert () == measurement.counters
    assert ("OSError: metrics are out",) * 2 == measurement.counter_failures
    assert len(measurement.samples) >= 4


async def test_the_collector_rests_while_load_is_on_and_only_then(measured, server, script):
    server.script = lambda _: script(gap_s=0.02)
    seen = []
    await measured(2, After(8), on_progress=lambda _: seen.append(gc.isenabled()))

    assert {False} == set(seen)
    assert gc.isenabled()


async def test_progress_counts_tokens_of_unfinished_requests_too(measured, server, script):
    server.script = lambda _: script(gap_s=0.01)
    seen = []
    died = asyncio.Event()

    def look(progress) -> None:
        seen.append(progress)
        if progress.output_tokens:
            died.set()

    await measured(2, Never(), died=died, on_progress=look, workload=LONG)

    assert (2, 0, 0) == (seen[-1].in_flight, seen[-1].finished, seen[-1].failed)
    assert 0 < seen[-1].output_tokens <= server.tokens


async def test_cancelling_a_measurement_leaves_nothing_behind(measured, server, script, until):
    server.script = lambda _: script(gap_s=0.01)
    task = asyncio.create_task(measured(4, Never()))
    await until(lambda: len(server.served) >= 8)
    task.cancel()
    await asyncio.wait([task])
    await until(lambda: not server.active)

    assert task.cancelled()
    assert gc.isenabled()
    assert {asyncio.current_task()} == asyncio.all_tasks() - server.handlers


async def test_the_client_says_how_late_it_was(measured, server, script):
    server.script = lambda _: script(gap_s=0.005)
    health = (await measured(2, After(10))).health

    assert 0 < health.busy
    assert 0 <= health.lateness_p50_s <= health.lateness_p99_s <= health.lateness_max_s


async def test_a_bug_in_the_stop_rule_is_not_swallowed(measured):
    class Broken:
        def look(self, now_ns, finished) -> bool:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await measured(2, Broken())

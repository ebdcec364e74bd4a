"""The real vLLM on CPU: each arm is started once, asked everything, and what it said is checked.

The Off arm is stopped as usual; the engine behind the MTP arm's server is killed.
"""

import asyncio
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import config, launch
from harness.launch import processes
from harness.records import Configuration, EngineCounters
from harness.rundir import AttemptDir, read_json
from harness.server import Server, serve
from harness.spec import Mtp, Run, Workload

pytestmark = pytest.mark.vllm

SWEEP = Path(__file__).parents[2] / "configs" / "sweeps" / "tiny-vllm-cpu.yaml"
FORCED = 2.2
OSL = 96
REQUESTS = 4
DEATH_LIMIT_S = 60.0


@dataclass(frozen=True)
class Arm:
    """What one server said and did."""

    run: Run
    version: str
    configuration: Configuration
    stamps: tuple[str, ...]
    plain: list[int]
    chat: list[int]
    streams: list[list[dict]]
    before: EngineCounters
    after: EngineCounters
    reset: bool
    files: AttemptDir
    died_within_s: float | None
    left: tuple[int, ...]
    port_is_free: bool


@pytest.fixture(scope="module")
def arms(vllm_venv, tmp_path_factory) -> dict[str, Arm]:
    run = next(run for run in config.load(SWEEP).all_runs() if run.is_off)
    forced = run.model_copy(update={"mtp": Mtp(draft_tokens=2, forced_acceptance_length=FORCED)})
    folder = tmp_path_factory.mktemp("vllm")
    return {
        "off": asyncio.run(observe(run, AttemptDir(folder / "off"), kill=False)),
        "mtp": asyncio.run(observe(forced, AttemptDir(folder / "mtp"), kill=True)),
    }


async def observe(run: Run, files: AttemptDir, *, kill: bool) -> Arm:
    async with serve(run, files) as server:
        workload = Workload(name="chat", isl=32, osl=OSL)
        plain, chat = [await server.tokenize("The with statement is used", chat=chat) for chat in (False, True)]
        before = await server.counters()
        streams = await asyncio.gather(*(stream(server, [*chat, 300 + i], workload) for i in range(REQUESTS)))
        said = {
            "before": before,
            "after": await server.counters(),
            "reset": await server.reset_prefix_cache(),
        }
        died_within_s = await killed(server) if kill else None
    port = int(server.endpoint.base_url.rpartition(":")[2])
    return Arm(
        run=run,
        version=server.version,
        configuration=server.configuration,
        stamps=server.stamps,
        plain=plain,
        chat=chat,
        streams=streams,
        files=files,
        died_within_s=died_within_s,
        left=processes.session_members(server.endpoint.pid),
        port_is_free=launch.is_free(port),
        **said,
    )


async def stream(server: Server, prompt: list[int], workload: Workload) -> list[dict]:
    body = server.engine.request_body(server.endpoint, prompt, OSL, workload)
    url = f"{server.endpoint.base_url}{server.engine.request_path()}"
    async with server.http.post(url, json=body, headers=server.endpoint.headers) as response:
        assert response.status == 200, await response.text()
        lines = (await response.text()).splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


async def killed(server: Server) -> float:
    """Seconds from the kill of the engine's core to the server's `died`."""
    members = processes.session_members(server.endpoint.pid)
    core = next(pid for pid in members if "EngineCore" in name_of(pid))
    start = time.monotonic()
    os.kill(core, signal.SIGKILL)
    await asyncio.wait_for(server.died.wait(), DEATH_LIMIT_S)
    return time.monotonic() - start


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_it_serves_what_was_asked_for(arms):
    for arm in arms.values():
        assert () == arm.configuration.mismatches
        assert arm.configuration.read_back
        assert arm.version == read_json(arm.files.provenance)["engine_version"]
        assert arm.version.startswith("0.32")


def test_arms_have_nothing_different_that_must_be_equal(arms):
    off, mtp = arms["off"].configuration, arms["mtp"].configuration

    assert off.must_equal == mtp.must_equal
    assert {} == off.speculative
    assert 2 == mtp.speculative["speculative_config.num_speculative_tokens"]
    assert off.derived["cache_config.kv_cache_size_tokens"] > mtp.derived["cache_config.kv_cache_size_tokens"]


def test_records_differ_in_speculation_alone(arms):
    off, mtp = (read_json(arms[name].files.argv) for name in ("off", "mtp"))
    extra = mtp["argv"][len(off["argv"]) :]

    assert off["argv"] == mtp["argv"][: len(off["argv"])]
    assert "--speculative-config" == extra[0]
    assert off["env"] == mtp["env"]
    assert ["cpu-plugin"] == off["stamps"]
    assert ["cpu-plugin", "forced-acceptance"] == mtp["stamps"]


def test_records_hold_nothing_of_this_machine(arms, vllm_venv):
    for arm in arms.values():
        for path in (arm.files.argv, arm.files.configuration, arm.files.provenance):
            text = path.read_text()
            assert not [place for place in (str(vllm_venv), str(SWEEP.parents[1]), str(Path.home())) if place in text]


def test_every_stream_has_the_tokens_asked_for(arms):
    for arm in arms.values():
        for events in arm.streams:
            counts = [event["usage"]["completion_tokens"] for event in events]
            ids = [token for event in events for choice in event["choices"] for token in choice["token_ids"]]

            assert counts == sorted(counts)
            assert (OSL, OSL) == (counts[-1], len(ids))
            assert len(arm.chat) + 1 == events[-1]["usage"]["prompt_tokens"]


def test_counters_move_with_the_requests(arms):
    for arm in arms.values():
        assert REQUESTS * OSL == arm.after.generation_tokens - arm.before.generation_tokens
        assert REQUESTS * (len(arm.chat) + 1) == arm.after.prompt_tokens - arm.before.prompt_tokens
        assert REQUESTS == arm.after.requests - arm.before.requests
        assert arm.before.t_ns < arm.after.t_ns


def test_off_drafts_nothing_and_mtp_accepts_as_forced(arms):
    off, mtp = arms["off"], arms["mtp"]
    drafts = mtp.after.drafts - mtp.before.drafts
    accepted = mtp.after.accepted_tokens - mtp.before.accepted_tokens

    assert (None, None) == (off.after.drafts, off.after.accepted_per_position)
    assert FORCED == pytest.approx(1 + accepted / drafts, abs=0.35)
    assert 2 == len(mtp.after.accepted_per_position)


def test_a_chat_turn_stands_in_the_models_template(arms):
    for arm in arms.values():
        assert arm.plain == [token for token in arm.chat if token in arm.plain][: len(arm.plain)]
        assert len(arm.chat) > len(arm.plain)
    assert arms["off"].chat == arms["mtp"].chat


def test_the_prefix_cache_can_be_reset(arms):
    assert all(arm.reset for arm in arms.values())


def test_the_engines_death_is_the_servers(arms):
    assert arms["off"].died_within_s is None
    assert arms["mtp"].died_within_s < DEATH_LIMIT_S


def test_nothing_is_left_of_either_server(arms):
    for arm in arms.values():
        assert ((), True) == (arm.left, arm.port_is_free)

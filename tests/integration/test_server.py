"""Servers as processes of their own: the emulator, which misbehaves when asked to."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from harness import launch
from harness.atomic_files import read_json
from harness.engines import Endpoint
from harness.errors import EngineMissing, ServerDied, ServerError, ServerNotReady
from harness.launch import processes
from harness.launch.wrapping import Wrapping
from harness.rundir import AttemptDir
from harness.server import KEY_VARIABLE, Server, serve
from harness.server.ready import Candidate, until_ready
from harness.spec import EngineSpec, Gpu, Model, Mtp, Parallel, Run, ServerSettings, Vendor


def run_with(*args: str, draft_tokens: int = 2, ready_limit_s: float = 60.0, **engine) -> Run:
    return Run(
        model=Model(
            name="toy",
            label="Toy",
            weights="./toy",
            context=4096,
            layers=2,
            parameters_b=0.001,
            active_b=0.001,
            mtp_modules=1,
            ready_limit_s=ready_limit_s,
            source="a test",
        ),
        gpu=Gpu(name="cpu", label="CPU", vendor=Vendor.CPU, arch="x86-64", memory_gb=8, source="a test"),
        precision="bf16",
        engine=EngineSpec(name="emulator", args=("--speed", "20", *args), **engine),
        parallel=Parallel(),
        settings=ServerSettings(max_running_requests=8, context=512),
        mtp=Mtp(draft_tokens=draft_tokens),
    )


@pytest.fixture
def attempt(tmp_path) -> AttemptDir:
    return AttemptDir(tmp_path / "attempt-1")


def written(attempt: AttemptDir) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(attempt.path.iterdir())}


def of_process(pid: int, what: str) -> str:
    return Path(f"/proc/{pid}/{what}").read_text()


async def test_a_server_is_ready_described_and_gone_afterwards(attempt):
    waited = []

    async with serve(run_with(), attempt, on_wait=waited.append) as server:
        session, port = server.endpoint.pid, int(server.endpoint.base_url.rpartition(":")[2])
        commands = [of_process(pid, "cmdline") for pid in processes.session_members(session)]
        counters = await server.counters()

        assert processes.listens(session, port)
        assert counters.generation_tokens > 0
        assert await server.tokenize("some text", chat=True)
        assert not server.died.is_set()

    assert () == processes.session_members(session)
    assert launch.is_free(port)
    assert waited == sorted(waited)
    assert 0 < server.ready_s < 60
    assert commands
    assert not [command for command in commands if server.endpoint.api_key in command]
    assert ["argv.json", "configuration.json", "provenance.json", "server.log"] == list(written(attempt))


async def test_what_is_written_holds_no_secret_and_nothing_of_one_launch(attempt, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_private")
    other = AttemptDir(tmp_path / "attempt-2")
    for files in (attempt, other):
        async with serve(run_with(), files) as server:
            secrets = (server.endpoint.api_key, "hf_private")

        assert not [name for name, text in written(files).items() for secret in secrets if secret in text]

    assert attempt.argv.read_text() == other.argv.read_text()
    assert read_json(attempt.configuration)["must_equal"] == read_json(other.configuration)["must_equal"]


async def test_argv_names_placeholders_and_stamps(attempt):
    async with serve(run_with(), attempt):
        said = read_json(attempt.argv)

    assert ["--port", "<port>"] == said["argv"][said["argv"].index("--port") :][:2]
    assert "<served-name>" in said["argv"]
    assert ["emulated"] == said["stamps"]
    assert {"engine_version", "node"} <= read_json(attempt.provenance).keys()


async def test_arms_of_one_run_have_nothing_different_that_must_be_equal(attempt, tmp_path):
    mtp = run_with(draft_tokens=2)
    configurations = []
    for run, files in ((mtp, attempt), (mtp.baseline, AttemptDir(tmp_path / "attempt-2"))):
        async with serve(run, files) as server:
            configurations.append(server.configuration)

    assert configurations[0].must_equal == configurations[1].must_equal
    assert configurations[0].speculative != configurations[1].speculative
    assert () == configurations[0].mismatches


async def test_a_server_that_ends_at_the_start_is_told_with_its_last_words(attempt):
    with pytest.raises(
        ServerNotReady, match=r"(?s)it ended before it was ready; last lines of .*server.log:\n.*unrecog"
    ):
        async with serve(run_with("--no-such-flag"), attempt):
            pass


async def test_a_server_too_slow_to_start_is_stopped(attempt):
    with pytest.raises(ServerNotReady, match=r"not ready in 1 s \(.*onnect"):
        async with serve(run_with("--fault", "slow_start=60", ready_limit_s=1.0), attempt):
            pass

    assert ["argv.json", "server.log"] == list(written(attempt))


async def ready_in_5_s(server: Server, endpoint: Endpoint) -> float:
    """Ask a server that is up, with a limit that holds no start."""
    candidate = Candidate(server.engine, endpoint, server.http)
    return await until_ready(candidate, limit_s=5, died=asyncio.Event(), on_wait=lambda _: None)


async def test_a_stranger_is_not_taken_for_the_server(attempt):
    async with serve(run_with(), attempt) as server:
        with pytest.raises(ServerNotReady, match=r"not ready in 5 s \(it serves toy-.*, not toy-other\)"):
            await ready_in_5_s(server, replace(server.endpoint, model="toy-other"))


async def test_a_first_completion_that_never_ends_is_told(attempt):
    async with serve(run_with("--fault", "hang@5"), attempt) as server:
        await asyncio.sleep(5)
        with pytest.raises(ServerNotReady, match=r"not ready in 5 s \(the first completion has not ended\)"):
            await ready_in_5_s(server, server.endpoint)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ("short_output", r"its first completion has \d+ \+ 7 tokens, asked were \d+ \+ 8"),
        ("wrong_prompt_tokens", r"its first completion has \d+ \+ 8 tokens, asked were"),
        ("refuse", r"its first completion failed: HTTP 503"),
        ("no_usage", r"its first completion failed: HTTP 200"),
    ],
)
async def test_a_server_that_miscounts_is_never_ready(attempt, fault, complaint):
    with pytest.raises(ServerNotReady, match=complaint):
        async with serve(run_with("--fault", fault), attempt):
            pass


async def test_somebody_elses_process_is_not_taken_for_the_server(attempt):
    async with serve(run_with(), attempt) as server:
        port = int(server.endpoint.base_url.rpartition(":")[2])
        thief = Candidate(
            server.engine, server.endpoint, server.http, is_ours=lambda: processes.listens(os.getsid(0), port)
        )

        with pytest.raises(ServerNotReady, match="answered by a process of somebody else"):
            await until_ready(thief, limit_s=5, died=asyncio.Event(), on_wait=lambda _: None)


async def test_a_death_is_noticed_at_once(attempt):
    async with serve(run_with(), attempt) as server:
        os.kill(server.endpoint.pid, signal.SIGKILL)

        await asyncio.wait_for(server.died.wait(), 5)

        assert "the server ended while it was needed; last lines of" in str(server.death())


async def test_a_request_that_fails_by_the_servers_death_is_told_as_such(attempt):
    with pytest.raises(ServerDied, match=r"ended while it was needed; last lines of") as caught:
        async with serve(run_with(), attempt) as server:
            os.kill(server.endpoint.pid, signal.SIGKILL)
            while True:
                await server.counters()

    assert isinstance(caught.value.__cause__, aiohttp.ClientError)


async def test_a_request_that_fails_by_itself_is_the_servers_failure(attempt, monkeypatch):
    monkeypatch.setattr("harness.server.DEATH_LIMIT_S", 0.1)

    with pytest.raises(ServerError, match=r"a request to .* failed") as caught:
        async with serve(run_with(), attempt) as server, server.http.get("http://127.0.0.1:1/"):
            pass

    assert not isinstance(caught.value, ServerDied)


@pytest.mark.parametrize("impatience", [1, 3])
async def test_a_cancelled_block_leaves_no_server(attempt, impatience):
    inside = asyncio.Event()
    sessions = []

    async def use() -> None:
        async with serve(run_with(), attempt) as server:
            sessions.append(server.endpoint.pid)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await asyncio.wait_for(inside.wait(), 60)
    for _ in range(impatience):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task

    assert () == processes.session_members(sessions[0])


async def test_an_error_in_the_block_is_not_hidden_by_the_stop(attempt):
    with pytest.raises(KeyError, match="mine"):
        async with serve(run_with(), attempt) as server:
            raise KeyError("mine")

    assert () == processes.session_members(server.endpoint.pid)


async def test_an_image_needs_something_that_starts_containers(attempt):
    with pytest.raises(EngineMissing, match=r"engine.image: nothing here starts vllm/vllm-openai:v0.32.0"):
        async with serve(run_with(image="vllm/vllm-openai:v0.32.0"), attempt):
            pass


async def test_a_prefix_stands_before_the_command(attempt):
    async with serve(
        run_with(), attempt, wrapping=Wrapping(wrap=lambda inner, _: ("env", "MARK=1", *inner[0].argv))
    ) as server:
        assert "MARK=1" in of_process(server.endpoint.pid, "environ")

    assert ["env", "MARK=1"] == read_json(attempt.argv)["argv"][:2]


@asynccontextmanager
async def foreign_server(folder: Path, run: Run, monkeypatch):
    """A server that another program started, and the environment that opens it."""
    async with serve(run, AttemptDir(folder / "attempt-9")) as server:
        monkeypatch.setenv(KEY_VARIABLE, server.endpoint.api_key)
        yield server


async def test_a_foreign_server_is_attached_to_and_left_running(attempt, tmp_path, monkeypatch):
    async with foreign_server(tmp_path, run_with(), monkeypatch) as foreign:
        run = run_with(endpoint=f"{foreign.endpoint.base_url}/")
        async with serve(run, attempt) as server:
            assert (None, foreign.endpoint.model) == (server.endpoint.pid, server.endpoint.model)
            assert ("emulated", "attached") == server.stamps
            assert () == server.configuration.mismatches

        assert await foreign.counters()
        assert not [text for text in written(attempt).values() if foreign.endpoint.api_key in text]
        assert ["emulated", "attached"] == read_json(attempt.argv)["stamps"]


async def test_a_foreign_server_without_the_speculation_asked_for_is_told(attempt, tmp_path, monkeypatch):
    async with (
        foreign_server(tmp_path, run_with(draft_tokens=0), monkeypatch) as foreign,
        serve(run_with(endpoint=foreign.endpoint.base_url), attempt) as server,
    ):
        assert ("draft_tokens: asked 2, server has 0",) == server.configuration.mismatches


async def test_a_foreign_server_of_another_model_is_refused(attempt, tmp_path, monkeypatch):
    async with foreign_server(tmp_path, run_with(), monkeypatch) as foreign:
        other = run_with(endpoint=foreign.endpoint.base_url)
        named = other.model.model_copy(update={"name": "b", "weights": "org/b"})

        with pytest.raises(ServerNotReady, match=r"serves .*; none is org/b"):
            async with serve(other.model_copy(update={"model": named}), attempt):
                pass


async def test_a_request_that_a_foreign_server_refuses_is_told_without_the_key(attempt, tmp_path, monkeypatch):
    async with foreign_server(tmp_path, run_with(), monkeypatch) as foreign:
        monkeypatch.setenv(KEY_VARIABLE, "a-wrong-secret")
        with pytest.raises(ServerError, match=r"failed: ClientResponseError: 401") as caught:
            async with serve(run_with(endpoint=foreign.endpoint.base_url), attempt):
                pass

    assert "a-wrong-secret" not in str(caught.value)


async def test_an_endpoint_where_nothing_listens_is_the_servers_fault(attempt):
    with pytest.raises(ServerError, match=r"a request to http://127.0.0.1:1 failed: .*onnect"):
        async with serve(run_with(endpoint="http://127.0.0.1:1"), attempt):
            pass

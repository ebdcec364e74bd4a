"""Both arms of every engine, each server started once: asked everything, loaded, and ended.

The Off arm is stopped as usual; the process that does the MTP arm's work is killed under load.
"""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import config, launch, load, prompts
from harness.launch import processes
from harness.prompts import PromptStream
from harness.records import Configuration, EngineCounters
from harness.rundir import AttemptDir
from harness.server import Server, serve
from harness.spec import Arrivals, EngineSpec, Mtp, Point, Run, Workload

SWEEPS = Path(__file__).parents[3] / "configs" / "sweeps"
WORKLOAD = Workload(name="w", isl=64, osl=40)
FORCED = 2.2
OSL = 96
USERS = 4
OPEN = {"rate": 4.0, "arrivals": Arrivals()}
DEATH_LIMIT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """One engine of the suite, and what it alone calls things.

    Attributes:
        venv: the fixture that its sweep's environment comes from.
        version: how its version begins.
        arm: the first word of what turns its speculation on.
        stamps: of its Off arm; forced acceptance adds its own.
        drafts: where its configuration has the draft length.
        pool: where it has the size of the KV pool, which a draft head makes smaller or leaves alone.
        works: what the process that does the work is called.
        counts_accepted: whether its counters have accepted drafts; it tells them request by request otherwise.
    """

    name: str
    venv: str | None
    version: str
    arm: str
    stamps: list[str]
    drafts: str
    pool: str
    works: str
    counts_accepted: bool = True

    @property
    def off(self) -> Run:
        """The Off arm of the tiny model."""
        sweep = config.load(SWEEPS / f"tiny-{self.name if self.venv else 'vllm'}-cpu.yaml", engine=self.name)
        run = next(run for run in sweep.all_runs() if run.is_off)
        if self.venv:
            return run
        emulator = EngineSpec(name=self.name, args=("--profile", "h100-like"))
        return run.model_copy(update={"engine": emulator})


TENANTS = (
    Tenant(
        name="emulator",
        venv=None,
        version="0.",
        arm="--draft-tokens",
        stamps=["emulated"],
        drafts="draft_tokens",
        pool="kv_tokens",
        works="harness.emulator",
    ),
    Tenant(
        name="vllm",
        venv="vllm_venv",
        version="0.32",
        arm="--speculative-config",
        stamps=["cpu-plugin"],
        drafts="speculative_config.num_speculative_tokens",
        pool="cache_config.kv_cache_size_tokens",
        works="EngineCore",
    ),
    Tenant(
        name="sglang",
        venv="sglang_venv",
        version="0.5.23",
        arm="--speculative-draft-model-path",
        stamps=["cpu-standin-kernels"],
        drafts="speculative_num_steps",
        pool="max_total_num_tokens",
        works="sglang::scheduler",
        counts_accepted=False,
    ),
)


@dataclass(frozen=True)
class Arm:
    """What one server said and did: asked, loaded from idle to idle, cut off in flight, and ended.

    Attributes:
        streams: the events of a few completions of a chat turn.
        before, after: counters around them.
        settled: counters around the drained load.
        opened: a drained load in open loop.
        died: the load through the server's death; None for one that was stopped as usual.
        left: processes of it that run on.
    """

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
    stream: PromptStream
    drained: load.Measurement
    settled: tuple[EngineCounters, EngineCounters]
    opened: load.Measurement
    cut: load.Measurement
    files: AttemptDir
    died: load.Measurement | None
    left: tuple[int, ...]
    port_is_free: bool


@dataclass(frozen=True)
class Arms:
    """Both arms of one engine."""

    tenant: Tenant
    off: Arm
    mtp: Arm

    @property
    def both(self) -> tuple[Arm, Arm]:
        return self.off, self.mtp


@pytest.fixture(
    scope="session",
    params=[pytest.param(t, id=t.name, marks=getattr(pytest.mark, t.name) if t.venv else ()) for t in TENANTS],
)
def arms(request, tmp_path_factory) -> Arms:
    tenant = request.param
    if tenant.venv:
        request.getfixturevalue(tenant.venv)  # its sweep names the environment
    off = tenant.off
    mtp = off.model_copy(update={"mtp": Mtp(draft_tokens=2, forced_acceptance_length=FORCED)})
    folder = tmp_path_factory.mktemp(tenant.name)
    return Arms(
        tenant=tenant,
        off=asyncio.run(observe(off, AttemptDir(folder / "off"), None)),
        mtp=asyncio.run(observe(mtp, AttemptDir(folder / "mtp"), tenant.works)),
    )


async def observe(run: Run, files: AttemptDir, kill: str | None) -> Arm:
    """Everything there is to see of one server; `kill` names the process to kill in the end."""
    async with serve(run, files) as server:
        said = await asked(server)
        stream = await prompts.build(WORKLOAD, server.tokenize, chat=run.model.chat)
        before = await idle(server)
        drained = await measure(server, stream, After(40), drain=True)
        settled = (before, await idle(server))
        opened = await measure(server, stream, After(12), drain=True, **OPEN)
        cut = await measure(server, stream, After(12))
        await idle(server)
        died = await killed_under_load(server, stream, kill) if kill else None
    return Arm(
        run=run,
        version=server.version,
        configuration=server.configuration,
        stamps=server.stamps,
        stream=stream,
        drained=drained,
        settled=settled,
        opened=opened,
        cut=cut,
        files=files,
        died=died,
        left=processes.session_members(server.endpoint.pid),
        port_is_free=launch.is_free(int(server.endpoint.base_url.rpartition(":")[2])),
        **said,
    )


async def asked(server: Server) -> Mapping[str, object]:
    plain, chat = [await server.tokenize("The with statement is used", chat=chat) for chat in (False, True)]
    before = await idle(server)
    streams = await asyncio.gather(*(completion(server, [*chat, 300 + i]) for i in range(USERS)))
    after = await idle(server)
    reset = await server.reset_prefix_cache()
    return {"plain": plain, "chat": chat, "streams": streams, "before": before, "after": after, "reset": reset}


async def completion(server: Server, prompt: list[int]) -> list[dict]:
    body = server.engine.request_body(server.endpoint, prompt, OSL, Workload(name="chat", isl=32, osl=OSL))
    url = f"{server.endpoint.base_url}{server.engine.request_path()}"
    async with server.http.post(url, json=body, headers=server.endpoint.headers) as response:
        assert response.status == 200, await response.text()
        lines = (await response.text()).splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


class After:
    """Ends a load after so many requests."""

    def __init__(self, requests: int) -> None:
        self.requests = requests

    def look(self, now_ns, finished) -> bool:
        return len(finished) >= self.requests


async def measure(server: Server, stream: PromptStream, stop, *, drain: bool = False, **asked) -> load.Measurement:
    """In closed loop with a few users, or as asked."""
    point = Point(run=server.run, workload=WORKLOAD, launch=0, **(asked or {"concurrency": USERS}))
    eos_ids = frozenset(server.run.model.eos_token_ids)
    async with asyncio.timeout(DEATH_LIMIT_S):
        return await load.measure(
            server.engine, server.endpoint, point, stream, stop, died=server.died, eos_ids=eos_ids, drain=drain
        )


async def killed_under_load(server: Server, stream: PromptStream, works: str) -> load.Measurement:
    members = processes.session_members(server.endpoint.pid)
    worker = next(pid for pid in members if works in name_of(pid))
    asyncio.get_running_loop().call_later(1.0, os.kill, worker, signal.SIGKILL)
    return await measure(server, stream, After(10**9))


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


async def idle(server: Server) -> EngineCounters:
    """The counters once nothing runs."""
    for _ in range(600):
        counters = await server.counters()
        if not counters.running and not counters.waiting:
            return counters
        await asyncio.sleep(0.1)
    raise AssertionError("requests still run after a minute")


@pytest.fixture
def machine(request, arms) -> Callable[[], list[str]]:
    """Places of this machine that no record may hold."""
    venv = [str(request.getfixturevalue(arms.tenant.venv))] if arms.tenant.venv else []
    return lambda: [*venv, str(SWEEPS.parent), str(Path.home())]

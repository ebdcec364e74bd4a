"""Emulators as processes of their own, and a client that keeps everything it sees."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from harness.emulator.sendlog import read_sends
from harness.engines.base import Endpoint
from harness.engines.emulator import Emulator

QUICK = """
fixed_s: 0.005
per_position_s: 0.00001
per_context_token_s: 0.0
per_prefill_token_s: 0.000001
per_draft_s: 0.0
source: made up, quick
"""
READY_LIMIT_S = 30.0
USAGE = {"include_usage": True, "continuous_usage_stats": True}


@dataclass
class Seen:
    """One request as a client saw it."""

    events: list = field(default_factory=list)
    stamps_ns: list = field(default_factory=list)
    status: int = 200
    broken: str | None = None

    @property
    def chunks(self):
        """(stamp, event) of those that brought tokens."""
        raised, last = [], 0
        for stamp, event in zip(self.stamps_ns, self.events, strict=True):
            if event["choices"] and event["usage"]["completion_tokens"] > last:
                last = event["usage"]["completion_tokens"]
                raised.append((stamp, event))
        return raised

    @property
    def tokens(self):
        return [event["usage"]["completion_tokens"] for _, event in self.chunks]

    @property
    def ids(self):
        return [token for _, event in self.chunks for token in event["choices"][0]["token_ids"]]

    @property
    def final(self):
        return self.events[-1]["usage"]

    @property
    def finish_reason(self):
        return self.chunks[-1][1]["choices"][0]["finish_reason"]


@dataclass
class Started:
    """An emulator's process."""

    process: subprocess.Popen
    endpoint: Endpoint
    log: Path


class Emulated:
    """A running emulator and a client for it."""

    def __init__(self, started, http):
        self.process, self.endpoint, self.log, self.http = started.process, started.endpoint, started.log, http
        self.base = self.endpoint.base_url
        self.engine = Emulator()

    async def complete(self, *, prompt=(5, 6, 7, 8), max_tokens=8, chat=False, timeout_s=20.0, **more):
        body = {"model": self.endpoint.model, "max_tokens": max_tokens, "ignore_eos": True, "return_token_ids": True}
        body |= {"stream": True, "stream_options": USAGE} | more
        body |= {"messages": [{"role": "user", "content": "Hello there"}]} if chat else {"prompt": list(prompt)}
        url = f"{self.base}/v1/{'chat/' if chat else ''}completions"
        seen = Seen()
        try:
            async with asyncio.timeout(timeout_s):
                async with self.http.post(url, json=body, headers=self.endpoint.headers) as response:
                    seen.status = response.status
                    async for line in response.content:
                        if line.startswith(b"data: {"):
                            seen.stamps_ns.append(time.monotonic_ns())
                            seen.events.append(json.loads(line[6:]))
        except (aiohttp.ClientError, TimeoutError) as error:
            seen.broken = type(error).__name__
        return seen

    async def counters(self):
        return await self.engine.counters(self.http, self.endpoint)

    async def get(self, path):
        async with self.http.get(f"{self.base}{path}", headers=self.endpoint.headers) as response:
            return await response.json()

    async def idle(self):
        for _ in range(200):
            counters = await self.counters()
            if not counters.running and not counters.waiting:
                return
            await asyncio.sleep(0.02)
        pytest.fail("the batch never emptied")

    async def ended(self):
        """Exit status, within a limit."""
        return await asyncio.to_thread(self.process.wait, READY_LIMIT_S)

    def sends(self):
        """What it logged, by the id of the answer."""
        return {sent.id: sent for sent in read_sends(self.log)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(folder, *args, key="secret"):
    (folder / "quick.yaml").write_text(QUICK)
    port = free_port()
    name = f"emulated-{port}"
    command = [sys.executable, "-m", "harness.emulator", "--port", str(port), "--served-model-name", name]
    command += ["--profile", str(folder / "quick.yaml"), "--send-log", str(folder), *args]
    process = subprocess.Popen(command, env=os.environ | {"EMULATOR_API_KEY": key}, stderr=subprocess.PIPE)
    return Started(process, Endpoint(f"http://127.0.0.1:{port}", name, key), folder / f"{name}.jsonl")


def finish(started):
    if started.process.poll() is None:
        started.process.kill()
    started.process.communicate()


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**20) as session:
        yield session


@pytest.fixture
def emulate(tmp_path, http):
    """Starts emulators of any kind; whatever is left of them is killed in the end."""
    all_started = []

    async def starting(*args, ready=True, **more):
        all_started.append(start(tmp_path, *args, **more))
        emulated = Emulated(all_started[-1], http)
        if ready:
            await _ready(emulated)
        return emulated

    yield starting
    for started in all_started:
        finish(started)


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """One honest server of each arm, shared: importing takes longer than most tests."""
    both = {
        "off": start(tmp_path_factory.mktemp("off")),
        "mtp": start(tmp_path_factory.mktemp("mtp"), "--draft-tokens", "2", "--acceptance-length", "3"),
    }
    yield both
    for started in both.values():
        finish(started)


@pytest.fixture
async def off(arms, http):
    emulated = Emulated(arms["off"], http)
    await _ready(emulated)
    return emulated


@pytest.fixture
async def mtp(arms, http):
    """Two drafts a step, all of them accepted."""
    emulated = Emulated(arms["mtp"], http)
    await _ready(emulated)
    return emulated


async def _ready(emulated):
    end = time.monotonic() + READY_LIMIT_S
    while time.monotonic() < end:
        assert emulated.process.poll() is None, "the emulator ended before it was ready"
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with emulated.http.get(f"{emulated.base}/health") as response:
                if response.status == 200:
                    return
        await asyncio.sleep(0.02)
    pytest.fail("the emulator did not come up")

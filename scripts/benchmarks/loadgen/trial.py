"""One load generator in one scene: what it cost, what it says, and what was true.

Its processor time is that of all its processes, from when all users are there to when the first of them has nothing
more to ask, so imports and reports are not in it; over the chunks that the server sent in between.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from signal import SIGKILL
from typing import Any

from loadgen.contestants import SHARDS, Contestant, Order
from loadgen.scenes import Scene
from loadgen.seen import Sent, beside, read_log

LOOK_S = 0.05
LIMIT_S = 150.0


class Failed(Exception):
    """A contestant that did not do what it was asked; its text says how."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which ones the server and the client keep to, and those that are left."""

    server: tuple[int, ...]
    client: tuple[int, ...]
    left: tuple[int, ...]

    def of(self, scene: Scene) -> "Cores":
        """Both on both, where a scene has them share; one more for each shard, where it is about these."""
        if scene.shared:
            both = self.server + self.client[:1]
            return replace(self, server=both, client=both)
        return replace(self, client=self.left[-max(SHARDS) :] + self.client) if scene.sharded else self

    def suffice(self, scene: Scene) -> bool:
        """Whether a scene can be played; a core is kept for this process where shards are measured."""
        return not scene.sharded or len(self.left) > max(SHARDS)


@dataclass(frozen=True, slots=True)
class _Mark:
    cpu_s: float
    at_s: float
    chunks: int


class Server:
    """The mock, by its own account."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def argv(self, mock: Path, scene: Scene) -> list[str]:
        """Its command."""
        return [str(mock), str(self.port), str(scene.gap_us), scene.first_us, scene.tokens]

    def count(self) -> dict[str, int] | None:
        """Requests, requests answered and chunks so far; None while it does not answer."""
        try:
            count: dict[str, int] = json.loads(self.get("count"))
        except OSError:
            return None
        return count

    def get(self, what: str) -> str:
        """What it says of itself."""
        with urllib.request.urlopen(f"{self.url}/{what}", timeout=30) as answer:
            text: str = answer.read().decode()
        return text

    def wait(self, reached: Callable[[Mapping[str, int]], bool]) -> None:
        """Look until its count has got there."""
        deadline = time.monotonic() + LIMIT_S
        while (count := self.count()) is None or not reached(count):
            if time.monotonic() > deadline:
                raise Failed(f"not where it should be after {LIMIT_S:.0f} s: {count}")
            time.sleep(LOOK_S)


def run(mock: Path, scene: Scene, contestant: Contestant, cores: Cores) -> dict[str, Any]:
    """One row of figures; `failed` alone where there are none."""
    cores, server = cores.of(scene), Server()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(_started(_on(cores.server, server.argv(mock, scene))))
        if scene.rivalled:
            stack.enter_context(_started(_on(cores.client, [sys.executable, "-c", "while True: pass"])))
        requests = scene.requests * (contestant.flood_times if scene.flood else 1)
        order = Order(url=server.url, scene=scene, requests=requests, cores=len(cores.client), folder=folder)
        try:
            return _measured(server, order, contestant, cores.client)
        except Failed as failure:
            return {"failed": str(failure)}


def _on(cores: tuple[int, ...], words: list[str]) -> list[str]:
    return ["taskset", "-c", ",".join(map(str, cores)), *words]


@contextmanager
def _started(argv: list[str]) -> Iterator[None]:
    with subprocess.Popen(argv) as process:
        try:
            yield
        finally:
            process.kill()


def _measured(server: Server, order: Order, contestant: Contestant, cores: tuple[int, ...]) -> dict[str, Any]:
    server.wait(lambda _: True)
    argv, streams = _on(cores, contestant.argv(order)), order.scene.streams
    enough = order.requests // 2 if order.scene.flood else order.requests - streams  # a flood ends between two looks
    with (order.folder / "output").open("w") as output:
        process = subprocess.Popen(
            argv, stdout=output, stderr=output, env=os.environ | contestant.environment(order), cwd=order.folder
        )
    try:
        first = _mark(server, process, lambda count: count["requests"] >= streams)
        last = _mark(server, process, lambda count: count["done"] >= enough)
        code = process.wait(LIMIT_S)
    except (Failed, subprocess.TimeoutExpired) as failure:
        raise Failed(f"{failure}; {_last_words(order.folder)}") from failure
    finally:
        _end(process.pid)
        process.wait()
    if code:
        raise Failed(f"ended with {code}: {_last_words(order.folder)}")
    return _figures(server, order, contestant, first, last)


def _figures(server: Server, order: Order, contestant: Contestant, first: _Mark, last: _Mark) -> dict[str, Any]:
    try:
        said = contestant.said(order.folder)
    except (OSError, LookupError, ValueError) as error:
        raise Failed(f"its report can't be read: {error!r}; {_last_words(order.folder)}") from error
    cpu_s, wall_s, chunks = (late - early for early, late in zip(astuple(first), astuple(last), strict=True))
    truth = json.loads(server.get("stats"))
    known: Mapping[int | str, Sent] = {} if order.scene.flood else read_log(server.get("log"))
    return {
        "us_per_chunk": 1e6 * cpu_s / chunks,
        "busy": cpu_s / wall_s / order.cores,
        "chunks_s": chunks / wall_s,
        "held": None if order.scene.flood else truth["held"] / order.scene.streams,
        **beside(said, known, order.scene.streams),
        "more": said.more,
    }


def _last_words(folder: Path) -> str:
    text = " ".join((folder / "output").read_text(errors="replace").split())
    return f"its last words: ...{text[-300:]}" if text else "it said nothing"


def _mark(server: Server, process: subprocess.Popen[bytes], reached: Callable[[Mapping[str, int]], bool]) -> _Mark:
    """Where it is at the first look at which the count has got there."""

    def there(count: Mapping[str, int]) -> bool:
        if process.poll() is not None:
            raise Failed(f"ended with {process.returncode} after {count['requests']} requests")
        return reached(count)

    server.wait(there)
    count = server.count()
    assert count is not None
    return _Mark(_cpu_s(process.pid), time.monotonic(), count["chunks"])


def _cpu_s(pid: int) -> float:
    """Of a process and all below it, ended ones included."""
    tick_s, spent_s = 1 / os.sysconf("SC_CLK_TCK"), 0.0
    for one, fields in _family(pid).items():
        own, ended = (tick_s * sum(map(int, part)) for part in (fields[11:13], fields[13:15]))
        # Exact to the nanosecond, but without threads that have ended; the other counts these, in whole ticks.
        spent_s += max(own, _threads_s(one)) + ended
    return spent_s


def _threads_s(pid: int) -> float:
    spent_ns = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            spent_ns += int(thread.read_text().split()[0])
    return spent_ns / 1e9


def _end(pid: int) -> None:
    for one in _family(pid):
        with suppress(ProcessLookupError):
            os.kill(one, SIGKILL)


def _family(pid: int) -> dict[int, list[str]]:
    """The fields of /proc/PID/stat behind the name, of a process and of all below it."""
    fields: dict[int, list[str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields[int(stat.parent.name)] = stat.read_text().rpartition(")")[2].split()
    family: set[int] = set()
    more = {pid} & fields.keys()
    while more:
        family |= more
        more = {one for one, words in fields.items() if int(words[1]) in more} - family
    return {one: fields[one] for one in family}

"""How a command starts, and how it stops with everything it has started. Knows commands, not engines.

Between this process and the command stands a guardian (`guardian.py`). It holds the reading end of a pipe and stops
the command's whole session when the pipe ends, so one path serves a normal stop, an exception, Ctrl-C, SIGTERM and
SIGKILL of this process. `stop` then asks the kernel whether anything is left.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import ServerNotReady
from harness.launch import processes

GUARDIAN = Path(__file__).with_name("guardian.py")
GRACE_S = 30.0
"""How long a server may take to end by itself: vLLM takes 3 s, SGLang waits for requests in flight."""

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Command:
    """What to run.

    Attributes:
        argv: the program and its arguments.
        env: the whole environment; nothing else is inherited.
        ask_to_end: asks it to end by itself before it is stopped, where it does not pass signals on as they come.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    ask_to_end: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a command ended.

    Attributes:
        code: exit status, negative for a signal; None when its guardian was killed and nobody saw it.
        killed: asking was not enough.
        left: processes of its session that still run: empty unless they hang in the kernel.
    """

    code: int | None
    killed: bool
    left: tuple[int, ...]


class Running:
    """A command that was started.

    Attributes:
        pid: the command's process; also the number of its session and process group.
    """

    def __init__(
        self, guardian: subprocess.Popen[bytes], pid: int, words: asyncio.StreamReader, pipe: asyncio.ReadTransport
    ) -> None:
        self.pid = pid
        self._guardian = guardian
        self._words = words
        self._pipe = pipe
        self._exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._killed = False
        self._listening = asyncio.create_task(self._listen())

    async def exited(self) -> int | None:
        """Wait for the command's end; its exit status, as in `Stopped`."""
        return await asyncio.shield(self._exited)

    async def stop(self) -> Stopped:
        """End the command and all that it has started; what is left afterwards is what the kernel still shows."""
        assert self._guardian.stdin is not None, "made with a pipe"
        self._guardian.stdin.close()
        await self._listening
        await asyncio.to_thread(self._guardian.wait)
        left = processes.session_members(self.pid)
        if left:  # the guardian itself was killed
            self._killed = True
            left = await kill(left)
        return Stopped(code=self._exited.result(), killed=self._killed, left=left)

    async def _listen(self) -> None:
        while line := await self._words.readline():
            word, *rest = line.decode().split()
            if word == "exited":
                self._exited.set_result(int(rest[0]))
            elif word == "killed":
                self._killed = True
        self._pipe.close()
        if not self._exited.done():
            self._exited.set_result(None)


async def start(command: Command, log: Path, *, grace_s: float = GRACE_S) -> Running:
    """Start a command in a session of its own, what it prints appended to `log`.

    Raises:
        ServerNotReady: there is no such program, or it may not be run.
    """
    program = shutil.which(command.argv[0], path=command.env.get("PATH"))
    if program is None:
        raise ServerNotReady(f"could not start {command.argv[0]}: it is not there, or not executable")
    asked = {"argv": [program, *command.argv[1:]], "env": dict(command.env), "log": str(log), "grace_s": grace_s}
    guardian = subprocess.Popen(  # noqa: ASYNC220 - asyncio's own kills the process when the loop closes
        [sys.executable, "-I", "-S", str(GUARDIAN)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert guardian.stdin is not None, "made with a pipe"
    words = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(words)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, guardian.stdout)
    with contextlib.ExitStack() as given_up:
        given_up.callback(pipe.close)
        given_up.callback(guardian.stdin.close)
        guardian.stdin.write(json.dumps(asked).encode() + b"\n")  # not its arguments: those are for everyone to see
        guardian.stdin.flush()
        word, _, rest = (await words.readline()).decode().strip().partition(" ")
        if word != "started":
            guardian.wait()
            raise ServerNotReady(f"could not start {rest or program}")
        given_up.pop_all()
    return Running(guardian, int(rest), words, pipe)


async def kill(pids: tuple[int, ...], limit_s: float = 10.0) -> tuple[int, ...]:
    """SIGKILL processes and wait until they run no more; those that still do after `limit_s`."""
    seen = {pid: at.started for pid in pids if (at := processes.stat(pid)) is not None}

    def running() -> tuple[int, ...]:
        now = ((pid, processes.stat(pid)) for pid in seen)
        return tuple(pid for pid, at in now if at is not None and at.started == seen[pid] and not at.ended)

    for pid in running():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = asyncio.get_running_loop().time() + limit_s
    while (left := running()) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - the kernel tells only a parent
        await asyncio.sleep(0.05)
    return left


def reserve_port(host: str = HOST) -> socket.socket:
    """A TCP port that nobody uses, held by a bound socket until that is closed.

    It lies below the range that the kernel hands out by itself, so that no outgoing connection takes it while the
    server is still loading.
    """
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(1000):
        port = low // 2 + secrets.randbelow(low - low // 2)
        held = socket.socket()
        try:
            held.bind((host, port))
        except OSError:
            held.close()
            continue
        return held
    raise ServerNotReady(f"{host}: no free TCP port from {low // 2} to {low - 1}")


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen on a port now; connections that are still closing do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError:
            return False
        return True

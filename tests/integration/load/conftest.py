"""A server that does exactly what a test tells it to, over real sockets, and logs what it did and when."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest


@dataclass(frozen=True)
class Script:
    """How one request is answered.

    Attributes:
        per_chunk: tokens in each chunk, repeated in turn.
        first_s, gap_s: wait before the first chunk, and between chunks.
        fault: what goes wrong, and after how many chunks.
    """

    per_chunk: tuple[int, ...] = (1,)
    first_s: float = 0.0
    gap_s: float = 0.0
    fault: str | None = None
    after: int = 2


@dataclass
class Served:
    """One request as the server saw it."""

    body: dict
    headers: dict[str, str]
    connection: int
    arrived_ns: int
    sent: list[tuple[int, int]] = field(default_factory=list)
    ended_ns: int | None = None


class ScriptedServer:
    """Streaming completions with cumulative usage, by script.

    Attributes:
        script: request number -> its script; a test sets it.
        served: requests in order of arrival.
        active, most_active: requests being answered.
        handlers: a task for each connection.
        tokens: produced in all, as a server would count them.
    """

    def __init__(self) -> None:
        self.script: Callable[[int], Script] = lambda _: Script()
        self.served: list[Served] = []
        self.active = self.most_active = self.tokens = self.connections = 0
        self.url = ""
        self._server: asyncio.Server | None = None
        self.handlers: set[asyncio.Task] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        for handler in list(self.handlers):
            handler.cancel()
        await asyncio.gather(*self.handlers, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        self.handlers.add(handler)
        self.connections += 1
        connection = self.connections
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._one(reader, writer, connection):
                    pass
        finally:
            self.handlers.discard(handler)
            writer.transport.abort()

    async def _one(self, reader, writer, connection: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head.split("\r\n")[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        served = Served(body, headers, connection, time.monotonic_ns())
        script = self.script(len(self.served))
        self.served.append(served)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            return await self._answer(script, served, reader, writer)
        finally:
            self.active -= 1
            served.ended_ns = time.monotonic_ns()

    async def _answer(self, script: Script, served: Served, reader, writer) -> bool:
        if script.fault == "close":
            return False
        if script.fault == "http_500":
            echo = json.dumps({"error": {"message": f"no: {served.headers.get('authorization')}"}}).encode()
            writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: %d\r\n\r\n" % len(echo) + echo)
            await writer.drain()
            return True
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        gone = asyncio.ensure_future(reader.read(1))
        try:
            return await self._stream(script, served, writer, gone)
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone

    async def _stream(self, script: Script, served: Served, writer, gone: asyncio.Future) -> bool:
        wanted = served.body["max_tokens"]
        total = number = 0
        while total < wanted:
            if not await self._wait(script.gap_s if number else script.first_s, gone):
                return False
            if script.fault and number == script.after:
                if script.fault == "early_eof":
                    return False
                if script.fault == "stall":
                    await gone
                    return False
                if script.fault == "error_event":
                    self._chunk(writer, {"error": {"message": "out of memory", "code": 500}})
                    return await self._end(writer)
            before, total = total, min(wanted, total + script.per_chunk[number % len(script.per_chunk)])
            number += 1
            self.tokens += total - before
            served.sent.append((time.monotonic_ns(), total))
            choice = {"index": 0, "text": "x" * (total - before), "finish_reason": None}
            self._chunk(writer, {"choices": [choice], "usage": self._usage(served, total)})
        if script.fault != "no_usage":
            said = total + (script.fault == "wrong_usage")
            self._chunk(writer, {"choices": [], "usage": self._usage(served, said)})
        return await self._end(writer)

    async def _wait(self, seconds: float, gone: asyncio.Future) -> bool:
        """Whether the client is still there after the wait."""
        if seconds or gone.done():
            await asyncio.wait([gone], timeout=seconds)
        return not gone.done()

    def _usage(self, served: Served, tokens: int) -> dict[str, int]:
        return {"prompt_tokens": len(served.body["prompt"]), "completion_tokens": tokens}

    def _chunk(self, writer, message: dict) -> None:
        self._raw(writer, b"data: " + json.dumps(message).encode() + b"\n\n")

    def _raw(self, writer, data: bytes) -> None:
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def _end(self, writer) -> bool:
        self._raw(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


@pytest.fixture(params=["kernel", "aiohttp"])
def client(request) -> str:
    """Each transport by its name: what holds of one must hold of the other."""
    return request.param


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    await scripted.start()
    try:
        yield scripted
    finally:
        await scripted.stop()


@pytest.fixture
def script() -> Callable[..., Script]:
    """Makes scripts, where a test module can't import this one."""
    return lambda **changes: replace(Script(), **changes)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits for a condition, and fails where it never comes."""

    async def wait(condition: Callable[[], bool]) -> None:
        for _ in range(4000):
            if condition():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("waited 20 s in vain")

    return wait

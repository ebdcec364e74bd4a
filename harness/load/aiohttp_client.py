"""Streaming requests over aiohttp: all of HTTP, TLS included, stamped when the event loop gets round to a read.

Moves bytes: writes a job's body, stamps each read of the answer and hands it to a `Recording`. Knows nothing of what
the bytes mean. It is the reference that `kernel_client` is tested against.
"""

import asyncio
import time
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp

from harness.load.client import Ended
from harness.load.recording import Recording, excerpt

_CONNECT_S = 30.0
_READ_BUFFER = 2**20
_BODY_EXCERPT = 4096

_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "connect"),
    (aiohttp.ClientConnectorError, "connect"),
    (TimeoutError, "stall"),
    (aiohttp.ClientPayloadError, "early_eof"),
    (aiohttp.ClientConnectionError, "early_eof"),
    (OSError, "early_eof"),
    (aiohttp.ClientError, "stream_error"),
)
"""Error classes by exception; the first that fits."""


class AiohttpClient:
    """Streaming over aiohttp: plain and TLS, one connection for each request in flight, kept alive between them.

    Args:
        url: where completions are posted to.
        headers: sent with each request.
        stall_s: longest silence of a server that is taken for work.
    """

    def __init__(self, url: str, headers: dict[str, str], *, stall_s: float) -> None:
        self._url = url
        self._tasks: set[asyncio.Task[None]] = set()
        self._bug: BaseException | None = None
        self._session = aiohttp.ClientSession(
            # The caller decides how many are in flight; a limit here would be a queue that nobody sees.
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=stall_s),
            headers=headers | {"Content-Type": "application/json", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[_connection_trace()],
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drop()
        await self._session.close()

    def start(self, recording: Recording, ended: Ended) -> None:
        """See `Client`."""
        task = asyncio.get_running_loop().create_task(self._stream(recording, ended))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def drop(self) -> None:
        """See `Client`; a cancelled request closes its connection."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def check(self) -> None:
        """See `Client`."""
        if self._bug is not None:
            raise self._bug

    def reads(self) -> None:
        """See `Client`."""

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._bug = self._bug or task.exception()

    async def _stream(self, recording: Recording, ended: Ended) -> None:
        try:
            async with await self._answer(recording) as response:
                await _record(response, recording)
        except tuple(kind for kind, _ in _KINDS) as error:
            kind = next(name for kind, name in _KINDS if isinstance(error, kind))
            recording.fail(kind, f"{type(error).__name__}: {error}", time.monotonic_ns())
        ended(recording)

    async def _answer(self, recording: Recording) -> aiohttp.ClientResponse:
        """The answer's head; a kept-alive connection that proves to be closed gets one second chance."""
        attempt = _Attempt(recording)
        try:
            return await self._post(attempt)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError):
            if not attempt.reused:
                raise
        recording.reconnected = True
        return await self._post(_Attempt(recording))

    async def _post(self, attempt: "_Attempt") -> aiohttp.ClientResponse:
        return await self._session.post(
            self._url, data=attempt.recording.job.body, trace_request_ctx=attempt, allow_redirects=False
        )


class _Attempt:
    """One writing of a request: learns from the connection trace whether its connection is an old one."""

    __slots__ = ("recording", "reused")

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.reused = False


def _connection_trace() -> aiohttp.TraceConfig:
    """Stamps `sent` when the connection is there: dialling is not the server's time."""

    async def created(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.recording.sent(time.monotonic_ns())

    async def reused(_: object, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.reused = True
        context.trace_request_ctx.recording.sent(time.monotonic_ns())

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(created)
    trace.on_connection_reuseconn.append(reused)
    return trace


async def _record(response: aiohttp.ClientResponse, recording: Recording) -> None:
    """Read an answer to its end; leaving early closes the connection."""
    if response.status != 200:
        body = await response.content.read(_BODY_EXCERPT)
        recording.fail("http_status", f"HTTP {response.status}: {excerpt(body)}", time.monotonic_ns())
        return
    async for data in response.content.iter_any():
        recording.read(data, time.monotonic_ns())
        if recording.over:
            return
    recording.closed(time.monotonic_ns())

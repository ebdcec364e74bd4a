"""Streaming requests over plain sockets, each read stamped by the kernel when its bytes arrived.

The stamp is taken before any process is woken, so it is as good on a busy core as on an idle one, as long as no two
chunks of a stream wait together: such a read has the stamp of its last bytes, and is counted. So all that can be read
is read before users' next requests leave, which for many that end together takes longer than a token. Plain HTTP/1.1
on Linux; everything else is `aiohttp_client`.

All sockets lie in one epoll set of our own, and the event loop watches that set: it pays for a wake-up once, however
many sockets are ready. Where chunks follow one another closely, a moment's wait makes it more sockets: waking costs
more than a read, and stamps do not suffer.
"""

import asyncio
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from time import monotonic_ns
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from harness.load.client import Ended
from harness.load.clock import KernelClock
from harness.load.connection import Connection, Gauge
from harness.load.recording import Recording
from harness.records import Reads

_CONNECT_S = 30.0
_WATCH_S = 1.0
_GATHER_S = 0.0001  # far less than a token takes, so that no two chunks of a stream wait together
_CLOSE_NS = _GATHER_S * 1e9 / 2  # between two chunks: the wait brings two or more
_SMOOTH = 1 / 16  # share of the newest round in what is known of that
_TURNS = 64  # requests sent between two rounds of reads: a few milliseconds


class KernelClient:
    """One connection for each request in flight, kept alive between them.

    Args:
        url: where completions are posted to, `http://...`.
        headers: sent with each request.
        stall_s: longest silence of a server that is taken for work.
    """

    def __init__(self, url: str, headers: dict[str, str], *, stall_s: float) -> None:
        self._parts = urlsplit(url)
        self._head = _head(self._parts, headers)
        self._stall_ns = int(stall_s * 1e9)
        self._watch_s = min(_WATCH_S, stall_s / 4)
        self._gauge = Gauge(KernelClock())
        self._connections: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self._dialling: set[asyncio.Task[None]] = set()
        self._read_ns = monotonic_ns()
        self._gap_ns = 1e9  # between two chunks, of late
        self._done: dict[Connection, None] = {}
        self._turning = False
        self._bug: BaseException | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self._ready)
        self._watch = self._loop.call_later(self._watch_s, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gauge.clock.measure()
        self._watch.cancel()
        await self.drop()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def start(self, recording: Recording, ended: Ended) -> None:
        """See `Client`."""
        if self._idle:
            self._send(self._idle.pop(), recording, ended)
        else:
            self._dial(recording, ended)

    async def drop(self) -> None:
        """See `Client`."""
        for connection in list(self._connections.values()):
            self._close(connection)
        self._idle.clear()
        for task in self._dialling:
            task.cancel()
        if self._dialling:
            await asyncio.wait(self._dialling)

    def check(self) -> None:
        """See `Client`."""
        if self._bug is not None:
            raise self._bug

    def reads(self) -> Reads:
        """See `Client`."""
        return self._gauge.reads()

    def _ready(self) -> None:
        """Some sockets are readable, or have room again."""
        try:
            if self._gap_ns < _CLOSE_NS and not self._done:
                time.sleep(_GATHER_S)
            ready = self._epoll.poll(0)
            for fd, events in ready:
                connection = self._connections[fd]
                if connection in self._done:
                    continue
                if events & select.EPOLLOUT:
                    self._write_more(connection)
                if events & ~select.EPOLLOUT:
                    connection.read()
                if connection.reader is None:  # idle, and the server has closed it
                    self._close(connection)
                elif connection.reader.over or not connection.open:
                    self._done[connection] = None
            if self._done and not self._turning:
                self._turning = True
                self._loop.call_soon(self._turn_some)
            now_ns = monotonic_ns()
            self._gap_ns += _SMOOTH * ((now_ns - self._read_ns) / max(len(ready), 1) - self._gap_ns)
            self._read_ns = now_ns
        except BaseException as bug:  # as `_noted`, which would cost more than a read
            self._bug = self._bug or bug
            raise

    def _turn_some(self) -> None:
        """Go on with a few connections, and with the others after the event loop has read what has come meanwhile."""
        with self._noted():
            for connection in list(islice(self._done, _TURNS)):
                self._turn(connection)
            self._turning = bool(self._done)
            if self._turning:
                self._loop.call_soon(self._turn_some)

    def _turn(self, connection: Connection) -> None:
        """A connection has no more to bring for its request: keep or close it, and go on."""
        self._done.pop(connection, None)
        reader, ended, again = connection.reader, connection.ended, connection.stale
        connection.reader = connection.ended = None
        if reader is not None and reader.reusable and connection.open and not connection.writing:
            self._idle.append(connection)
        else:
            self._close(connection)
        if reader is None or ended is None:
            return
        if again:
            reader.recording.reconnected = True
            self._dial(reader.recording, ended)
        else:
            ended(reader.recording)

    def _send(self, connection: Connection, recording: Recording, ended: Ended) -> None:
        body = recording.job.body
        connection.send(b"%b%d\r\n\r\n%b" % (self._head, len(body), body), recording, ended)
        if connection.writing:
            self._epoll.modify(connection.fd, select.EPOLLIN | select.EPOLLOUT)
        elif not connection.open:
            self._turn(connection)

    def _write_more(self, connection: Connection) -> None:
        connection.write()
        if connection.open and not connection.writing:
            self._epoll.modify(connection.fd, select.EPOLLIN)

    def _close(self, connection: Connection) -> None:
        del self._connections[connection.fd]
        self._done.pop(connection, None)
        if connection in self._idle:
            self._idle.remove(connection)
        connection.close()

    def _dial(self, recording: Recording, ended: Ended) -> None:
        task = self._loop.create_task(self._connect(recording, ended))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _connect(self, recording: Recording, ended: Ended) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                connected = await self._connected()
        except (TimeoutError, OSError) as error:
            with self._noted():
                recording.fail("connect", f"{type(error).__name__}: {error}", monotonic_ns())
                ended(recording)
            return
        with self._noted():
            connection = Connection(connected, self._gauge)
            self._connections[connection.fd] = connection
            self._epoll.register(connection.fd, select.EPOLLIN)
            self._send(connection, recording, ended)

    async def _connected(self) -> socket.socket:
        """A socket to the first of the server's addresses that answers."""
        host, port = self._parts.hostname, self._parts.port or 80
        *others, last = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for address in others:
            with suppress(OSError):
                return await self._connected_to(address)
        return await self._connected_to(last)

    async def _connected_to(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, place = address
        connecting = socket.socket(family, kind, protocol)
        try:
            connecting.setblocking(False)
            await self._loop.sock_connect(connecting, place)
        except BaseException:
            connecting.close()
            raise
        return connecting

    def _look(self) -> None:
        """Once in a while: the clock, and servers that have fallen silent."""
        with self._noted():
            self._gauge.clock.measure()
            self._watch = self._loop.call_later(self._watch_s, self._look)
            now_ns = monotonic_ns()
            for connection in list(self._connections.values()):
                if connection.reader is not None and now_ns - connection.heard_ns > self._stall_ns:
                    connection.reader.lost("stall", f"nothing came for {self._stall_ns / 1e9:g} s", now_ns)
                    self._turn(connection)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """A bug in a callback is kept for `check`: the event loop would only log it."""
        try:
            yield
        except BaseException as bug:
            self._bug = self._bug or bug
            raise


def _head(parts: SplitResult, headers: dict[str, str]) -> bytes:
    """The head of every request, up to the value of its content-length."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    fields = {"Host": host, "Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "mtpbench"}
    fields |= {**headers, "Content-Type": "application/json", "Content-Length": ""}
    lines = "\r\n".join(f"{name}: {value}" for name, value in fields.items())
    return f"POST {target} HTTP/1.1\r\n{lines}".encode("latin-1")

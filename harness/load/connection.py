"""One plain socket to a server: writes a request whatever the socket takes at a time, reads with the kernel's stamps.

Knows no event loop: whoever finds the socket ready calls `read` or `write`.
"""

import socket
import struct
from array import array
from time import monotonic_ns

import numpy as np

from harness.load.client import Ended
from harness.load.clock import SO_TIMESTAMPNS, STAMP_BYTES, KernelClock
from harness.load.recording import Recording
from harness.load.response_reader import ResponseReader
from harness.records import Reads

_READ = 2**16
_timespec = struct.Struct("qq").unpack


class Gauge:
    """How the reads of all connections go.

    Attributes:
        clock: what turns a kernel's stamp into CLOCK_MONOTONIC.
        late_ns: for each read, how long its data had lain in the kernel.
        several, unstamped: reads that held several chunks, or had no stamp.
    """

    def __init__(self, clock: KernelClock) -> None:
        self.clock = clock
        self.late_ns = array("f")
        self.several = self.unstamped = 0

    def reads(self) -> Reads:
        """Read statistics so far."""
        late_s = np.frombuffer(self.late_ns, np.float32) / 1e9 if self.late_ns else np.zeros(1)
        count = max(len(self.late_ns), 1)
        p50, p99 = np.percentile(late_s, [50, 99]).tolist()
        return Reads(
            count=len(self.late_ns),
            late_p50_s=p50,
            late_p99_s=p99,
            late_max_s=float(late_s.max()),
            several=self.several / count,
            unstamped=self.unstamped / count,
            clock_moved_s=self.clock.moved_ns / 1e9,
        )


class Connection:
    """A connected socket; idle while it has no answer to wait for.

    Attributes:
        fd: its number.
        open: False once the server has closed it, or it has failed.
        reader: of the answer that is waited for; None while idle.
        ended: whom to tell.
        heard_ns: when it was last written to or read from with success.
    """

    def __init__(self, connected: socket.socket, gauge: Gauge) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.fd = connected.fileno()
        self.open = True
        self.reader: ResponseReader | None = None
        self.ended: Ended | None = None
        self.heard_ns = 0
        self._socket = connected
        self._receive = connected.recvmsg
        self._gauge = gauge
        self._served = 0
        self._rest = memoryview(b"")
        self._stamps = array("q")

    @property
    def writing(self) -> bool:
        """Whether part of the request waits for room in the socket."""
        return self.open and bool(self._rest)

    @property
    def stale(self) -> bool:
        """A kept connection that the server had closed before it saw this request, which may be sent once more."""
        reader = self.reader
        if self.open or reader is None or reader.began or reader.over:
            return False
        return self._served > 1 and not reader.recording.reconnected

    def send(self, request: bytes, recording: Recording, ended: Ended) -> None:
        """Write a request, as much of it as the socket takes."""
        self.reader, self.ended = ResponseReader(recording), ended
        self._stamps = recording.chunk_ns
        self._served += 1
        self._rest = memoryview(request)
        self.heard_ns = monotonic_ns()
        recording.sent(self.heard_ns)
        self.write()

    def write(self) -> None:
        """Write more of the request."""
        try:
            self._rest = self._rest[self._socket.send(self._rest) :]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(f"{type(error).__name__}: {error}")

    def read(self) -> None:
        """Read once."""
        try:
            data, stamps, _, _ = self._receive(_READ, STAMP_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(f"{type(error).__name__}: {error}")
            return
        now_ns = monotonic_ns()
        reader, gauge = self.reader, self._gauge
        if not data or reader is None:
            self._closed(now_ns)
            return
        if stamps:
            seconds, ns = _timespec(stamps[0][2])
            t_ns = seconds * 1_000_000_000 + ns - gauge.clock.offset_ns
        else:
            t_ns = now_ns
            gauge.unstamped += 1
        gauge.late_ns.append(now_ns - t_ns)
        self.heard_ns = now_ns
        before = len(self._stamps)
        reader.read(data, t_ns)
        if len(self._stamps) - before > 1:
            gauge.several += 1

    def close(self) -> None:
        """Close the socket."""
        self.open = False
        self._socket.close()

    def _closed(self, now_ns: int) -> None:
        self.open = False
        if self.reader is not None and not self.stale:
            self.reader.closed(now_ns)

    def _lost(self, text: str) -> None:
        self.open = False
        if self.reader is not None and not self.stale:
            self.reader.lost("early_eof", text, monotonic_ns())

"""What one process of the load generator can take on this machine, measured without a server.

Sends itself chunks over loopback, each read by itself as under a load that it keeps up with, and counts the processor
time of reading, stamping and decoding. The kernel's own work of receiving lies on the sender's side here: a real load
costs somewhat more, which is why `plan.client` gives a process half.
"""

import select
import socket
import time
from dataclasses import dataclass

from harness.load.clock import KernelClock
from harness.load.connection import Connection, Gauge
from harness.load.recording import Job, Recording

_CHUNKS = 20_000
_WARM_UP = 2_000
_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = (
    b'data: {"id":"cmpl-0123456789abcdef0123456789abcdef","object":"text_completion","created":1763760000,'
    b'"model":"model","choices":[{"index":0,"text":" hello","logprobs":null,"finish_reason":null,"stop_reason":null,'
    b'"prompt_token_ids":null,"token_ids":[1000]}],"usage":{"prompt_tokens":1024,"total_tokens":2048,'
    b'"completion_tokens":%d}}\n\n'
)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What was found.

    Attributes:
        chunk_s: processor time of one chunk.
        late_p99_s: from a chunk's arrival to its reading, here with nothing else to do.
    """

    chunk_s: float
    late_p99_s: float

    @property
    def chunks_s(self) -> float:
        """Chunks a second at which one core has nothing left."""
        return 1 / self.chunk_s


def measure(chunks: int = _CHUNKS) -> Ceiling:
    """Read so many chunks, one at a time; well under a second."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setblocking(False)
    gauge = Gauge(KernelClock())
    connection = Connection(near, gauge)
    with far, select.epoll() as ready:
        ready.register(connection.fd, select.EPOLLIN)
        connection.send(b"\r\n", _recording(), lambda _: None)
        far.sendall(_HEAD)
        spent_s = 0.0
        for number in range(1, _WARM_UP + chunks + 1):
            far.sendall(_chunk(number))
            before_s = time.process_time()
            ready.poll(1.0)
            connection.read()
            spent_s += (time.process_time() - before_s) * (number > _WARM_UP)
        connection.close()
    return Ceiling(chunk_s=spent_s / chunks, late_p99_s=gauge.reads().late_p99_s)


def _recording() -> Recording:
    return Recording(Job(index=0, slot=0, starter=False, prompt_hash="", isl=1, osl=1, body=b""))


def _chunk(number: int) -> bytes:
    event = _EVENT % number
    return b"%x\r\n%b\r\n" % (len(event), event)

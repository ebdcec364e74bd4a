"""When the kernel received a segment, on the clock that everything else is measured by.

The kernel stamps what it receives with CLOCK_REALTIME, before any process is woken. CLOCK_MONOTONIC runs at the same
rate, so between the two lies one number; it changes only when somebody sets the time of day. It is measured before
the load, once a second during it and after it, and a point during which it moved says so.
"""

import socket
import sys
import time

SO_TIMESTAMPNS = 35
"""Ask for the stamp (include/uapi/asm-generic/socket.h; Linux's name for it is missing from Python's `socket`)."""

STAMP_BYTES = socket.CMSG_SPACE(16)
"""Room for one stamp beside a read: a struct timespec of two 64-bit integers."""

_PAIRS = 50


def kernel_stamps() -> bool:
    """Whether this system can stamp what it receives."""
    return sys.platform == "linux" and sys.maxsize > 2**32


class KernelClock:
    """CLOCK_REALTIME -> CLOCK_MONOTONIC.

    Attributes:
        offset_ns: what to take off a kernel's stamp; as measured last.
        moved_ns: by how much it has changed at most since the first measurement.
    """

    def __init__(self) -> None:
        self.offset_ns = self._first_ns = _offset_ns()
        self.moved_ns = 0

    def measure(self) -> None:
        """Measure again."""
        self.offset_ns = _offset_ns()
        self.moved_ns = max(self.moved_ns, abs(self.offset_ns - self._first_ns))


def _offset_ns() -> int:
    """From the pair of readings that lie closest together: nothing else ran between them."""
    pairs = [(time.monotonic_ns(), time.time_ns(), time.monotonic_ns()) for _ in range(_PAIRS)]
    before, real, after = min(pairs, key=lambda pair: pair[2] - pair[0])
    return real - (before + after) // 2

"""Requests that the end of the point cut off: how long each had waited for its next chunk, and lived.

The cohort holds only requests that ended, so one that never does is in no latency; here it is. Knows no limits: what
is too long is for checks to say, and what the server's pauses were otherwise stands beside.
"""

from collections.abc import Iterator

import numpy as np

from harness.metrics.requests import Requests
from harness.records import Int64, Samples
from harness.stats import Floats
from harness.units import NS_PER_S


class Unfinished:
    """Of a point; filled by the batches that pass.

    Args:
        edges_ns: of the Window's blocks.

    Attributes:
        longest_wait_s: of the requests that got their last token inside the Window, the longest wait for a chunk, the
            first included; 0 where there are none.
    """

    def __init__(self, edges_ns: Int64) -> None:
        self._start_ns, self._end_ns = int(edges_ns[0]), int(edges_ns[-1])
        self._silent: list[Floats] = []
        self._open: list[Floats] = []
        self.longest_wait_s = 0.0

    def passing(self, batches: Iterator[Samples]) -> Iterator[Samples]:
        """The same batches, looked at on their way."""
        for batch in batches:
            self.add(batch)
            yield batch

    def add(self, samples: Samples) -> None:
        """Look at one batch."""
        requests = Requests(samples)
        cut = requests.cut_off
        self._silent.append((samples.end_ns - requests.last_ns)[cut] / NS_PER_S)
        self._open.append((samples.end_ns - samples.sent_ns)[cut] / NS_PER_S)
        chosen = requests.full & (requests.last_ns >= self._start_ns) & (requests.last_ns < self._end_ns)
        waits = np.diff(samples.chunk_ns, prepend=samples.chunk_ns[:1])
        waits[requests.chunk_is_first] = (requests.first_ns - samples.sent_ns)[requests.chunks > 0]
        longest = waits[chosen[requests.owner]].max(initial=0)
        self.longest_wait_s = max(self.longest_wait_s, float(longest) / NS_PER_S)

    @property
    def silent_s(self) -> Floats:
        """From the last chunk, or the send where none came, to the cut, by request."""
        return np.concatenate([*self._silent, np.empty(0)])

    @property
    def open_s(self) -> Floats:
        """From the send to the cut, by request."""
        return np.concatenate([*self._open, np.empty(0)])

"""What the server says it did beside what its client got: growth beyond that is somebody else's work.

Counted from reading to reading, so nothing is interpolated. vLLM counts tokens as it makes them, SGLang as a request
ends; whichever way gives the client more is taken, over a span that is a little longer at both ends. Both engines'
counters then agree to the token in every run that is committed here, and only a server that serves others too is above.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from harness.metrics.requests import Requests
from harness.records import EngineCounters, Int64, Samples

NAMES = ("generation_tokens", "prompt_tokens")
_EDGE_SHARE = 0.25
"""Of the time between readings: so far may a reading and the stamps of what it counts lie apart."""
_NEEDED_SHARE = 0.5


class Others:
    """Of a point; filled by the batches that pass.

    Args:
        readings: the server's counters, in any order.
        edges_ns: of the Window's blocks.
    """

    def __init__(self, readings: Sequence[EngineCounters], edges_ns: Int64) -> None:
        self._pairs = {name: _around(readings, name, int(edges_ns[0]), int(edges_ns[-1])) for name in NAMES}
        times_ns = np.sort([reading.t_ns for reading in readings])
        self._edge_ns = int(_EDGE_SHARE * np.median(np.diff(times_ns))) if len(times_ns) > 1 else 0
        self._got = {name: np.zeros(2) for name in NAMES}

    def passing(self, batches: Iterator[Samples]) -> Iterator[Samples]:
        """The same batches, looked at on their way."""
        for batch in batches:
            self.add(batch)
            yield batch

    def add(self, samples: Samples) -> None:
        """Look at one batch."""
        requests = Requests(samples)
        prompt = np.where(samples.prompt_tokens >= 0, samples.prompt_tokens, samples.isl)
        began, ended = requests.chunks > 0, ~requests.cut_off
        ways = {
            "generation_tokens": (
                (samples.chunk_ns, requests.chunk_delta),
                (samples.end_ns[ended], requests.tokens[ended]),
            ),
            "prompt_tokens": ((requests.first_ns[began], prompt[began]), (samples.end_ns[ended], prompt[ended])),
        }
        for name, both in ways.items():
            pair = self._pairs[name]
            if pair is not None:
                start_ns, end_ns = pair[0].t_ns - self._edge_ns, pair[1].t_ns + self._edge_ns
                self._got[name] += [float(of[(at >= start_ns) & (at < end_ns)].sum()) for at, of in both]

    def share(self, name: str) -> float | None:
        """What the counter grew by beyond what the client got, over that; None where it is not known.

        Args:
            name: one of NAMES.
        """
        pair, got = self._pairs[name], float(self._got[name].max())
        if pair is None or not got:
            return None
        first, last = (float(getattr(reading, name)) for reading in pair)
        return (last - first) / got - 1 if last >= first else None


def _around(
    readings: Sequence[EngineCounters], name: str, start_ns: int, end_ns: int
) -> tuple[EngineCounters, EngineCounters] | None:
    """The last readings before the Window began and before it ended; None where they cover too little of it.

    None after it: once the load is cut off, the server makes tokens that reach nobody.
    """
    known = sorted((r for r in readings if getattr(r, name) is not None), key=lambda reading: reading.t_ns)
    inside = [reading for reading in known if reading.t_ns <= end_ns]
    first = [reading for reading in inside if reading.t_ns <= start_ns][-1:] or inside[:1]
    if not first or inside[-1].t_ns - max(first[0].t_ns, start_ns) < _NEEDED_SHARE * (end_ns - start_ns):
        return None
    return first[0], inside[-1]

"""What a load generator says that it saw, beside what the server did: pure arithmetic."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, as a client tells of it.

    Attributes:
        who: its number at the server, or the name that the client gave it.
        ttft_ms: from its sending to its first chunk.
        stamps_ms: when each chunk came, from whatever moment; None where a client does not keep that.
    """

    who: int | str
    ttft_ms: float
    stamps_ms: Floats | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A client's report.

    Attributes:
        requests: all of them; empty where none are kept.
        absolute: stamps are CLOCK_MONOTONIC.
        tokens: that it counted.
        tpot_ms: its mean time per output token.
        itl_ms: the median of what it calls inter-token latency.
        more: what else is worth keeping.
    """

    requests: Sequence[Seen] = field(repr=False)
    absolute: bool = False
    tokens: int | None = None
    tpot_ms: float | None = None
    itl_ms: float | None = None
    more: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """One request, as the server's log tells of it: its number, its arrival, each chunk's sending and tokens so far."""

    number: int
    arrived_ms: float
    chunks_ms: Floats = field(repr=False)
    tokens: Floats = field(repr=False)

    @property
    def tpot_ms(self) -> float:
        """Time per output token behind the first chunk."""
        return float((self.chunks_ms[-1] - self.chunks_ms[0]) / (self.tokens[-1] - self.tokens[0]))


def stamps(ttft_ms: float, gaps_ms: Iterable[float]) -> Floats:
    """From the first chunk and the gaps behind it."""
    return np.fromiter(accumulate(gaps_ms, initial=ttft_ms), np.float64)


def read_log(text: str) -> dict[int | str, Sent]:
    """The server's log, each request under its number and under the client's name for it."""
    known: dict[int | str, Sent] = {}
    for line in filter(None, text.splitlines()):
        number, key, arrived, *chunks = line.split()
        pairs = np.array([chunk.split(":") for chunk in chunks], np.float64).reshape(-1, 2)
        known[int(number)] = known[key] = Sent(int(number), int(arrived) / 1e6, pairs[:, 0] / 1e6, pairs[:, 1])
    return known


def beside(said: Said, known: Mapping[int | str, Sent], streams: int) -> dict[str, object]:
    """What was said, what was true of the same requests, and how far stamps and times to first token are off, in ms.

    Nothing is known of a flood's single requests.
    The first request of each user leaves in one burst with all others', so it says nothing of TTFT. A clock that is not
    the server's is set, for each request, so that the earliest of its stamps is right: in the client's favour.
    """
    pairs = [(seen, known[seen.who]) for seen in said.requests if known]
    kept = [(seen.stamps_ms, sent) for seen, sent in pairs if seen.stamps_ms is not None]
    late = [_lag_ms(said, stamps_ms, sent) for stamps_ms, sent in kept if len(stamps_ms) == len(sent.chunks_ms)]
    first = [seen.ttft_ms - (sent.chunks_ms[0] - sent.arrived_ms) for seen, sent in pairs if sent.number >= streams]
    return {
        "stamp_error_ms": _sizes(late),
        "ttft_error_ms": _sizes([np.array(first)] if first else []),
        "requests": len(pairs),
        "stamped": len(late),
        "said": {"tokens": said.tokens, "tpot_ms": said.tpot_ms, "itl_ms": said.itl_ms},
        "true": _true([sent for _, sent in pairs]),
    }


def _lag_ms(said: Said, stamps_ms: Floats, sent: Sent) -> Floats:
    lag = stamps_ms - sent.chunks_ms
    return lag if said.absolute else lag - lag.min()


def _true(requests: Sequence[Sent]) -> dict[str, float] | None:
    if not requests:
        return None
    return {
        "tokens": int(sum(sent.tokens[-1] for sent in requests)),
        "tpot_ms": float(np.mean([sent.tpot_ms for sent in requests])),
        "gap_ms": float(np.median(np.concatenate([np.diff(sent.chunks_ms) for sent in requests]))),
    }


def _sizes(parts: Sequence[Floats]) -> dict[str, float] | None:
    """p50, p99 and the largest, whatever the sign."""
    if not parts:
        return None
    p50, p99, most = np.percentile(np.abs(np.concatenate(parts)), [50, 99, 100]).tolist()
    return {"p50": p50, "p99": p99, "max": most}

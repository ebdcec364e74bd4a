"""What follows from one batch of samples, request by request and chunk by chunk, before any window is known."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.records import Int64, Samples
from harness.stats import Floats
from harness.units import NS_PER_S

Mask = NDArray[np.bool_]

CUT_OFF = "cancelled"
"""Error class of a request that the end of the point cut off: not a failure, its tokens count."""


class Requests:
    """A batch with the facts that follow from it; a row a request unless a name says chunk.

    Attributes:
        chunks: number of chunks.
        tokens, first_tokens: delivered in all, with the first chunk; 0 where nothing came.
        first_ns, last_ns: first and last chunk; the send where nothing came.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.chunks: Int64 = np.diff(samples.offsets)
        held = self.chunks > 0
        first, last = samples.offsets[:-1][held], samples.offsets[1:][held] - 1
        self.first_ns, self.last_ns = samples.sent_ns.copy(), samples.sent_ns.copy()
        self.first_ns[held], self.last_ns[held] = samples.chunk_ns[first], samples.chunk_ns[last]
        self.tokens, self.first_tokens = np.zeros(len(samples), np.int64), np.zeros(len(samples), np.int64)
        self.tokens[held], self.first_tokens[held] = samples.chunk_tokens[last], samples.chunk_tokens[first]

    @cached_property
    def good(self) -> Mask:
        """Ended well."""
        return np.asarray(self.samples.error == "", np.bool_)

    @cached_property
    def cut_off(self) -> Mask:
        """In flight when the point ended."""
        return np.asarray(self.samples.error == CUT_OFF, np.bool_)

    @cached_property
    def full(self) -> Mask:
        """Ended well, delivered something, and was no starter: what latencies may be of."""
        return self.good & ~self.samples.starter & (self.chunks > 0)

    @cached_property
    def owner(self) -> Int64:
        """The request of each chunk."""
        return np.repeat(np.arange(len(self.samples)), self.chunks)

    @cached_property
    def chunk_is_first(self) -> Mask:
        """Whether each chunk is its request's first."""
        first = np.zeros(len(self.samples.chunk_ns), np.bool_)
        first[self.samples.offsets[:-1][self.chunks > 0]] = True
        return first

    @cached_property
    def chunk_delta(self) -> Int64:
        """Tokens that each chunk added."""
        before = np.roll(self.samples.chunk_tokens, 1)
        before[self.chunk_is_first] = 0
        return (self.samples.chunk_tokens - before).astype(np.int64)

    @cached_property
    def e2e_s(self) -> Floats:
        """Send to last token."""
        return (self.last_ns - self.samples.sent_ns) / NS_PER_S

    @cached_property
    def tpot_s(self) -> Floats:
        """(last token - first chunk) / (tokens - tokens of the first chunk); NaN for a single chunk or instant.

        Chunks after the first hold what was made between the two stamps; the first chunk's tokens were made before.
        """
        return quotient(self._decoded_s, (self.tokens - self.first_tokens).astype(np.float64))

    @cached_property
    def inferencex_tpot_s(self) -> Floats:
        """(last token - first chunk) / (tokens - 1), as InferenceX's client has it; NaN for a single token."""
        return quotient(self._decoded_s, (self.tokens - 1).astype(np.float64))

    @cached_property
    def _decoded_s(self) -> Floats:
        """First chunk to last token; NaN where both came in one instant."""
        span_s = (self.last_ns - self.first_ns) / NS_PER_S
        return np.where(span_s > 0, span_s, np.nan)


def quotient(numerator: Floats, denominator: Floats) -> Floats:
    """One by the other, element by element; NaN where the denominator is not above 0."""
    values: Floats = np.divide(numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0)
    return values

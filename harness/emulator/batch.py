"""The sequences of the engine's batch: one by one while they wait and prefill, as columns while they decode.

A step gives every decoding sequence its tokens at once, so what a step costs hardly grows with their number. Knows
nothing of time, memory and counters.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.records import Int64


class Delivery(NamedTuple):
    """Tokens that a request has after a step: `tokens` in all, and whether they are its last."""

    request: int
    tokens: int
    done: bool


@dataclass(frozen=True, slots=True, eq=False)
class Deliveries:
    """What a step delivers, in the order of the batch: one entry of each column a request."""

    request: Int64
    tokens: Int64
    done: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.request)

    def __iter__(self) -> Iterator[Delivery]:
        return map(Delivery, self.request.tolist(), self.tokens.tolist(), self.done.tolist())


@dataclass(slots=True, eq=False)
class Sequence:
    """A request inside the engine.

    Attributes:
        arrived_s: when it came.
        queued_s: how long it waited for its first step; None while it does.
        generated: tokens delivered so far; of a decoding sequence, those before it was last prefilled.
        to_prefill: tokens whose KV must still be computed before the next one can be sampled.
    """

    request: int
    prompt_tokens: int
    max_tokens: int
    arrived_s: float
    queued_s: float | None = None
    generated: int = 0
    to_prefill: int = 0

    @property
    def context(self) -> int:
        """Tokens that attention reads, and that the KV pool holds."""
        return self.prompt_tokens + self.generated


class Decoding:
    """The sequences that decode, oldest first.

    Attributes:
        context: tokens of all of them, summed.
    """

    def __init__(self) -> None:
        self.context = 0
        self._sequences: list[Sequence] = []
        self._request = np.empty(0, np.int64)
        self._generated = np.empty(0, np.int64)
        self._wanted = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._sequences)

    def advance(self, sampled: int | Int64) -> tuple[Deliveries, int]:
        """Give each what it still wants of the tokens that were sampled for it: these, and how many in all."""
        after = np.minimum(self._generated + sampled, self._wanted)
        given = int(after.sum() - self._generated.sum())
        self._generated = after
        self.context += given
        return Deliveries(self._request, after, after == self._wanted), given

    def join(self, sequences: list[Sequence]) -> None:
        """Add them at the end; each decodes from the next step on."""
        self._sequences += sequences
        self._request = np.append(self._request, [sequence.request for sequence in sequences])
        self._generated = np.append(self._generated, [sequence.generated for sequence in sequences])
        self._wanted = np.append(self._wanted, [sequence.max_tokens for sequence in sequences])
        self.context += sum(sequence.context for sequence in sequences)

    def finished(self) -> list[Sequence]:
        """Take out those that have all of their tokens."""
        return self._take(self._generated == self._wanted)

    def youngest(self) -> Sequence:
        """Take out the last that joined, unfinished."""
        last = np.zeros(len(self), np.bool_)
        last[-1] = True
        return self._take(last)[0]

    def drop(self, request: int) -> list[Sequence]:
        """Take out a request, unfinished; nothing where it is not here."""
        return self._take(self._request == request)

    def _take(self, chosen: NDArray[np.bool_]) -> list[Sequence]:
        if not chosen.any():
            return []
        taken = [self._sequences[place] for place in np.flatnonzero(chosen)]
        for sequence, generated in zip(taken, self._generated[chosen].tolist(), strict=True):
            sequence.generated = generated
        self._sequences = [self._sequences[place] for place in np.flatnonzero(~chosen)]
        self._request, self._generated, self._wanted = (
            column[~chosen] for column in (self._request, self._generated, self._wanted)
        )
        self.context -= sum(sequence.context for sequence in taken)
        return taken


def first_tokens(sequences: list[Sequence]) -> Deliveries:
    """The token that ends the prefill of each."""
    for sequence in sequences:
        sequence.generated += 1
    tokens = np.array([sequence.generated for sequence in sequences], np.int64)
    wanted = np.array([sequence.max_tokens for sequence in sequences], np.int64)
    return Deliveries(np.array([sequence.request for sequence in sequences], np.int64), tokens, tokens == wanted)


def joined(first: Deliveries, second: Deliveries) -> Deliveries:
    """Two parts of a step's deliveries as one, `first` before `second`."""
    if not len(second):
        return first
    return Deliveries(
        np.concatenate([first.request, second.request]),
        np.concatenate([first.tokens, second.tokens]),
        np.concatenate([first.done, second.done]),
    )

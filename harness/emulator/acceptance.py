"""How many drafts a verification step accepts: a seeded process with a set mean.

Draft position i is accepted with one probability p, given that all before it were: the chain stops at the first
rejection, as in Leviathan et al. 2023 (https://arxiv.org/abs/2211.17192). The mean tokens per step are then
1 + p + p^2 + ... + p^k.
"""

from dataclasses import dataclass

import numpy as np

from harness.records import Int64

NATURAL_RATE = 0.85
"""p where nothing else is known. DeepSeek-V3 accepts 85-90 % of second tokens (https://arxiv.org/abs/2412.19437)."""

DRAWN_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Speculation:
    """What the draft head does.

    Attributes:
        draft_tokens: drafts per sequence and step; 0 is Off.
        rate: probability that a position is accepted, given that all before it were.
        active: share of the steps in which it drafts at all.
    """

    draft_tokens: int = 0
    rate: float = NATURAL_RATE
    active: float = 1.0

    @classmethod
    def of_length(cls, draft_tokens: int, acceptance_length: float) -> "Speculation":
        """The process whose mean is `acceptance_length` tokens a step.

        Raises:
            ValueError: no process with that many drafts has that mean.
        """
        if not 1 <= acceptance_length <= draft_tokens + 1:
            raise ValueError(
                f"{draft_tokens} draft tokens give 1 to {draft_tokens + 1} tokens a step, not {acceptance_length}"
            )
        low, high = 0.0, 1.0
        while high - low > 1e-12:
            middle = (low + high) / 2
            if cls(draft_tokens, middle).acceptance_length < acceptance_length:
                low = middle
            else:
                high = middle
        return cls(draft_tokens, high if acceptance_length > 1 else 0.0)

    @property
    def acceptance_length(self) -> float:
        """Mean tokens per step, the sampled one included."""
        return sum(self.rate**i for i in range(self.draft_tokens + 1))

    def draws(self, seed: int) -> "Draws":
        """Accepted drafts, step after step; the same seed draws the same."""
        return Draws(self, seed)


class Draws:
    """Accepted drafts of one verification after the other, 0 to k each, without end."""

    def __init__(self, speculation: Speculation, seed: int) -> None:
        self._speculation = speculation
        self._random = np.random.default_rng((seed, 2))
        self._left = np.empty(0, np.int64)

    def take(self, count: int) -> Int64:
        """The next ones."""
        while len(self._left) < count:
            passed = self._random.random((DRAWN_AT_ONCE, self._speculation.draft_tokens)) < self._speculation.rate
            self._left = np.concatenate([self._left, np.cumprod(passed, axis=1, dtype=np.int64).sum(axis=1)])
        taken, self._left = self._left[:count], self._left[count:]
        return taken


OFF = Speculation(0, 0.0)

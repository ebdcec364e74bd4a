"""What a step of the emulated engine costs, and what bounds a step: values only, no state.

A profile has five costs, a sixth for mixtures of experts, and no table by concurrency, so that it can be checked
against closed form and can't be bent point by point to look like anything.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from harness.spec.base import Sequence, Spec, Text

Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0)]

Slowness = Callable[[float], float]
"""Factor on the time of a step that starts at a given virtual second; 1.0 is the profile's own time."""


class Profile(Spec):
    """The time that one step takes, as a sum of terms.

    A step decodes every sequence in the batch and prefills what its budget allows. Under speculation it verifies
    `1 + k` positions of each sequence, and the draft head runs `k` times for the whole batch.

    Attributes:
        fixed_s: of every step: reading the weights, launching kernels, scheduling.
        per_position_s: of each position that is decoded: one a sequence, `1 + k` under `k` drafts.
        per_context_token_s: of each token of context that decoding sequences attend to.
        per_prefill_token_s: of each prompt token.
        per_draft_s: of each pass of the draft head, whatever the batch.
        spread_s: of reading what one position leaves unread, when a batch reads all of it: a mixture's other experts.
        spread_positions: parameters over active ones: after so many positions 63 % of that is read.
        band: factors on all of these between which the true ones are expected.
        source: where the numbers come from.
    """

    name: Text
    fixed_s: Annotated[float, Field(gt=0)]
    per_position_s: Seconds
    per_context_token_s: Seconds
    per_prefill_token_s: Seconds
    per_draft_s: Seconds
    spread_s: Seconds = 0.0
    spread_positions: Annotated[float, Field(ge=1)] = 1.0
    band: Annotated[tuple[Share, Share], Sequence] = (1.0, 1.0)
    source: Text

    def step_s(self, *, sequences: int, context_tokens: float, prefill_tokens: float, draft_tokens: int) -> float:
        """Seconds of one step that decodes `sequences` with `context_tokens` of context in all."""
        positions = sequences * (1 + draft_tokens)
        return (
            self.fixed_s
            + self.spread_s * spread(positions, self.spread_positions)
            + self.per_position_s * positions
            + self.per_context_token_s * context_tokens
            + self.per_prefill_token_s * prefill_tokens
            + self.per_draft_s * draft_tokens
        )

    def scaled(self, factor: float) -> "Profile":
        """A server whose steps all take `factor` times as long."""
        costs = ("fixed_s", "per_position_s", "per_context_token_s", "per_prefill_token_s", "per_draft_s", "spread_s")
        return self.model_copy(update={name: getattr(self, name) * factor for name in costs})


def spread(positions: float, scale: float) -> float:
    """Share of the weights beyond the first position's that a batch of positions reads, each its experts at random."""
    return 1 - math.exp((1 - positions) / scale) if positions > 1 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server is started with.

    Attributes:
        max_running_requests: sequences in the batch at once.
        context: longest prompt + output, tokens.
        chunked_prefill_tokens: prompt tokens one step may take; None takes all that wait.
        kv_tokens: size of the KV pool; None is enough for every running request at full context.

    Raises:
        ValueError: the pool can't hold one request of full length.
    """

    max_running_requests: int
    context: int
    chunked_prefill_tokens: int | None = None
    kv_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.pool < self.context:
            raise ValueError(f"a KV pool of {self.pool} tokens can't hold one request of {self.context}")

    @property
    def pool(self) -> int:
        """Tokens that the KV pool holds."""
        return self.max_running_requests * self.context if self.kv_tokens is None else self.kv_tokens


class Disturbance(Protocol):
    """Whatever makes steps take another time than the profile says."""

    def slowness(self, seed: int) -> Slowness:
        """The factor over time of one launch; the same seed is the same launch."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What makes two launches, and two minutes of one launch, differ; for studies of intervals.

    Both are lognormal factors on step times with median 1.

    Attributes:
        launch_sd: of one factor for the whole launch (standard deviation of its logarithm).
        block_sd: of a factor drawn anew every `block_s` seconds.
        block_s: how long a block's factor holds.
    """

    launch_sd: float = 0.0
    block_sd: float = 0.0
    block_s: float = 10.0

    def slowness(self, seed: int) -> Slowness:
        """The factor over time of one launch; the same seed is the same launch."""
        launch = math.exp(self.launch_sd * float(np.random.default_rng((seed, 0)).standard_normal()))
        blocks: dict[int, float] = {}

        def at(t_s: float) -> float:
            block = int(t_s / self.block_s)
            if block not in blocks:
                draw = float(np.random.default_rng((seed, 1, block)).standard_normal())
                blocks[block] = launch * math.exp(self.block_sd * draw)
            return blocks[block]

        return at


def steady(_t_s: float) -> float:
    """No noise: every step takes what the profile says."""
    return 1.0

"""A continuous-batching engine in virtual time: what it delivers when, and what its counters say.

Step by step, as vLLM's scheduler does it: running sequences decode, waiting ones are admitted first come first served
while the batch, the prompt budget and the KV pool have room, and a pool that is full pushes out the youngest sequence,
which later computes all of its tokens again. Knows no sockets and no clock: the caller says when requests arrive, and
either jumps from step to step or waits for each.

Simpler than the real thing: KV memory is counted in tokens rather than blocks, a prompt's share is taken whole on
admission, and prefill attention costs nothing beyond `per_prefill_token_s`.
"""

import heapq
from collections import deque
from dataclasses import dataclass

import msgspec
import numpy as np

from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.batch import Decoding, Deliveries, Delivery, Sequence, first_tokens, joined
from harness.emulator.profile import Limits, Profile, Slowness, steady
from harness.records import EngineCounters, Int64

UNLIMITED = 1 << 60


@dataclass(slots=True)
class Tally:
    """Cumulative counters, with the meaning that vLLM gives them.

    The last step of a request may accept more drafts than the request still wanted: they count as accepted and not as
    generated. Prompt tokens count once, with the first token, however often a preemption computes them again. Time in
    the queue counts when a request ends.
    """

    steps: int = 0
    drafts: int = 0
    draft_tokens: int = 0
    accepted_tokens: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    requests: int = 0
    preemptions: int = 0
    queue_s: float = 0.0


class EngineModel:
    """The engine. `submit` requests, then alternate `begin` and `end`, or let `step` do both.

    Args:
        seed: of the drafts that are accepted.
        slowness: factor on step times over virtual time (noise, drift).
    """

    def __init__(
        self,
        profile: Profile,
        limits: Limits,
        speculation: Speculation = OFF,
        *,
        seed: int = 0,
        slowness: Slowness = steady,
    ) -> None:
        self.profile = profile
        self.limits = limits
        self.speculation = speculation
        self.now_s = 0.0
        self.tally = Tally()
        self._accepted_per_position = np.zeros(speculation.draft_tokens, np.int64)
        self._accepted = speculation.draws(seed)
        self._slowness = slowness
        self._arrivals: list[tuple[float, int, Sequence]] = []
        self._waiting: deque[Sequence] = deque()
        self._prefilling: list[Sequence] = []
        self._decoding = Decoding()
        self._kv_tokens = 0  # held by the batch
        self._end_s = 0.0
        self._drafts = 0  # of the step that is under way
        self._first: list[Sequence] = []  # those whose prefill ends with the step that is under way
        self._submitted = 0

    def submit(self, request: int, prompt_tokens: int, max_tokens: int, at_s: float) -> None:
        """Hand in a request that arrives at virtual time `at_s`.

        Raises:
            ValueError: it is longer than the context.
        """
        if prompt_tokens + max_tokens > self.limits.context:
            raise ValueError(
                f"{prompt_tokens} prompt and {max_tokens} output tokens exceed the context of {self.limits.context}"
            )
        self._submitted += 1
        sequence = Sequence(request, prompt_tokens, max_tokens, at_s)
        heapq.heappush(self._arrivals, (at_s, self._submitted, sequence))

    def abort(self, request: int) -> None:
        """Forget a request whose client has gone; nothing happens when it is not there."""
        self._arrivals = [entry for entry in self._arrivals if entry[2].request != request]
        heapq.heapify(self._arrivals)
        self._waiting = deque(s for s in self._waiting if s.request != request)
        for sequence in [s for s in self._prefilling if s.request == request]:
            self._leave_prefill(sequence)
        self._kv_tokens -= sum(sequence.context for sequence in self._decoding.drop(request))

    def begin(self) -> float | None:
        """Start a step; its end in virtual time, or None when there is nothing to do."""
        self._arrive()
        if not (self._waiting or self._prefilling or self._decoding):
            if not self._arrivals:
                return None
            self.now_s = self._arrivals[0][0]
            self._arrive()
        self._drafts = self._draft_tokens_of(self.tally.steps)
        if not self._make_room():
            self._admit()
        seconds = self.profile.step_s(
            sequences=len(self._decoding),
            context_tokens=self._decoding.context,
            prefill_tokens=self._prefill(),
            draft_tokens=self._drafts,
        )
        self._end_s = self.now_s + seconds * self._slowness(self.now_s)
        return self._end_s

    def end(self) -> Deliveries:
        """Finish the step that `begin` started: its tokens, in the order of the batch."""
        self.now_s = self._end_s
        self.tally.steps += 1
        deliveries = self._decode()
        if self._first:
            deliveries = joined(deliveries, self._first_tokens())
        if deliveries.done.any():
            self._finish()
        return deliveries

    def step(self) -> list[Delivery] | None:
        """A whole step, done at once at its end `now_s`; None when there is nothing to do."""
        return None if self.begin() is None else list(self.end())

    def counters(self, t_ns: int) -> EngineCounters:
        """What a reading at `t_ns` shows; the speculative counters are absent in an engine without drafts."""
        tally = self.tally
        reading = EngineCounters(
            t_ns=t_ns,
            prompt_tokens=float(tally.prompt_tokens),
            generation_tokens=float(tally.generation_tokens),
            requests=float(tally.requests),
            preemptions=float(tally.preemptions),
            queue_s=tally.queue_s,
            queued_requests=float(tally.requests),
            running=float(len(self._prefilling) + len(self._decoding)),
            waiting=float(len(self._waiting)),
            kv_usage=self._kv_tokens / self.limits.pool,
            prefix_cache_hits=0.0,
        )
        if not self.speculation.draft_tokens:
            return reading
        return msgspec.structs.replace(
            reading,
            drafts=float(tally.drafts),
            draft_tokens=float(tally.draft_tokens),
            accepted_tokens=float(tally.accepted_tokens),
            accepted_per_position=tuple(self._accepted_per_position.astype(float).tolist()),
        )

    def _arrive(self) -> None:
        while self._arrivals and self._arrivals[0][0] <= self.now_s:
            sequence = heapq.heappop(self._arrivals)[2]
            sequence.to_prefill = sequence.context
            self._waiting.append(sequence)

    def _make_room(self) -> bool:
        """Whether sequences had to be pushed out so that the others' next tokens fit."""
        preempted = False
        while self._kv_tokens + self._growth() > self.limits.pool and len(self._prefilling) + len(self._decoding) > 1:
            youngest = self._youngest()
            youngest.to_prefill = youngest.context
            self._waiting.appendleft(youngest)
            self.tally.preemptions += 1
            preempted = True
        return preempted

    def _growth(self) -> int:
        """KV slots that the step may fill: a first token for each prefill, all drafts of each decode."""
        return len(self._prefilling) + len(self._decoding) * (1 + self._drafts)

    def _draft_tokens_of(self, step: int) -> int:
        """Drafts of the step with that number; the share of steps without any is spread evenly."""
        active = self.speculation.active
        return self.speculation.draft_tokens if int((step + 1) * active) > int(step * active) else 0

    def _admit(self) -> None:
        """Fill the batch, oldest first, while a whole prompt fits and the budget of the step is not spent."""
        budget = self._budget - sum(sequence.to_prefill for sequence in self._prefilling)
        running = len(self._prefilling) + len(self._decoding)
        while self._waiting and budget > 0 and running < self.limits.max_running_requests:
            sequence = self._waiting[0]
            if self._kv_tokens + sequence.context + 1 + self._growth() > self.limits.pool:
                return
            self._prefilling.append(self._waiting.popleft())
            if sequence.queued_s is None:
                sequence.queued_s = self.now_s - sequence.arrived_s
            self._kv_tokens += sequence.context
            budget -= sequence.to_prefill
            running += 1

    @property
    def _budget(self) -> int:
        return self.limits.chunked_prefill_tokens or UNLIMITED

    def _prefill(self) -> int:
        """Spend the step's prompt budget, oldest first; the tokens spent."""
        left = budget = min(self._budget, sum(sequence.to_prefill for sequence in self._prefilling))
        for sequence in self._prefilling:
            taken = min(left, sequence.to_prefill)
            sequence.to_prefill -= taken
            left -= taken
        self._first = [sequence for sequence in self._prefilling if not sequence.to_prefill]
        return budget

    def _decode(self) -> Deliveries:
        if self._drafts and len(self._decoding):
            accepted = self._accepted.take(len(self._decoding))
            self._count_drafts(accepted)
            deliveries, given = self._decoding.advance(1 + accepted)
        else:
            deliveries, given = self._decoding.advance(1)
        self.tally.generation_tokens += given
        self._kv_tokens += given
        return deliveries

    def _count_drafts(self, accepted: Int64) -> None:
        self.tally.drafts += len(accepted)
        self.tally.draft_tokens += len(accepted) * self._drafts
        self.tally.accepted_tokens += int(accepted.sum())
        # Position p is accepted wherever more than p drafts are.
        ends = np.bincount(accepted, minlength=len(self._accepted_per_position) + 1)
        self._accepted_per_position += ends[::-1].cumsum()[-2::-1]

    def _first_tokens(self) -> Deliveries:
        """Tokens of the prefills that end; their sequences decode from now on."""
        new = [sequence for sequence in self._first if not sequence.generated]
        self.tally.prompt_tokens += sum(sequence.prompt_tokens for sequence in new)
        deliveries = first_tokens(self._first)
        self.tally.generation_tokens += len(deliveries)
        self._kv_tokens += len(deliveries)
        self._prefilling = [sequence for sequence in self._prefilling if sequence.to_prefill]
        self._decoding.join(self._first)
        self._first = []
        return deliveries

    def _finish(self) -> None:
        finished = self._decoding.finished()
        self._kv_tokens -= sum(sequence.context for sequence in finished)
        self.tally.requests += len(finished)
        self.tally.queue_s += sum(sequence.queued_s or 0.0 for sequence in finished)

    def _youngest(self) -> Sequence:
        """Take the youngest sequence out of the batch, unfinished."""
        if self._prefilling:
            return self._leave_prefill(self._prefilling[-1])
        youngest = self._decoding.youngest()
        self._kv_tokens -= youngest.context
        return youngest

    def _leave_prefill(self, sequence: Sequence) -> Sequence:
        self._prefilling.remove(sequence)
        self._kv_tokens -= sequence.context
        if sequence in self._first:
            self._first.remove(sequence)
        return sequence

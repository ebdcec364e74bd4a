"""Closed-loop users in front of the emulated engine, in virtual time: raw samples with no sockets and no waiting.

What comes out is what the load generator would have recorded with a perfect clock and no network. Tests check the
metrics against it, studies draw thousands of points from it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.chunks import Chunks
from harness.emulator.model import EngineModel
from harness.emulator.profile import Disturbance, Limits, Profile, steady
from harness.records import EngineCounters, RequestSample, Samples, columns

SECOND = 1_000_000_000

EPOCH_NS = 1000 * SECOND
"""Clock reading at virtual time 0: like a real clock's, never 0."""

LOOK_S = 0.25

Stop = Callable[[int, Sequence[RequestSample]], bool]
"""Whether to stop, given the time in ns and all requests that have ended, in order: `load`'s stop rules are of it."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A Point as it was observed.

    Attributes:
        samples: all requests, starters and the unfinished (error `cancelled`) included, in order of their end.
        counters: one reading each second, as the engine's counters stood then.
    """

    samples: Samples
    counters: tuple[EngineCounters, ...]


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A request that is under way; `first_step` is the first that can bring it a token."""

    index: int
    slot: int
    osl: int
    sent_ns: int
    first_step: int


def starter_osl(osl: int, slot: int, slots: int, shift: float) -> int:
    """Output length of a slot's first request, a residual life, so that slots start out of phase.

    The same comb of lengths as the prompt stream's; `shift`, in [0, 1), moves it.
    """
    return max(1, math.ceil(osl * (slot + shift) / slots))


def closed_loop(
    profile: Profile,
    *,
    concurrency: int,
    isl: int,
    osl: int,
    duration_s: float,
    speculation: Speculation = OFF,
    limits: Limits | None = None,
    noise: Disturbance | None = None,
    stop: Stop | None = None,
    seed: int = 0,
) -> Observed:
    """What `concurrency` users see in `duration_s` virtual seconds; each sends as soon as its last request ended.

    Without `limits` the server has room for all of them. Under `noise` the seed also names the launch. A `stop` rule
    may end it earlier; it is asked four times a virtual second.
    """
    model = EngineModel(
        profile,
        limits or Limits(max_running_requests=concurrency, context=isl + osl + speculation.draft_tokens),
        speculation,
        seed=seed,
        slowness=noise.slowness(seed) if noise else steady,
    )
    return _Users(model, isl, osl, concurrency, seed).watch(duration_s, stop)


class _Users:
    """The users of one Point, each a slot."""

    def __init__(self, model: EngineModel, isl: int, osl: int, slots: int, seed: int) -> None:
        self._model = model
        self._isl = isl
        self._osl = osl
        self._slots = slots
        self._seed = seed
        self._flying: dict[int, _InFlight] = {}  # by slot, which is the engine's number of the request too
        self._chunks = Chunks(slots)
        self._ended: list[RequestSample] = []
        self._next = 0

    def watch(self, duration_s: float, stop: Stop | None) -> Observed:
        """Let them send and receive until `duration_s`, or until told to stop."""
        shift = float(np.random.default_rng((self._seed, 3)).random())
        for slot in range(self._slots):
            self._send(-(slot + 1), slot, starter_osl(self._osl, slot, self._slots, shift))
        readings = [self._model.counters(EPOCH_NS)]
        next_look_ns = EPOCH_NS
        while (end_s := self._model.begin()) is not None and end_s <= duration_s:
            while (next_ns := readings[-1].t_ns + SECOND) <= _clock_ns(end_s):
                readings.append(self._model.counters(next_ns))
            self._receive()
            if stop is not None and self._now_ns >= next_look_ns:
                next_look_ns = self._now_ns + int(LOOK_S * SECOND)
                if stop(self._now_ns, self._ended):
                    break
        readings.append(self._model.counters(self._now_ns))
        cut_off = [self._sample(flying, self._now_ns, error="cancelled") for flying in self._flying.values()]
        return Observed(columns([*self._ended, *cut_off]), tuple(readings))

    @property
    def _now_ns(self) -> int:
        return _clock_ns(self._model.now_s)

    def _send(self, index: int, slot: int, osl: int) -> None:
        self._flying[slot] = _InFlight(index, slot, osl, self._now_ns, self._chunks.steps)
        self._model.submit(slot, self._isl, osl, self._model.now_s)

    def _receive(self) -> None:
        deliveries = self._model.end()
        self._chunks.add(self._now_ns, deliveries)
        if not deliveries.done.any():
            return
        self._chunks.forget(min(flying.first_step for flying in self._flying.values()))
        for slot in deliveries.request[deliveries.done].tolist():
            self._ended.append(self._sample(self._flying.pop(slot), self._now_ns))
            self._send(self._next, slot, self._osl)
            self._next += 1

    def _sample(self, flying: _InFlight, end_ns: int, error: str | None = None) -> RequestSample:
        chunk_ns, chunk_tokens = self._chunks.of(flying.slot, flying.first_step)
        return RequestSample(
            index=flying.index,
            slot=flying.slot,
            starter=flying.index < 0,
            prompt_hash=f"{flying.index & 0xFFFFFFFFFFFFFFFF:016x}",
            isl=self._isl,
            osl=flying.osl,
            sent_ns=flying.sent_ns,
            chunk_ns=chunk_ns,
            chunk_tokens=chunk_tokens,
            end_ns=end_ns,
            prompt_tokens=None if error else self._isl,
            completion_tokens=None if error else flying.osl,
            finish_reason=None if error else "length",
            error=error,
        )


def _clock_ns(virtual_s: float) -> int:
    return EPOCH_NS + round(virtual_s * SECOND)

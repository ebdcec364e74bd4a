"""A load in front of the emulated engine, in virtual time: raw samples with no sockets and no waiting.

What comes out is what the load generator would have recorded with a perfect clock and no network. Tests check the
metrics against it, studies draw thousands of points from it.
"""

import heapq
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.chunks import Chunks
from harness.emulator.model import EngineModel
from harness.emulator.profile import Disturbance, Limits, Profile, steady
from harness.prompts import residual_life
from harness.records import EngineCounters, RequestSample, Samples, columns

SECOND = 1_000_000_000

EPOCH_NS = 1000 * SECOND
"""Clock reading at virtual time 0: like a real clock's, never 0."""

LOOK_S = 0.25

PLACES = 64
"""Requests in flight of an open loop that there is room for at first."""

StopCheck = Callable[[int, Sequence[RequestSample]], bool]
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
    due_ns: int | None = None


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
    stop: StopCheck | None = None,
    seed: int = 0,
) -> Observed:
    """What `concurrency` users see in `duration_s` virtual seconds; each sends as soon as its last request ended.

    Without `limits` the server has room for all of them. Under `noise` the seed also names the launch. A `stop` rule
    may end it earlier; it is asked four times a virtual second.
    """
    room = limits or Limits(max_running_requests=concurrency, context=isl + osl + speculation.draft_tokens)
    model = _model(profile, room, speculation, noise, seed)
    return _Users(model, isl, osl, concurrency, seed).watch(duration_s, stop)


def open_loop(
    profile: Profile,
    *,
    due_s: Iterator[float],
    isl: int,
    osl: int,
    duration_s: float,
    limits: Limits,
    speculation: Speculation = OFF,
    noise: Disturbance | None = None,
    stop: StopCheck | None = None,
    most: int | None = None,
    seed: int = 0,
) -> Observed:
    """What comes of requests that are sent at given times, ascending and without end, each when it is due.

    Ends early when more than `most` are in flight; the other arguments are those of `closed_loop`.
    """
    model = _model(profile, limits, speculation, noise, seed)
    return _Schedule(model, isl, osl, due_s, most).watch(duration_s, stop)


def _model(
    profile: Profile, limits: Limits, speculation: Speculation, noise: Disturbance | None, seed: int
) -> EngineModel:
    slowness = noise.slowness(seed) if noise else steady
    return EngineModel(profile, limits, speculation, seed=seed, slowness=slowness)


class _VirtualLoad(ABC):
    """A load on the engine, and what has come of it so far; each request in flight has a place of its own."""

    def __init__(self, model: EngineModel, isl: int, osl: int, places: int) -> None:
        self._model = model
        self._isl = isl
        self._osl = osl
        self._flying: dict[int, _InFlight] = {}  # by place, which is the engine's number of the request too
        self._chunks = Chunks(places)
        self._ended: list[RequestSample] = []

    @abstractmethod
    def _open(self) -> None:
        """Send what comes first."""

    @abstractmethod
    def _on_ended(self, place: int) -> None:
        """A request has ended, and its place is free."""

    def _before_step(self) -> None:
        """Send what is due; nothing is, unless a load says so."""
        return

    @property
    def _hopeless(self) -> bool:
        """Whether the load is to be given up."""
        return False

    def watch(self, duration_s: float, stop: StopCheck | None) -> Observed:
        """Send and receive until `duration_s`, or until told to stop."""
        self._open()
        readings = [self._model.counters(EPOCH_NS)]
        next_look_ns = EPOCH_NS
        while (end_s := self._begun()) is not None and end_s <= duration_s and not self._hopeless:
            while (next_ns := readings[-1].t_ns + SECOND) <= _clock_ns(end_s):
                readings.append(self._model.counters(next_ns))
            self._receive()
            if stop is not None and self._now_ns >= next_look_ns:
                next_look_ns = self._now_ns + int(LOOK_S * SECOND)
                if stop(self._now_ns, self._ended):
                    break
        readings.append(self._model.counters(self._now_ns))
        sent = [(place, flying) for place, flying in self._flying.items() if flying.sent_ns <= self._now_ns]
        cut_off = [self._sample(place, flying, error="cancelled") for place, flying in sent]
        return Observed(columns([*self._ended, *cut_off]), tuple(readings))

    @property
    def _now_ns(self) -> int:
        return _clock_ns(self._model.now_s)

    def _begun(self) -> float | None:
        self._before_step()
        return self._model.begin()

    def _receive(self) -> None:
        deliveries = self._model.end()
        self._chunks.add(self._now_ns, deliveries)
        if not deliveries.done.any():
            return
        self._chunks.forget(min(flying.first_step for flying in self._flying.values()))
        for place in deliveries.request[deliveries.done].tolist():
            self._ended.append(self._sample(place, self._flying.pop(place)))
            self._on_ended(place)

    def _sample(self, place: int, flying: _InFlight, error: str | None = None) -> RequestSample:
        chunk_ns, chunk_tokens = self._chunks.of(place, flying.first_step)
        return RequestSample(
            index=flying.index,
            slot=flying.slot,
            starter=flying.index < 0,
            prompt_hash=f"{flying.index & 0xFFFFFFFFFFFFFFFF:016x}",
            isl=self._isl,
            osl=flying.osl,
            due_ns=flying.due_ns,
            sent_ns=flying.sent_ns,
            chunk_ns=chunk_ns,
            chunk_tokens=chunk_tokens,
            end_ns=self._now_ns,
            prompt_tokens=None if error else self._isl,
            completion_tokens=None if error else flying.osl,
            finish_reason=None if error else "length",
            error=error,
        )


class _Users(_VirtualLoad):
    """The users of one Point in closed loop, each a slot."""

    def __init__(self, model: EngineModel, isl: int, osl: int, slots: int, seed: int) -> None:
        super().__init__(model, isl, osl, slots)
        self._slots = slots
        self._seed = seed
        self._next = 0

    def _open(self) -> None:
        shift = float(np.random.default_rng((self._seed, 3)).random())
        for slot in range(self._slots):
            self._send(-(slot + 1), slot, residual_life(self._osl, slot, self._slots, shift))

    def _on_ended(self, place: int) -> None:
        self._send(self._next, place, self._osl)
        self._next += 1

    def _send(self, index: int, slot: int, osl: int) -> None:
        self._flying[slot] = _InFlight(index, slot, osl, self._now_ns, self._chunks.steps)
        self._model.submit(slot, self._isl, osl, self._model.now_s)


class _Schedule(_VirtualLoad):
    """Requests in open loop; the next one is always handed in, so that an idle engine knows when to go on."""

    def __init__(self, model: EngineModel, isl: int, osl: int, due_s: Iterator[float], most: int | None) -> None:
        super().__init__(model, isl, osl, PLACES)
        self._due_s = enumerate(due_s)
        self._most = most
        self._handed_in_s = 0.0
        self._free: list[int] = []  # the lowest is taken first, so that there are few

    def _open(self) -> None:
        self._send()

    def _before_step(self) -> None:
        while self._handed_in_s <= self._model.now_s:
            self._send()

    def _on_ended(self, place: int) -> None:
        """Nothing follows: the next request comes when it is due."""
        heapq.heappush(self._free, place)

    @property
    def _hopeless(self) -> bool:
        return self._most is not None and len(self._flying) - 1 > self._most  # one is not sent yet

    def _send(self) -> None:
        index, self._handed_in_s = next(self._due_s)
        due_ns = _clock_ns(self._handed_in_s)
        place = heapq.heappop(self._free) if self._free else len(self._flying)
        self._chunks.hold(place + 1)
        self._flying[place] = _InFlight(index, index, self._osl, due_ns, self._chunks.steps, due_ns)
        self._model.submit(place, self._isl, self._osl, self._handed_in_s)


def _clock_ns(virtual_s: float) -> int:
    return EPOCH_NS + round(virtual_s * SECOND)

"""Requests of a prompt stream, encoded ahead of need: what happens between two requests of a user is not measured.

Knows how a stream numbers its prompts; what a request's body holds is a function handed in.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from harness.load.recording import Job
from harness.prompts import Prompt, PromptStream

_AHEAD = 256

BuildBody = Callable[[Sequence[int], int], dict[str, object]]
"""Prompt ids and output length -> the request's JSON object."""


class SlotJobs(Protocol):
    """Where a closed loop's requests come from."""

    def starter(self, slot: int) -> Job:
        """The slot's first, uncounted request."""
        ...

    def take(self, slot: int) -> Job:
        """The next request of the stream, whichever slot asks."""
        ...


class DueJobs(Protocol):
    """Where an open loop's requests come from."""

    def take(self, due_ns: int) -> Job:
        """The next request of the stream, which is due at that time."""
        ...


class EncodedAhead:
    """The stream's requests from `first` on, every `step`-th of them, a few encoded already."""

    def __init__(self, stream: PromptStream, build_body: BuildBody, first: int, step: int, ready: int = _AHEAD) -> None:
        self._stream = stream
        self._build_body = build_body
        self._encoder = msgspec.json.Encoder()
        self._next, self._step = first, step
        self._ready = deque(self._make() for _ in range(min(ready, _AHEAD)))

    def take(self) -> tuple[Prompt, bytes]:
        """The next one; another is made when there is time."""
        taken = self._ready.popleft() if self._ready else self._make()
        asyncio.get_running_loop().call_soon(self._top_up)
        return taken

    def encoded(self, prompt: Prompt) -> tuple[Prompt, bytes]:
        """A prompt and its request."""
        return prompt, self._encoder.encode(self._build_body(prompt.ids, prompt.osl))

    def _top_up(self) -> None:
        self._ready.append(self._make())

    def _make(self) -> tuple[Prompt, bytes]:
        prompt = self._stream.request(self._next)
        self._next += self._step
        return self.encoded(prompt)


class StreamJobs:
    """The stream's requests, handed out in order to whichever slot asks, and one starter a slot.

    Args:
        stream: the prompts.
        build_body: makes a request of one.
        concurrency: slots in all.
        slots: those that ask here; requests are numbered as they are: a share of the slots gets the same share of them.
    """

    def __init__(self, stream: PromptStream, build_body: BuildBody, concurrency: int, slots: range) -> None:
        self._ahead = EncodedAhead(stream, build_body, slots.start, slots.step, len(slots))
        self._starters = {slot: self._ahead.encoded(stream.starter(slot, concurrency)) for slot in slots}

    def starter(self, slot: int) -> Job:
        """See `SlotJobs`."""
        return _job(*self._starters[slot], slot=slot, starter=True)

    def take(self, slot: int) -> Job:
        """See `SlotJobs`."""
        return _job(*self._ahead.take(), slot=slot)


class ScheduledJobs:
    """The stream's requests, each for the moment at which it is due.

    Args:
        stream, build_body: as of `StreamJobs`.
        share, shares: takes requests `share`, `share + shares`, ...
    """

    def __init__(self, stream: PromptStream, build_body: BuildBody, share: int, shares: int) -> None:
        self._ahead = EncodedAhead(stream, build_body, share, shares)

    def take(self, due_ns: int) -> Job:
        """See `DueJobs`."""
        prompt, body = self._ahead.take()
        return _job(prompt, body, slot=prompt.index, due_ns=due_ns)


def _job(prompt: Prompt, body: bytes, *, slot: int, starter: bool = False, due_ns: int | None = None) -> Job:
    return Job(
        index=prompt.index,
        slot=slot,
        starter=starter,
        prompt_hash=prompt.hash,
        isl=len(prompt.ids),
        osl=prompt.osl,
        body=body,
        due_ns=due_ns,
    )

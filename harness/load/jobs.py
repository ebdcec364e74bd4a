"""Requests of a prompt stream, encoded ahead of need: what happens between two requests of a user is not measured.

Knows how a stream numbers its prompts; how a request is worded is a function handed in.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from harness.load.recording import Job
from harness.prompts import Prompt, PromptStream

_AHEAD = 256

Word = Callable[[Sequence[int], int], dict[str, object]]
"""Prompt ids and output length -> the request's JSON object."""


class StreamJobs:
    """The stream's requests, handed out in order to whichever slot asks, and one starter a slot.

    Args:
        stream: the prompts.
        word: makes a request of one.
        concurrency: slots in all.
        slots: those that ask here; requests are numbered as they are: a share of the slots gets the same share of them.
    """

    def __init__(self, stream: PromptStream, word: Word, concurrency: int, slots: range) -> None:
        self._stream = stream
        self._word = word
        self._encoder = msgspec.json.Encoder()
        self._next, self._step = slots.start, slots.step
        self._starters = {slot: self._encoded(stream.starter(slot, concurrency)) for slot in slots}
        self._ready = deque(self._make() for _ in range(min(len(slots), _AHEAD)))

    def starter(self, slot: int) -> Job:
        """See `pool.Jobs`."""
        prompt, body = self._starters[slot]
        return _job(prompt, body, slot, starter=True)

    def take(self, slot: int) -> Job:
        """See `pool.Jobs`."""
        prompt, body = self._ready.popleft() if self._ready else self._make()
        asyncio.get_running_loop().call_soon(self._top_up)
        return _job(prompt, body, slot, starter=False)

    def _top_up(self) -> None:
        self._ready.append(self._make())

    def _make(self) -> tuple[Prompt, bytes]:
        prompt = self._stream.request(self._next)
        self._next += self._step
        return self._encoded(prompt)

    def _encoded(self, prompt: Prompt) -> tuple[Prompt, bytes]:
        return prompt, self._encoder.encode(self._word(prompt.ids, prompt.osl))


def _job(prompt: Prompt, body: bytes, slot: int, *, starter: bool) -> Job:
    return Job(
        index=prompt.index,
        slot=slot,
        starter=starter,
        prompt_hash=prompt.hash,
        isl=len(prompt.ids),
        osl=prompt.osl,
        body=body,
    )

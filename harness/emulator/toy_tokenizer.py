"""A tokenizer and a text of the emulator's own: deterministic, reversible by nobody, good for exact lengths.

Words fall into pieces of up to four letters, about as long as real tokens are, and a piece's id is a hash of it. What
a request is answered follows from its prompt alone, so both arms give the same tokens.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from zlib import crc32

VOCABULARY: Final = 32_000
TURN_START: Final = 1
EOS: Final = 2  # also ends a turn
_FIRST_PIECE: Final = 16
_PIECES: Final = re.compile(r"\s*[^\s]{1,4}|\s+")


def tokenize(text: str) -> list[int]:
    """Token ids of plain text; there is no start or end token around it."""
    return [_id(piece) for piece in _PIECES.findall(text)]


def chat(messages: Sequence[tuple[str, str]], *, answer: bool = True) -> list[int]:
    """Token ids of a conversation of (role, text), with the head of the assistant's turn where it is to answer."""
    ids: list[int] = []
    for role, text in messages:
        ids += [TURN_START, _id(role), _id("\n"), *tokenize(text), EOS, _id("\n")]
    return [*ids, TURN_START, _id("assistant"), _id("\n")] if answer else ids


class Continuation:
    """The tokens that follow a prompt.

    Args:
        prompt: its token ids.
        eos: id that ends a text; stands nowhere but where asked.
        eos_at: its index among the output tokens; None leaves it out.
        turns_at: index from which on the tokens are others; None for none.
    """

    def __init__(
        self, prompt: Sequence[int], eos: int = EOS, eos_at: int | None = None, turns_at: int | None = None
    ) -> None:
        self._seed = crc32(repr(prompt).encode())
        self._eos = eos
        self._eos_at = eos_at
        self._turns_at = turns_at

    def ids(self, start: int, stop: int) -> list[int]:
        """Output tokens `start` up to `stop`."""
        return [self._id(i) for i in range(start, stop)]

    def _id(self, i: int) -> int:
        if i == self._eos_at:
            return self._eos
        seed = self._seed if self._turns_at is None or i < self._turns_at else ~self._seed
        drawn = _FIRST_PIECE + (seed ^ i * 2654435761) % (VOCABULARY - _FIRST_PIECE)
        return drawn if drawn != self._eos else TURN_START


def text_of(ids: Sequence[int]) -> str:
    """Text for output tokens: one word each, nothing that JSON would have to escape."""
    return "".join([f" w{i}" for i in ids])


@lru_cache(maxsize=65_536)
def _id(piece: str) -> int:
    return _FIRST_PIECE + crc32(piece.encode()) % (VOCABULARY - _FIRST_PIECE)

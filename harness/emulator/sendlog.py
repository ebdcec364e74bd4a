"""What the emulator really sent, and when: the truth that the harness's figures are held against.

One JSON line for each request, written when it ends. Times are CLOCK_MONOTONIC nanoseconds, taken just before the
bytes were handed to the kernel, so a client on the same machine can compare them with its own.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec


class Sent(msgspec.Struct, kw_only=True):
    """One request as the server saw it.

    Attributes:
        id: of the answer.
        prompt_hash: 16 hex digits of SHA-256 over the prompt's ids as little-endian int32.
        prompt_tokens, max_tokens: as asked for.
        arrived_ns: when its body had been read.
        sent_ns: when each chunk with tokens was sent.
        tokens: cumulative output tokens, one for each chunk.
        end: how it ended: `length`, `stop`, `abort` (server stopping), `gone` (client left), or the fault that cut it.
    """

    id: str
    prompt_hash: str
    prompt_tokens: int
    max_tokens: int
    arrived_ns: int
    sent_ns: list[int]
    tokens: list[int]
    end: str = ""


class SendLog:
    """The file that requests are appended to; without a path nothing is kept.

    Unbuffered: the process may die at any moment, and is told to in tests.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else path.open("ab", buffering=0)
        self._encode = msgspec.json.Encoder().encode

    def write(self, sent: Sent) -> None:
        """Append a request that has ended."""
        if self._file is not None:
            self._file.write(self._encode(sent) + b"\n")


def read_sends(path: Path) -> Iterator[Sent]:
    """The requests of a send log, in order of their end."""
    decoder = msgspec.json.Decoder(Sent)
    with path.open("rb") as lines:
        yield from (decoder.decode(line) for line in lines)

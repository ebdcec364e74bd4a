"""One request's answer while it is under way: the engine's tokens become chunks on its connection.

Chunks are framed here and written to the transport itself: hundreds of streams share one core, and a stamp taken just
before the write is the true send time. What a fault does to one answer is decided when the request arrives.
"""

import asyncio
import time
from dataclasses import dataclass

import msgspec

from harness.emulator.faults import Faults
from harness.emulator.sendlog import Sent
from harness.emulator.toy import Continuation
from harness.emulator.wire import DONE, Chunks, Wording, error


@dataclass(frozen=True, slots=True, kw_only=True)
class Twist:
    """What goes wrong with one answer.

    Attributes:
        over: completion tokens that the final usage reports too many.
        short: tokens by which it ends early.
        cut_at, error_at: tokens after which its connection is cut, or an error event ends it.
    """

    over: int = 0
    short: int = 0
    cut_at: int | None = None
    error_at: int | None = None

    @classmethod
    def of(cls, faults: Faults, number: int, max_tokens: int) -> "Twist":
        """What the faults that have begun do to request `number`."""
        middle = max(1, max_tokens // 2)

        def hit(name: str) -> int | None:
            share = faults.value(name)
            return middle if share is not None and _chosen(number, share) else None

        return cls(
            over=int(faults.value("wrong_usage") or 0),
            short=min(int(faults.value("short_output") or 0), max_tokens - 1),
            cut_at=hit("drop_connections"),
            error_at=hit("stream_errors"),
        )


def _chosen(number: int, share: float) -> bool:
    """Whether request `number` is among the share: exactly that many of any stretch, the first of them early."""
    return int((number + 1) * share + 0.5) > int(number * share + 0.5)


class Answer:
    """One answer, streamed or whole.

    Args:
        transport: None collects the tokens for an answer that does not stream.

    Attributes:
        ended: resolves with the finish reason, or None when the connection is to be dropped.
        ids: output tokens so far.
    """

    def __init__(
        self, wording: Wording, sent: Sent, text: Continuation, twist: Twist, transport: asyncio.Transport | None
    ) -> None:
        self.ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.ids: list[int] = []
        self.sent = sent
        self._text = text
        self._twist = twist
        self._chunks = Chunks(wording)
        self._transport = transport
        self._last = sent.max_tokens - twist.short

    def deliver(self, tokens: int) -> None:
        """The engine has `tokens` for it in all."""
        if self.ended.done():
            return
        tokens = min(tokens, self._last)
        reason = None if tokens < self._last else "length" if not self._twist.short else "stop"
        self._send_tokens(tokens, reason)
        if self._twist.cut_at is not None and tokens >= self._twist.cut_at:
            self._end(None, "drop_connections")
        elif self._twist.error_at is not None and tokens >= self._twist.error_at:
            self._break()
        elif reason:
            self._close(reason)

    def abort(self) -> None:
        """End it as a server does that has been told to stop."""
        if not self.ended.done():
            self._write(self._chunks.tokens([], len(self.ids), "abort"))
            self._close("abort")

    def _send_tokens(self, tokens: int, reason: str | None) -> None:
        new = self._text.ids(len(self.ids), tokens)
        if not self.ids:
            self._write(self._chunks.opening())
        self.ids += new
        chunk = self._chunks.tokens(new, tokens, reason)
        self.sent.sent_ns.append(time.monotonic_ns())
        self.sent.tokens.append(tokens)
        self._write(chunk)

    def _break(self) -> None:
        event = error(
            "EngineCore encountered an issue. See stack trace for the root cause.", 500, "InternalServerError"
        )
        self._write(b"data: " + msgspec.json.encode(event) + b"\n\n" + DONE)
        self._end("error", "stream_errors")

    def _close(self, reason: str) -> None:
        self._write(self._chunks.closing(len(self.ids) + self._twist.over))
        self._end(reason, reason)

    def _end(self, reason: str | None, said: str) -> None:
        self.sent.end = said
        self.ended.set_result(reason)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

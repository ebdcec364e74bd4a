"""One request's answer while it is under way: the engine's tokens become chunks on its connection.

Chunks are framed here and written to the transport itself: hundreds of streams share one core, and a stamp taken just
before the write is the true send time. What a fault does to one answer is decided when the request arrives.
"""

import asyncio
import time
from dataclasses import dataclass

import msgspec

from harness.emulator.faults import Faults
from harness.emulator.requests import CompletionRequest
from harness.emulator.sendlog import SendLog, Sent
from harness.emulator.toy_tokenizer import Continuation
from harness.emulator.wire import DONE, AnswerFormat, Chunks, error


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFaults:
    """What goes wrong with one answer.

    Attributes:
        last: tokens after which it ends, before its time where they are fewer than asked for.
        over: completion tokens that the final usage reports too many.
        eos_at: index of an EOS among its tokens; None for none.
        turns_at: index of the first token that is another than an honest server's.
        cut_at, error_at: tokens after which its connection is cut, or an error event ends it.
    """

    last: int
    over: int = 0
    eos_at: int | None = None
    turns_at: int | None = None
    cut_at: int | None = None
    error_at: int | None = None

    @classmethod
    def of(cls, faults: Faults, completion: CompletionRequest, number: int, *, drafting: bool) -> "AnswerFaults":
        """What the faults that have begun do to request `number` of a server that drafts or does not."""
        wanted = completion.output_tokens
        eos_at = faults.int_value("early_eos")
        last = max(1, wanted - (faults.int_value("short_output") or 0))
        if eos_at is not None and not completion.ignore_eos:
            last = min(last, eos_at + 1)

        def hit(name: str, part: int = 2) -> int | None:
            share = faults.value(name)
            return max(1, wanted // part) if share is not None and _chosen(number, share) else None

        return cls(
            last=last,
            over=faults.int_value("wrong_usage") or 0,
            eos_at=eos_at,
            turns_at=hit("lossy", 4) if drafting else None,
            cut_at=hit("drop_connections"),
            error_at=hit("stream_errors"),
        )


def _chosen(number: int, share: float) -> bool:
    """Whether request `number` is among the share: exactly that many of any stretch, the first of them early."""
    return int((number + 1) * share + 0.5) > int(number * share + 0.5)


class AnswerWriter:
    """Writes one answer, streamed or whole.

    Args:
        transport: None collects the tokens for an answer that does not stream.
        log: told of the request just before its client can see that it has ended.

    Attributes:
        ended: resolves with the finish reason, or None when the connection is to be dropped.
        ids: output tokens so far.
    """

    def __init__(
        self,
        answer_format: AnswerFormat,
        sent: Sent,
        text: Continuation,
        faults: AnswerFaults,
        transport: asyncio.Transport | None,
        log: SendLog,
    ) -> None:
        self.ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.ids: list[int] = []
        self.sent = sent
        self._text = text
        self._faults = faults
        self._chunks = Chunks(answer_format)
        self._transport = transport
        self._log = log

    def deliver(self, tokens: int) -> None:
        """The engine has `tokens` for it in all."""
        if self.ended.done():
            return
        last = self._faults.last
        tokens = min(tokens, last)
        reason = None if tokens < last else "length" if last == self.sent.max_tokens else "stop"
        self._send_tokens(tokens, reason)
        if self._faults.cut_at is not None and tokens >= self._faults.cut_at:
            self._end(None, "drop_connections")
        elif self._faults.error_at is not None and tokens >= self._faults.error_at:
            self._break()
        elif reason:
            self._close(reason)

    def abort(self) -> None:
        """End it as a server does that has been told to stop."""
        if not self.ended.done():
            self._write(self._chunks.tokens([], len(self.ids), "abort"))
            self._close("abort")

    def gone(self) -> None:
        """Its client has left."""
        if not self.sent.end:
            self._end(None, "gone")

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
        message = "EngineCore encountered an issue. See stack trace for the root cause."
        event = msgspec.json.encode(error(message, 500, "InternalServerError"))
        self._end("error", "stream_errors", b"data: " + event + b"\n\n" + DONE)

    def _close(self, reason: str) -> None:
        self._end(reason, reason, self._chunks.closing(len(self.ids) + self._faults.over))

    def _end(self, reason: str | None, end: str, last: bytes = b"") -> None:
        self.sent.end = end
        self._log.write(self.sent)
        self._write(last)
        if not self.ended.done():
            self.ended.set_result(reason)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

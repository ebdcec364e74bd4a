"""What one request's bytes say: tokens by the engine's own count, when each arrived, how it ended.

Takes reads with their times and gives a `RequestSample`; knows nothing of sockets, slots or event loops, so every
transport records alike and any cut of the byte stream records the same.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from harness.load.sse import EventStream
from harness.records import RequestSample

_EXCERPT = 300
_ABORTED = frozenset({"abort", "error"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One request, ready to be written.

    Attributes:
        index, slot, starter, prompt_hash, isl, osl, due_ns: as in `RequestSample`.
        body: the request's JSON, encoded.
    """

    index: int
    slot: int
    starter: bool
    prompt_hash: str
    isl: int
    osl: int
    body: bytes
    due_ns: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Choice(msgspec.Struct, gc=False):
    token_ids: list[int] | None = None
    finish_reason: str | None = None


class _Drafting(msgspec.Struct):
    """What SGLang tells of one request: its verifications, and the drafts that they accepted."""

    spec_verify_ct: int
    spec_num_correct_drafts: int


class _Extension(msgspec.Struct):
    spec_tokens_details: _Drafting | None = None


class _Message(msgspec.Struct, gc=False):
    """The few fields of a streamed completion that are looked at; text is skipped undecoded."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: msgspec.Raw | None = None
    sglext: _Extension | None = None


class _Kind(msgspec.Struct):
    object: str | None = None


_decode = msgspec.json.Decoder(_Message).decode
_kind_of = msgspec.json.Decoder(_Kind).decode


class Recording:
    """One request while it is under way.

    A transport calls `sent` just before it writes, `read` with each read of the body, `closed` at the end of the
    body, or `fail` with an error class of `RequestSample`; the first failure is the one that is kept.

    Args:
        job: what is sent.
        eos_ids: token ids that end a text, to find where the model would have stopped.
        secret: what must not stand in any error text, whoever wrote it.

    Attributes:
        sent_ns: just before the first writing; 0 before it.
        chunk_ns: arrival of each chunk so far that raised the token count.
        tokens: received so far.
        over: the attempt has ended, well or not.
        error: None, or its class.
        reconnected: as in `RequestSample`; a transport sets it.
    """

    def __init__(self, job: Job, eos_ids: frozenset[int] = frozenset(), secret: str | None = None) -> None:
        self.job = job
        self.sent_ns = 0
        self.reconnected = False
        self.tokens = 0
        self.over = False
        self.error: str | None = None
        self._error_text: str | None = None
        self._eos_ids = eos_ids
        self._secret = secret
        self._stream = EventStream()
        self.chunk_ns = array("q")
        self._chunk_tokens = array("i")
        self._end_ns = 0
        self._prompt_tokens: int | None = None
        self._completion_tokens: int | None = None
        self._finish_reason: str | None = None
        self._ids = 0
        self._eos_at: int | None = None
        self._drafting: _Drafting | None = None
        self._done = False

    @property
    def between_events(self) -> bool:
        """Whether the next byte of the body opens an event."""
        return self._stream.between_events

    def sent(self, t_ns: int) -> None:
        """The request is about to be written; the first writing counts, so that a resend hides no waiting."""
        self.sent_ns = self.sent_ns or t_ns

    def read(self, data: bytes, t_ns: int) -> None:
        """Bytes of the response's body, read at `t_ns`."""
        for event in self._stream.feed(data):
            self.event(event.data, t_ns, event.name)

    def event(self, data: bytes, t_ns: int, name: bytes = b"message") -> None:
        """One event of the body; a transport may call this instead of `read` where it found one whole."""
        if self._done or self.over:
            return
        self._stream.started = True
        if data == b"[DONE]":
            self._done = True
            return
        try:
            message = _decode(data)
            failed = name == b"error" or message.error is not None
            failed = failed or (not message.choices and _kind_of(data).object == "error")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.fail("stream_error", f"not a completion chunk ({error}): {excerpt(data)}", t_ns)
            return
        if failed:
            self.fail("stream_error", excerpt(data), t_ns)
        elif not self._is_plain(message, t_ns):
            self._message(message, t_ns)

    def closed(self, t_ns: int) -> None:
        """The body has ended as HTTP says a body ends."""
        if not self._done:
            self.fail("early_eof", f"the stream ended without [DONE] after {self.tokens} tokens", t_ns)
        for kind, text in self._faults():
            self.fail(kind, text, t_ns)
        self._end(t_ns)

    def fail(self, kind: str, text: str, t_ns: int) -> None:
        """The attempt is lost; what was received stays."""
        self._end(t_ns)
        if self.error is None:
            self.error = kind
            self._error_text = text.replace(self._secret, "<key>") if self._secret else text

    def sample(self, now_ns: int) -> RequestSample:
        """The request as recorded so far; one that has not ended is `cancelled` at `now_ns`."""
        job, drafting = self.job, self._drafting
        end_ns = self._end_ns if self.over else now_ns
        return RequestSample(
            index=job.index,
            slot=job.slot,
            starter=job.starter,
            prompt_hash=job.prompt_hash,
            isl=job.isl,
            osl=job.osl,
            due_ns=job.due_ns,
            sent_ns=self.sent_ns or end_ns,
            chunk_ns=np.array(self.chunk_ns, np.int64),
            chunk_tokens=np.array(self._chunk_tokens, np.int32),
            end_ns=end_ns,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            finish_reason=self._finish_reason,
            eos_at=self._eos_at,
            drafts=None if drafting is None else drafting.spec_verify_ct,
            accepted_drafts=None if drafting is None else drafting.spec_num_correct_drafts,
            error=self.error if self.over else "cancelled",
            error_text=self._error_text,
            reconnected=self.reconnected,
        )

    def _end(self, t_ns: int) -> None:
        if not self.over:
            self.over, self._end_ns = True, t_ns

    def _is_plain(self, message: _Message, t_ns: int) -> bool:
        """Record a chunk as nearly all are, and whether it was one: some tokens of one choice, counted, and no more.

        What `_message` would record too, in a fraction of its time: this is most of what a chunk costs.
        """
        usage, choices = message.usage, message.choices
        if usage is None or len(choices) != 1 or message.sglext is not None:
            return False
        choice, tokens = choices[0], usage.completion_tokens
        if choice.finish_reason is not None or tokens is None or tokens <= self.tokens:
            return False
        ids = choice.token_ids
        if ids is not None:
            if not self._eos_ids.isdisjoint(ids):
                return False
            self._ids += len(ids)
        if usage.prompt_tokens is not None:
            self._prompt_tokens = usage.prompt_tokens
        self.tokens = tokens
        self.chunk_ns.append(t_ns)
        self._chunk_tokens.append(tokens)
        return True

    def _message(self, message: _Message, t_ns: int) -> None:
        for choice in message.choices:
            self._choice(choice, t_ns)
        if message.sglext is not None:
            self._drafting = message.sglext.spec_tokens_details
        usage = message.usage
        if usage is None:
            return
        if usage.prompt_tokens is not None:
            self._prompt_tokens = usage.prompt_tokens
        if usage.completion_tokens is None:
            return
        if message.choices:
            self._count(usage.completion_tokens, t_ns)
        else:
            self._completion_tokens = usage.completion_tokens

    def _choice(self, choice: _Choice, t_ns: int) -> None:
        if choice.finish_reason is not None:
            self._finish_reason = choice.finish_reason
            if choice.finish_reason in _ABORTED:
                self.fail("stream_error", f"the server ended the request: {choice.finish_reason}", t_ns)
        for token in choice.token_ids or ():
            if self._eos_at is None and token in self._eos_ids:
                self._eos_at = self._ids
            self._ids += 1

    def _count(self, tokens: int, t_ns: int) -> None:
        """A chunk is recorded only where the cumulative count rises: empty and role-only chunks carry no token."""
        if tokens < self.tokens:
            self.fail("usage_mismatch", f"the token count fell from {self.tokens} to {tokens}", t_ns)
        elif tokens > self.tokens:
            self.tokens = tokens
            self.chunk_ns.append(t_ns)
            self._chunk_tokens.append(tokens)

    def _faults(self) -> Iterator[tuple[str, str]]:
        final = self._completion_tokens
        if final is None:
            yield "usage_missing", "the stream has no final usage (stream_options.include_usage)"
        elif final and not self.tokens:
            yield "usage_missing", "the chunks have no usage (stream_options.continuous_usage_stats)"
        elif final != self.tokens:
            yield "usage_mismatch", f"final usage says {final} tokens, the chunks {self.tokens}"
        elif self._ids and self._ids != final:
            yield "usage_mismatch", f"usage says {final} tokens, the chunks hold {self._ids} token ids"


def excerpt(data: bytes) -> str:
    """The beginning of what a server said, on one line."""
    text = " ".join(data[: 4 * _EXCERPT].decode("utf-8", "replace").split())
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + " …"

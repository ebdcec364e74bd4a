"""What the emulator says, word for word as vLLM says it: stream chunks, whole answers, errors, Prometheus text.

Chunks are put together from strings rather than encoded from objects: hundreds of streams share one core with the
engine model. Key order and nulls are those of vLLM 0.32.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from harness.emulator.toy_tokenizer import text_of
from harness.records import EngineCounters

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFormat:
    """How one request wants to be answered.

    Attributes:
        id: of the answer.
        chat: chat completions rather than plain ones.
        model: name that the model is served under.
        created: Unix time, seconds.
        prompt: its token ids.
        prompt_tokens: how many the usage says there are.
        usage: a last chunk reports usage.
        continuous: every chunk reports it.
        token_ids: chunks carry token ids.
        fingerprint: names the server.
    """

    id: str
    chat: bool
    model: str
    created: int
    prompt: Sequence[int]
    prompt_tokens: int
    usage: bool
    continuous: bool
    token_ids: bool
    fingerprint: str

    @property
    def head(self) -> str:
        """The opening of every chunk, up to its choices."""
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        return (
            f'{{"id":"{self.id}","object":"{kind}","created":{self.created},'
            f'"model":{json.dumps(self.model)},"choices":['
        )

    def usage_of(self, completion_tokens: int) -> str:
        """The usage object after that many output tokens."""
        return (
            f'{{"prompt_tokens":{self.prompt_tokens},"total_tokens":{self.prompt_tokens + completion_tokens},'
            f'"completion_tokens":{completion_tokens}'
        )


class Chunks:
    """The stream of one request as events, in order: `opening`, `tokens` for each step, `closing`."""

    def __init__(self, answer_format: AnswerFormat) -> None:
        self._format = answer_format
        self._head = "data: " + answer_format.head
        self._prompt = (
            json.dumps(list(answer_format.prompt), separators=(",", ":")) if answer_format.token_ids else "null"
        )
        self._first = True

    def opening(self) -> bytes:
        """What comes before the first token: chat announces the assistant's turn."""
        answer_format = self._format
        if not answer_format.chat:
            return b""
        ids = f',"prompt_token_ids":{self._prompt},"prompt_text":null' if answer_format.token_ids else ""
        choice = '{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}'
        return f"{self._head}{choice}]{self._usage(0)}{ids}}}\n\n".encode()

    def tokens(self, ids: Sequence[int], completion_tokens: int, finish_reason: str | None = None) -> bytes:
        """New tokens, `completion_tokens` in all with them."""
        choice = (self._chat_choice if self._format.chat else self._choice)(ids, finish_reason)
        return f"{self._head}{choice}]{self._usage(completion_tokens)}}}\n\n".encode()

    def closing(self, completion_tokens: int) -> bytes:
        """The final usage, where it was asked for, and the end of the stream."""
        if not self._format.usage:
            return DONE
        usage = self._format.usage_of(completion_tokens)
        fingerprint = f'"system_fingerprint":"{self._format.fingerprint}"'
        return f'{self._head}],"usage":{usage}}},{fingerprint}}}\n\n'.encode() + DONE

    def _choice(self, ids: Sequence[int], finish_reason: str | None) -> str:
        prompt, self._prompt = self._prompt, "null"
        return (
            f'{{"index":0,"text":"{text_of(ids)}","logprobs":null,"finish_reason":{_quoted(finish_reason)},'
            f'"stop_reason":null,"prompt_token_ids":{prompt},"token_ids":{self._listed(ids) or "null"}}}'
        )

    def _chat_choice(self, ids: Sequence[int], finish_reason: str | None) -> str:
        stop = "" if finish_reason is None else ',"stop_reason":null'
        listed = f',"token_ids":{self._listed(ids)}' if self._format.token_ids else ""
        return (
            f'{{"index":0,"delta":{{"content":"{text_of(ids)}"}},"logprobs":null,'
            f'"finish_reason":{_quoted(finish_reason)}{stop}{listed}}}'
        )

    def _listed(self, ids: Sequence[int]) -> str:
        return f"[{','.join(map(str, ids))}]" if self._format.token_ids else ""

    def _usage(self, completion_tokens: int) -> str:
        answer_format = self._format
        if answer_format.continuous:
            details = ',"completion_tokens_details":null' if answer_format.chat else ""
            return f',"usage":{answer_format.usage_of(completion_tokens)}{details}}}'
        return "" if answer_format.chat else ',"usage":null'


def _quoted(text: str | None) -> str:
    return "null" if text is None else f'"{text}"'


def whole_answer(answer_format: AnswerFormat, ids: Sequence[int], finish_reason: str) -> dict[str, object]:
    """The answer to a request that does not stream."""
    choice: dict[str, object] = {"index": 0, "logprobs": None, "finish_reason": finish_reason, "stop_reason": None}
    if answer_format.chat:
        choice["message"] = {"role": "assistant", "content": text_of(ids)}
    else:
        choice["text"] = text_of(ids)
    if answer_format.token_ids:
        choice |= {"token_ids": list(ids), "prompt_token_ids": list(answer_format.prompt)}
    return {
        "id": answer_format.id,
        "object": "chat.completion" if answer_format.chat else "text_completion",
        "created": answer_format.created,
        "model": answer_format.model,
        "choices": [choice],
        "system_fingerprint": answer_format.fingerprint,
        "usage": {
            "prompt_tokens": answer_format.prompt_tokens,
            "total_tokens": answer_format.prompt_tokens + len(ids),
            "completion_tokens": len(ids),
        },
    }


def error(message: str, code: int, kind: str = "BadRequestError") -> dict[str, object]:
    """The body of a refusal, or the event that ends a broken stream."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


_COUNTERS = (
    ("vllm:spec_decode_num_drafts", "drafts", "Number of spec decoding drafts."),
    ("vllm:spec_decode_num_draft_tokens", "draft_tokens", "Number of draft tokens."),
    ("vllm:spec_decode_num_accepted_tokens", "accepted_tokens", "Number of accepted tokens."),
    ("vllm:num_preemptions", "preemptions", "Cumulative number of preemption from the engine."),
    ("vllm:prompt_tokens", "prompt_tokens", "Number of prefill tokens processed."),
    ("vllm:generation_tokens", "generation_tokens", "Number of generation tokens processed."),
    ("vllm:prefix_cache_hits", "prefix_cache_hits", "Prefix cache hits, in terms of number of cached tokens."),
)
_GAUGES = (
    ("vllm:num_requests_running", "running", "Number of requests in model execution batches."),
    ("vllm:num_requests_waiting", "waiting", "Number of requests waiting to be processed."),
    ("vllm:kv_cache_usage_perc", "kv_usage", "KV-cache usage. 1 means 100 percent usage."),
)


def exposition(counters: EngineCounters, model: str, created: float) -> str:
    """The Prometheus text of `/metrics`; speculative counters are absent where they are None, as under Off.

    `created` is the Unix time at which the counters began, which each has a gauge of its own for.
    """
    labels = f'engine="0",model_name={json.dumps(model)}'
    lines: list[str] = []
    requests = counters.requests or 0.0

    def family(name: str, kind: str, meaning: str, series: list[tuple[str, float]]) -> None:
        suffix = "_total" if kind == "counter" else ""
        lines.extend((f"# HELP {name}{suffix} {meaning}", f"# TYPE {name}{suffix} {kind}"))
        lines.extend(f"{name}{suffix}{{{labels}{extra}}} {value}" for extra, value in series)
        if kind == "counter":
            lines.extend((f"# HELP {name}_created {meaning}", f"# TYPE {name}_created gauge"))
            lines.extend(f"{name}_created{{{labels}{extra}}} {created}" for extra, _ in series)

    for kind, families in (("counter", _COUNTERS), ("gauge", _GAUGES)):
        for name, field, meaning in families:
            if (value := getattr(counters, field)) is not None:
                family(name, kind, meaning, [("", value)])
    if (positions := counters.accepted_per_position) is not None:
        series = [(f',position="{i}"', value) for i, value in enumerate(positions)]
        family("vllm:spec_decode_num_accepted_tokens_per_pos", "counter", "Accepted tokens per position.", series)
    family(
        "vllm:request_success",
        "counter",
        "Count of successfully processed requests.",
        [(',finished_reason="length"', requests)],
    )
    queue = "vllm:request_queue_time_seconds"
    lines += [
        f"# HELP {queue} Histogram of time spent in WAITING phase for request.",
        f"# TYPE {queue} histogram",
        f'{queue}_bucket{{{labels},le="+Inf"}} {requests}',
        f"{queue}_count{{{labels}}} {requests}",
        f"{queue}_sum{{{labels}}} {counters.queue_s or 0.0}",
    ]
    return "\n".join(lines) + "\n"

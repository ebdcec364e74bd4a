"""What is observed: raw samples, engine counters, the window, and the row that comes of them.

Times are CLOCK_MONOTONIC nanoseconds of the measuring node unless a name says otherwise. Nothing here computes;
`metrics` does. Reading and writing of each record stands beside it, so that one schema has one place.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

SCHEMA = 1
"""Version of every file that this module writes; raised when a field changes its meaning, never for a new one."""

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]


class RequestSample(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the client saw it, kept raw.

    Attributes:
        index: place in the prompt stream; the same index is the same prompt in both arms. Starters, the uncounted
            first request of each slot, have negative indices.
        slot: which of the N users sent it; in open loop each request is a user of its own, named by its index.
        starter: a slot's first request, of residual-life length: never counted in latencies.
        prompt_hash: 16 hex digits over the prompt's token ids.
        isl, osl: tokens asked for.
        due_ns: when it was to be sent; None in closed loop, where nothing is due before the last request has ended.
        sent_ns: just before the request was written to the socket.
        chunk_ns: arrival of each chunk that raised the token count.
        chunk_tokens: cumulative completion tokens by the engine's usage, one for each chunk.
        end_ns: end of the stream, or of the attempt.
        prompt_tokens, completion_tokens: the engine's final usage; None when it never came.
        finish_reason: as the engine said it.
        eos_at: index of the first EOS among the output tokens; None when none came or ids are not returned.
        drafts, accepted_drafts: verifications of this request and the drafts that they accepted, where the engine says
            so as it ends; the last one's are counted whole, delivered or not.
        error: None, or a class: connect, http_status, stall, early_eof, stream_error, usage_missing,
            usage_mismatch, cancelled.
        error_text: what was said, for people.
        reconnected: the connection was found closed before a byte came and the request was sent once more.
    """

    index: int
    slot: int
    starter: bool
    prompt_hash: str
    isl: int
    osl: int
    due_ns: int | None = None
    sent_ns: int
    chunk_ns: Int64
    chunk_tokens: Int32
    end_ns: int
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None
    eos_at: int | None = None
    drafts: int | None = None
    accepted_drafts: int | None = None
    error: str | None = None
    error_text: str | None = None
    reconnected: bool = False


@dataclass(frozen=True, slots=True)
class Samples:
    """Many requests as columns: row i of every array is request i; chunks lie flat, cut by `offsets`.

    Attributes:
        chunk_ns, chunk_tokens: shape (chunks,), all requests' chunks one after the other.
        offsets: shape (requests + 1,); request i owns chunks offsets[i]:offsets[i + 1].
        due_ns, prompt_tokens, completion_tokens, eos_at, drafts, accepted_drafts: -1 stands for None.
        error: shape (requests,), object; "" stands for None.
    """

    index: Int64
    slot: Int32
    starter: NDArray[np.bool_]
    prompt_hash: NDArray[np.object_]
    isl: Int32
    osl: Int32
    due_ns: Int64
    sent_ns: Int64
    end_ns: Int64
    chunk_ns: Int64
    chunk_tokens: Int32
    offsets: Int64
    prompt_tokens: Int32
    completion_tokens: Int32
    eos_at: Int32
    drafts: Int32
    accepted_drafts: Int32
    finish_reason: NDArray[np.object_]
    error: NDArray[np.object_]
    error_text: NDArray[np.object_]
    reconnected: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.index)


PER_REQUEST: Mapping[str, type] = {
    **dict.fromkeys(("index", "due_ns", "sent_ns", "end_ns"), np.int64),
    **dict.fromkeys(("slot", "isl", "osl", "prompt_tokens", "completion_tokens"), np.int32),
    **dict.fromkeys(("eos_at", "drafts", "accepted_drafts"), np.int32),
    **dict.fromkeys(("starter", "reconnected"), np.bool_),
    **dict.fromkeys(("prompt_hash", "finish_reason", "error", "error_text"), np.object_),
}
"""The columns of `Samples` that have one value a request, with their types."""

SampleBatches = Callable[[], Iterator[Samples]]
"""Gives a point's samples once more from the start, in pieces that fit in memory."""


class EngineCounters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reading of the server's own counters, summed over all engine and data-parallel series.

    Counters are cumulative since the server started; gauges are of the moment. None: the server does not expose it,
    which for the speculative counters is what Off looks like.

    Attributes:
        t_ns: middle of the reading, CLOCK_MONOTONIC.
        drafts: verification steps that had drafts, counted per request.
        draft_tokens, accepted_tokens: proposed, accepted.
        accepted_per_position: accepted at draft position 0, 1, ...
        prompt_tokens, generation_tokens, requests: processed, produced, finished.
        preemptions: requests pushed out of the batch for want of KV memory.
        queue_s, queued_requests: seconds that requests waited before their first step, and how many requests that is.
        running, waiting: requests in the batch, in the queue (gauges).
        kv_usage: share of the KV pool in use (gauge).
        prefix_cache_hits: prompt tokens that were served from a prefix cache.
    """

    t_ns: int
    drafts: float | None = None
    draft_tokens: float | None = None
    accepted_tokens: float | None = None
    accepted_per_position: tuple[float, ...] | None = None
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    requests: float | None = None
    preemptions: float | None = None
    queue_s: float | None = None
    queued_requests: float | None = None
    running: float | None = None
    waiting: float | None = None
    kv_usage: float | None = None
    prefix_cache_hits: float | None = None


class Reads(msgspec.Struct, frozen=True, kw_only=True):
    """How a point's reads went, told by the kernel's receive stamps.

    Attributes:
        count: reads that brought data.
        late_p50_s, late_p99_s, late_max_s: how long data had lain in the kernel when the client read it: the error
            that stamps taken by the client itself would have had.
        several: share of reads that held several chunks; these share the stamp of the last.
        unstamped: share of reads without a kernel stamp; these have the client's own.
        clock_moved_s: by how much the time of day was set against CLOCK_MONOTONIC, at most.
    """

    count: int
    late_p50_s: float
    late_p99_s: float
    late_max_s: float
    several: float
    unstamped: float
    clock_moved_s: float


class ClientHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How well the load's own process kept up, from the first request to the last.

    Attributes:
        busy: share of one core that it used; near 1 its throughput is its own.
        lateness_p50_s, lateness_p99_s, lateness_max_s: how late its event loop woke, probed many times a second.
        realtime: whether it ran before other processes of its cores; without it a busy machine makes it late.
        reads: how its reads went; None where chunks have the client's own stamps.
        shards: processes that shared the load; each number is then that of the worst.
    """

    busy: float
    lateness_p50_s: float
    lateness_p99_s: float
    lateness_max_s: float
    realtime: bool = False
    reads: Reads | None = None
    shards: int = 1


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The steady part of a Point, cut out of the raw samples.

    Attributes:
        start_ns, end_ns: T0 and T1.
        blocks_ns: edges of equal wall-time blocks from T0 to T1, each at least one request time long.
        request_time_s: median time of a full request.
        cut_s: how long after the first send the start-up transient ended (MSER-5).
        looks: how often the precision was due to be tested by T1.
        capped: the point ended before its precision, or its shortest length, was reached.
        steady: False when MSER-5 cut in the last half of the samples, or the blocks follow one slow swing.
    """

    start_ns: int
    end_ns: int
    blocks_ns: tuple[int, ...]
    request_time_s: float
    cut_s: float
    looks: int = 0
    capped: bool = False
    steady: bool = True

    @property
    def duration_s(self) -> float:
        """T1 - T0."""
        return (self.end_ns - self.start_ns) / 1e9


class NoWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A Point without a steady part.

    Attributes:
        reason: code of the verdict that follows.
        text: what was missing, for people.
    """

    reason: str
    text: str


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What a launched server says of itself, sorted by what a difference between arms means.

    Attributes:
        must_equal: a difference makes the arms not comparable (revision, version, GPU model, flags, template, ...).
        speculative: the difference that is asked for.
        derived: what follows from it and is allowed (KV pool tokens, graph sizes, scheduled-token budget).
        circumstance: node, GPU ids, time: shown, warned about.
        mismatches: where the server runs with something else than it was asked for, a sentence each.
        read_back: whether the server itself reported its configuration; False leaves only what was asked.
    """

    must_equal: Mapping[str, object]
    speculative: Mapping[str, object]
    derived: Mapping[str, object]
    circumstance: Mapping[str, object]
    mismatches: tuple[str, ...] = ()
    read_back: bool = True


class Estimate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One number of a row with its 95 % interval and, for a distribution, its percentiles.

    Attributes:
        value: None when it could not be measured; `reason` then says why.
    """

    value: float | None
    lo: float | None = None
    hi: float | None = None
    p10: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PointResult:
    """One row: a Point scored. A row with reasons in `invalid` is kept and shown, never drawn or compared.

    Attributes:
        identity: what was measured (model, gpu, arm, concurrency, launch, ...), as in `points.jsonl`.
        estimates: METRICS name -> number.
        blocks: per time block of the window, the three series that intervals of a comparison resample:
            `interactivity`, `total_tok_s_gpu`, `output_tok_s_gpu`.
        stamps: what a number must never lose: emulated, forced-acceptance, cpu-plugin, ...
    """

    identity: Mapping[str, object]
    estimates: Mapping[str, Estimate]
    blocks: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    stamps: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def row(self) -> dict[str, object]:
        """The flat object of `points.jsonl`: `name`, `name_lo`, `name_p50`, ...; absent is null."""
        flat: dict[str, object] = {"schema": SCHEMA, **self.identity}
        flat |= {"stamps": list(self.stamps), "invalid": list(self.invalid), "warnings": list(self.warnings)}
        for name, estimate in self.estimates.items():
            flat[name] = estimate.value
            for suffix in ("lo", "hi", "p10", "p50", "p90", "p99", "reason"):
                value = getattr(estimate, suffix)
                if value is not None or suffix in ("lo", "hi"):
                    flat[f"{name}_{suffix}"] = value
        flat |= {f"blocks_{name}": list(values) for name, values in self.blocks.items()}
        return flat


def columns(samples: Iterable[RequestSample]) -> Samples:
    """Requests as columns, in the order given."""
    rows = list(samples)
    lengths = [len(r.chunk_ns) for r in rows]

    def of(name: str, dtype: type) -> NDArray[Any]:
        none = "" if dtype is np.object_ else -1
        return np.array([none if (v := getattr(r, name)) is None else v for r in rows], dtype=dtype)

    def flat(name: str, dtype: type) -> NDArray[Any]:
        return np.concatenate([getattr(r, name) for r in rows]) if rows else np.empty(0, dtype)

    return Samples(
        chunk_ns=flat("chunk_ns", np.int64),
        chunk_tokens=flat("chunk_tokens", np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        **{name: of(name, dtype) for name, dtype in PER_REQUEST.items()},
    )


def write_jsonl(path: Path, records: Iterable[msgspec.Struct]) -> None:
    """One record a line; the caller makes it atomic."""
    encoder = msgspec.json.Encoder()
    with path.open("wb") as out:
        for record in records:
            out.write(encoder.encode(record) + b"\n")


def read_counters(path: Path) -> Iterator[EngineCounters]:
    """The readings of one point, in order of time."""
    decoder = msgspec.json.Decoder(EngineCounters)
    with path.open("rb") as lines:
        yield from (decoder.decode(line) for line in lines if line.strip())

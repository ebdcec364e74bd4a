"""One pass over a point's samples: the sums by time block, and the few facts of each request, that metrics need.

Takes batches of any size and keeps one number a request and field, never a chunk: a million requests of a hundred
chunks stay far under 2 GiB. Knows no metric: it counts.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from harness.metrics.histogram import Histogram
from harness.metrics.requests import Mask, Requests
from harness.records import Int64, Samples, columns
from harness.stats import Floats, Ints
from harness.units import NS_PER_S

_NEVER = np.iinfo(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The requests whose last token falls inside the Window: what latencies are of. Starters and failures are not.

    Attributes:
        block: the Window's block that holds the last token.
        late_s: from when it was due to the send; NaN in closed loop, where nothing is due.
        ttft_s, e2e_s: send to first, to last token.
        tpot_s: (last token - first chunk) / (tokens - tokens of the first chunk); NaN for a single chunk.
        tokens, first_tokens, chunks: delivered in all, with the first chunk, and in how many chunks.
        prompt_tokens: by the engine's usage; NaN where it gave none.
        past_eos: tokens after the first EOS; NaN where no EOS is known.
        drafts, accepted_drafts: verifications, and the drafts that they accepted; NaN where the engine does not say.
    """

    block: Ints
    late_s: Floats
    ttft_s: Floats
    e2e_s: Floats
    tpot_s: Floats
    tokens: Floats
    first_tokens: Floats
    chunks: Floats
    prompt_tokens: Floats
    past_eos: Floats
    drafts: Floats
    accepted_drafts: Floats

    def __len__(self) -> int:
        return len(self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How the requests of the whole point went, warm-up included; those cut off by its end are not judged.

    Attributes:
        ended: requests that ended by themselves, well or not.
        errors: error class -> requests.
        wrong_length: good requests whose output is not exactly as long as asked.
        wrong_prompt: good requests whose prompt the engine counted otherwise than asked.
        reconnected: requests that were sent twice.
        cohort: requests that latencies are of.
    """

    ended: int
    errors: Mapping[str, int]
    wrong_length: int
    wrong_prompt: int
    reconnected: int
    cohort: int

    @property
    def failed(self) -> int:
        """Requests that ended badly."""
        return sum(self.errors.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRun:
    """Everything that ended well from the first send on, start-up burst included: what InferenceX averages over.

    Attributes:
        began_ns, ended_ns: first send, last completion; the latter is not after the former where none ended well.
        input_tokens, output_tokens: of requests that ended well, starters included.
        tpot_s: (last token - first chunk) / (tokens - 1) of full requests.
    """

    began_ns: int
    ended_ns: int
    input_tokens: float
    output_tokens: float
    tpot_s: Floats

    @property
    def duration_s(self) -> float:
        """Length of the run."""
        return max(0, self.ended_ns - self.began_ns) / NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """A point's samples within a Window, by its blocks.

    Attributes:
        block_s: length of each block.
        output_tokens: tokens by the stamp of their chunk; those of failed requests count for nobody.
        input_tokens: prompt tokens, spread evenly over the life of their request.
        in_flight_s: request-seconds between send and end, of all requests.
        ended_s: life of the requests that ended well inside, summed, full-length ones only.
        age_start_s, age_end_s: how long the requests in flight at T0 and at T1 had been so, summed.
        chunk_gap_s, itl_s: gaps between the cohort's chunks, raw and shared among a chunk's tokens.
        before_eos, after_eos: the cohort's (tokens, chunks) after its first chunks, by block, shape (2, blocks).
    """

    block_s: Floats
    output_tokens: Floats
    input_tokens: Floats
    in_flight_s: Floats
    ended_s: float
    age_start_s: float
    age_end_s: float
    cohort: Cohort
    chunk_gap_s: Histogram
    itl_s: Histogram
    before_eos: Floats
    after_eos: Floats
    counts: Counts
    run: WholeRun

    @property
    def duration_s(self) -> float:
        """Length of the Window."""
        return float(self.block_s.sum())


def reduce(batches: Iterator[Samples], edges_ns: Int64) -> Reduced:
    """Count a point's samples between the edges of a Window's blocks, in one pass."""
    reduction = _Reduction(edges_ns)
    reduction.add(columns([]))
    for batch in batches:
        reduction.add(batch)
    return reduction.result()


@dataclass(frozen=True, slots=True)
class _CutOff:
    """Requests that the end of the point cut off: how long they would have lived is not known, only estimated."""

    sent_ns: Int64
    lived_ns: Int64
    isl: Int64
    missing: Int64
    started: Mask

    @classmethod
    def of(cls, requests: Requests) -> "_CutOff":
        samples, chosen = requests.samples, requests.cut_off
        return cls(
            sent_ns=samples.sent_ns[chosen],
            lived_ns=(samples.end_ns - samples.sent_ns)[chosen],
            isl=samples.isl[chosen].astype(np.int64),
            missing=np.maximum(samples.osl - requests.tokens, 0)[chosen],
            started=requests.chunks[chosen] > 0,
        )

    def input_tokens(self, cohort: Cohort, edges: Int64) -> Floats:
        """Their prompt tokens by block, as if they had gone on at the cohort's median pace."""
        if not len(cohort):
            return np.zeros(len(edges) - 1)
        wait_ns = np.where(self.started, 0.0, np.maximum(np.median(cohort.ttft_s) * NS_PER_S - self.lived_ns, 0.0))
        tpot_s = cohort.tpot_s[np.isfinite(cohort.tpot_s)]
        pace_ns = float(np.median(tpot_s)) * NS_PER_S if len(tpot_s) else 0.0
        life = (self.lived_ns + wait_ns + self.missing * pace_ns).astype(np.int64)
        return _spread(self.isl, self.sent_ns, self.sent_ns + life, edges)


def _spread(tokens: Ints, start_ns: Int64, stop_ns: Int64, edges: Int64) -> Floats:
    """Tokens by block when each request's lie evenly between its start and its stop."""
    life = np.maximum(stop_ns - start_ns, 1)
    passed = [float((tokens * np.clip((edge - start_ns) / life, 0.0, 1.0)).sum()) for edge in edges]
    spread: Floats = np.diff(passed)
    return spread


def _cohort(requests: Requests, chosen: Mask, block: Int64) -> Mapping[str, Floats]:
    samples = requests.samples
    prompt, eos_at = samples.prompt_tokens[chosen], samples.eos_at[chosen]
    drafts, accepted = samples.drafts[chosen], samples.accepted_drafts[chosen]
    due_ns = samples.due_ns[chosen]
    tokens = requests.tokens[chosen].astype(np.float64)
    return {
        "block": block[chosen],
        "late_s": np.where(due_ns >= 0, (samples.sent_ns[chosen] - due_ns) / NS_PER_S, np.nan),
        "ttft_s": ((requests.first_ns - samples.sent_ns) / NS_PER_S)[chosen],
        "e2e_s": requests.e2e_s[chosen],
        "tpot_s": requests.tpot_s[chosen],
        "tokens": tokens,
        "first_tokens": requests.first_tokens[chosen].astype(np.float64),
        "chunks": requests.chunks[chosen].astype(np.float64),
        "prompt_tokens": np.where(prompt >= 0, prompt, np.nan),
        "past_eos": np.where(eos_at >= 0, np.maximum(tokens - eos_at - 1, 0), np.nan),
        "drafts": np.where(drafts >= 0, drafts, np.nan),
        "accepted_drafts": np.where(accepted >= 0, accepted, np.nan),
    }


class _Reduction:
    """What has been counted so far."""

    def __init__(self, edges: Int64) -> None:
        blocks = len(edges) - 1
        self._edges = edges
        self._output, self._input, self._in_flight = np.zeros((3, blocks))
        self._ended_s = 0.0
        self._ages = np.zeros(2)
        self._gaps, self._itl = Histogram(blocks), Histogram(blocks)
        self._before_eos, self._after_eos = np.zeros((2, 2, blocks))
        self._cohort: list[Mapping[str, Floats]] = []
        self._cut_off: list[_CutOff] = []
        self._counts: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._began_ns, self._ended_ns = int(_NEVER.max), int(_NEVER.min)
        self._run_tokens = np.zeros(2)
        self._run_tpot: list[Floats] = []

    def add(self, samples: Samples) -> None:
        """Count one batch."""
        requests = Requests(samples)
        self._count_outcomes(requests)
        self._count_in_flight(requests)
        self._count_tokens(requests)
        self._add_cohort(requests)
        self._add_whole_run(requests)

    def _count_outcomes(self, requests: Requests) -> None:
        samples, good = requests.samples, requests.good
        asked = (samples.prompt_tokens >= 0) & (samples.prompt_tokens != samples.isl)
        self._errors.update(samples.error[~good & ~requests.cut_off].tolist())
        self._counts.update(
            ended=int((~requests.cut_off).sum()),
            wrong_length=int((good & (requests.tokens != samples.osl)).sum()),
            wrong_prompt=int((good & asked).sum()),
            reconnected=int(samples.reconnected.sum()),
        )

    def _count_in_flight(self, requests: Requests) -> None:
        """Who was in flight, and when."""
        samples, edges = requests.samples, self._edges
        life = samples.end_ns - samples.sent_ns
        spent = np.array([np.clip(edge - samples.sent_ns, 0, life).sum() for edge in edges])
        self._in_flight += np.diff(spent) / NS_PER_S
        ended = requests.full & (samples.end_ns >= edges[0]) & (samples.end_ns < edges[-1])
        self._ended_s += float(life[ended].sum()) / NS_PER_S
        for side, edge in enumerate((edges[0], edges[-1])):
            inside = (samples.sent_ns < edge) & (edge <= samples.end_ns)
            self._ages[side] += float((edge - samples.sent_ns[inside]).sum()) / NS_PER_S

    def _count_tokens(self, requests: Requests) -> None:
        """Tokens, out and in."""
        samples, edges = requests.samples, self._edges
        block = np.searchsorted(edges, samples.chunk_ns, side="right") - 1
        inside = (block >= 0) & (block < len(edges) - 1) & (requests.good | requests.cut_off)[requests.owner]
        self._output += np.bincount(block[inside], requests.chunk_delta[inside], len(edges) - 1)
        prompt = np.where(samples.prompt_tokens >= 0, samples.prompt_tokens, samples.isl)
        lived = requests.good & (requests.chunks > 0)
        self._input += _spread(prompt[lived], samples.sent_ns[lived], requests.last_ns[lived], edges)
        self._cut_off.append(_CutOff.of(requests))

    def _add_cohort(self, requests: Requests) -> None:
        """The cohort: its latencies and the gaps between its chunks."""
        block = np.searchsorted(self._edges, requests.last_ns, side="right") - 1
        chosen = requests.full & (block >= 0) & (block < len(self._edges) - 1)
        self._cohort.append(_cohort(requests, chosen, block))
        follows = ~requests.chunk_is_first & chosen[requests.owner]
        after = np.flatnonzero(follows)
        owner, delta = requests.owner[after], requests.chunk_delta[after].astype(np.float64)
        gap_s = (requests.samples.chunk_ns[after] - requests.samples.chunk_ns[after - 1]) / NS_PER_S
        self._gaps.add(block[owner], gap_s, np.ones(len(after)))
        self._itl.add(block[owner], gap_s / np.maximum(delta, 1), delta)
        eos_at = requests.samples.eos_at[owner]
        ended = requests.samples.chunk_tokens[after]
        self._before_eos += self._per_chunk(block[owner], delta, (eos_at < 0) | (ended <= eos_at + 1))
        self._after_eos += self._per_chunk(block[owner], delta, (eos_at >= 0) & (ended - delta >= eos_at + 1))

    def _per_chunk(self, block: Ints, delta: Floats, chosen: Mask) -> Floats:
        blocks = len(self._edges) - 1
        tokens = np.bincount(block[chosen], delta[chosen], blocks)
        return np.array([tokens, np.bincount(block[chosen], minlength=blocks)])

    def _add_whole_run(self, requests: Requests) -> None:
        samples, good = requests.samples, requests.good
        self._began_ns = min(self._began_ns, int(samples.sent_ns.min(initial=_NEVER.max)))
        self._ended_ns = max(self._ended_ns, int(requests.last_ns[good].max(initial=_NEVER.min)))
        self._run_tokens += float(samples.isl[good].sum()), float(requests.tokens[good].sum())
        self._run_tpot.append(requests.inferencex_tpot_s[requests.full])

    def result(self) -> Reduced:
        """Everything that was counted."""
        cohort = Cohort(**{name: np.concatenate([c[name] for c in self._cohort]) for name in self._cohort[0]})
        cut_off = [part.input_tokens(cohort, self._edges) for part in self._cut_off]
        input_tokens, output_tokens = self._run_tokens
        return Reduced(
            block_s=np.diff(self._edges) / NS_PER_S,
            output_tokens=self._output,
            input_tokens=self._input + np.sum(cut_off, axis=0),
            in_flight_s=self._in_flight,
            ended_s=self._ended_s,
            age_start_s=float(self._ages[0]),
            age_end_s=float(self._ages[1]),
            cohort=cohort,
            chunk_gap_s=self._gaps,
            itl_s=self._itl,
            before_eos=self._before_eos,
            after_eos=self._after_eos,
            counts=Counts(errors=dict(self._errors), cohort=len(cohort), **self._counts),
            run=WholeRun(
                began_ns=self._began_ns,
                ended_ns=self._ended_ns,
                input_tokens=float(input_tokens),
                output_tokens=float(output_tokens),
                tpot_s=np.concatenate(self._run_tpot),
            ),
        )

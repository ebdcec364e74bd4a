"""What is asked for: the nouns of a sweep, as frozen values. No files, no clocks, no sockets.

A `Sweep` is one YAML file with every name resolved. `expand` turns it into `Point`s, in the order in which they are
measured. Everything here is hashable, validated on construction and dumps to plain data that validates again.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Text = Annotated[str, Field(min_length=1)]
# Part of a folder's name in results/.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
Sequence = Field(strict=False)  # YAML has lists, a frozen value has tuples


class Spec(BaseModel):
    """Base of everything that is asked for: frozen, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def __hash__(self) -> int:
        # Mappings compare equal in any order and have no hash: the other fields tell enough apart.
        return hash(tuple(value for value in self.__dict__.values() if not isinstance(value, Mapping)))


class Acceptance(Spec):
    """A golden table: the acceptance length that a model reaches on a reference data set, by draft tokens."""

    name: Name
    by_draft_tokens: Mapping[Annotated[int, Field(strict=False, ge=1)], Annotated[float, Field(ge=1)]]
    source: Text


class Model(Spec):
    """A model, with the facts that planning, checking and comparing need.

    Attributes:
        weights: hub id, or a folder (resolved by `config`).
        tokenizer: hub id or folder; None means the one beside the weights.
        load_format: `dummy` serves random weights: timing without a download, text without meaning.
        draft_tokens: what `mtp: on` means for this model.
        ready_limit_s: longest acceptable time from start to ready, weight load and graph capture included.
        golden: the table behind `acceptance: golden`.
        eos_token_ids: ids that end a text; with them the share of text forced past its end is known.
        weight_gb: weight bytes / 1e9 by precision, as served.
        kv_bytes_per_token: bytes of KV cache a token takes at bf16 over all layers.
    """

    name: Name
    label: Text
    weights: Text
    revision: str | None = None
    tokenizer: str | None = None
    load_format: Literal["auto", "dummy"] = "auto"
    chat: bool = True
    context: Positive
    layers: Positive
    parameters_b: Annotated[float, Field(gt=0)]
    active_b: Annotated[float, Field(gt=0)]
    moe: bool = False
    mtp_modules: Annotated[int, Field(ge=0)]
    draft_tokens: Positive = 1
    ready_limit_s: Annotated[float, Field(gt=0)] = 1800.0
    golden: Acceptance | None = None
    eos_token_ids: Annotated[tuple[int, ...], Sequence] = ()
    weight_gb: Mapping[str, float] = {}
    kv_bytes_per_token: int | None = None
    source: Text


class Vendor(StrEnum):
    """Who made the accelerator; decides the power library and the visibility variable."""

    NVIDIA = "nvidia"
    AMD = "amd"
    CPU = "cpu"


class Prices(Spec):
    """$ per GPU-hour by tier and all-in power, as one source stated them from one date on.

    Attributes:
        since: first day they hold, ISO date.
        usd_per_gpu_hour: tier name -> $; a tier that the source lacks is absent.
        all_in_kw: provisioned utility power per GPU, everything included: an assumption, not a reading.
    """

    since: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    usd_per_gpu_hour: Mapping[str, float] = {}
    all_in_kw: float | None = None
    source: Text


class Gpu(Spec):
    """An accelerator (or a CPU standing in for one)."""

    name: Name
    label: Text
    vendor: Annotated[Vendor, Field(strict=False)]
    arch: Text
    memory_gb: Annotated[float, Field(gt=0)]
    bandwidth_tb_s: float | None = None
    tdp_w: float | None = None
    dense_tflops: Mapping[str, float] = {}
    per_node: Positive = 8
    prices: Annotated[tuple[Prices, ...], Sequence] = ()
    source: Text

    def prices_on(self, day: str) -> Prices | None:
        """What held on a day (ISO date): the newest prices not after it; None when all began later."""
        return max((p for p in self.prices if p.since <= day), key=lambda p: p.since, default=None)


class Sampling(Spec):
    """Sampling, sent whole with every request: engines fill gaps from the model's own defaults."""

    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: int = -1
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0


class Workload(Spec):
    """What the users send.

    Attributes:
        isl, osl: prompt and output length, tokens, chat template included.
        length_ratio: lengths are drawn from [ratio * L, L] by request index; 1.0 means exactly L.
        length: `exact` holds the output to OSL by ignore_eos; `natural` lets the model stop.
        source: `builtin`, `random` (labelled: it inflates acceptance), or a path (resolved by `config`).
        format: how a path is read: plain text, JSONL with a `prompt` or `text`, ShareGPT, SPEED-Bench.
        seed: of the prompt stream and the residual-life start; the same in both arms.
        ttft_limit_s, tpot_limit_s: what a user puts up with: a request that keeps both counts as goodput.
    """

    name: Name
    isl: Positive
    osl: Annotated[int, Field(ge=2)]
    length_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    length: Literal["exact", "natural"] = "exact"
    source: Text = "builtin"
    format: Literal["text", "jsonl", "sharegpt", "speedbench"] = "text"
    seed: int = 0
    sampling: Sampling = Sampling()
    ttft_limit_s: Annotated[float, Field(gt=0)] | None = None
    tpot_limit_s: Annotated[float, Field(gt=0)] | None = None


class Parallel(Spec):
    """How a server's GPUs are used. An expert-parallel group lies inside the tp * dp GPUs: it adds none."""

    tp: Positive = 1
    pp: Positive = 1
    ep: Positive = 1
    dp: Positive = 1

    @property
    def gpus(self) -> int:
        """GPUs that one server takes."""
        return self.tp * self.pp * self.dp


class EngineSpec(Spec):
    """Which engine and how it is started; `args` and `env` go to both arms alike.

    Attributes:
        version: what the server must report; None records whatever it reports.
        venv: folder of a virtual environment that holds the engine.
        image: container image, by tag or digest.
        endpoint: base URL of a server that is already running.
    """

    name: Name
    version: str | None = None
    venv: str | None = None
    image: str | None = None
    endpoint: str | None = None
    args: Annotated[tuple[str, ...], Sequence] = ()
    env: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.venv, self.image, self.endpoint)) > 1:
            raise ValueError("give one of venv, image, endpoint, not several")
        return self


class ServerSettings(Spec):
    """Limits that engines would otherwise choose by themselves, differently for each arm.

    All in requests or tokens; the engine's adapter converts to its own units.

    Attributes:
        max_running_requests: requests that the server may decode at once.
        max_graph_requests: largest batch with a captured graph, in requests; None leaves graphs off.
        chunked_prefill_tokens: prompt tokens one step may take; None keeps the engine's default.
        memory_fraction: share of GPU memory for weights and KV; None where the engine has no such flag.
        context: longest prompt + output, tokens.
    """

    max_running_requests: Positive
    max_graph_requests: Positive | None = None
    chunked_prefill_tokens: Positive | None = None
    memory_fraction: Fraction | None = None
    context: Positive


class Mtp(Spec):
    """The one thing in which arms differ. 0 draft tokens is the Off arm.

    Attributes:
        forced_acceptance_length: tokens per step that the engine simulates; None is natural acceptance.
        overrides: engine-specific speculative settings, by the engine's own names.
    """

    draft_tokens: Annotated[int, Field(ge=0, le=16)] = 0
    forced_acceptance_length: Annotated[float, Field(ge=1)] | None = None
    overrides: Mapping[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.draft_tokens and (self.forced_acceptance_length is not None or self.overrides):
            raise ValueError("the Off arm takes no acceptance length and no overrides")
        limit = self.draft_tokens + 1
        if self.forced_acceptance_length is not None and self.forced_acceptance_length > limit:
            raise ValueError(
                f"{self.draft_tokens} draft tokens give at most {limit} tokens a step, "
                f"not {self.forced_acceptance_length}"
            )
        return self

    @property
    def label(self) -> str:
        """`off`, `mtp3`, `mtp3-al3.39`."""
        if not self.draft_tokens:
            return "off"
        forced = self.forced_acceptance_length
        return f"mtp{self.draft_tokens}" + ("" if forced is None else f"-al{forced:g}")


class Run(Spec):
    """One server: everything that is the same for all of its points and launches."""

    model: Model
    revision: str | None = None
    gpu: Gpu
    precision: Name
    engine: EngineSpec
    parallel: Parallel
    settings: ServerSettings
    mtp: Mtp

    @property
    def baseline(self) -> "Run":
        """The same Run with MTP off: the only one that it may be compared with."""
        return self.model_copy(update={"mtp": Mtp()})

    @property
    def is_off(self) -> bool:
        """Whether this is the Off arm."""
        return not self.mtp.draft_tokens

    @property
    def identity(self) -> dict[str, object]:
        """What makes a Run this Run; facts that may be corrected later (prices, sources) are not in it."""
        model = self.model
        return {
            "model": [model.name, model.weights, model.tokenizer, model.load_format, self.revision or model.revision],
            "gpu": self.gpu.name,
            "precision": self.precision,
            "engine": self.engine.model_dump(mode="json"),
            "parallel": self.parallel.model_dump(),
            "settings": self.settings.model_dump(),
            "mtp": self.mtp.model_dump(),
        }

    @property
    def key(self) -> str:
        """Folder name: readable, then 8 hex digits that change when the identity does."""
        digest = hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:8]
        gpus = f"{self.gpu.name}x{self.parallel.gpus}"
        return f"{self.model.name}-{self.precision}-{gpus}-{self.engine.name}-{self.mtp.label}-{digest}"


class Ladder(Spec):
    """Concurrencies by doubling between two ends, then refined where the curve would move by more than asked."""

    model_config = ConfigDict(populate_by_name=True)

    from_: Annotated[int, Field(gt=0, alias="from")]
    to: Positive
    refine_pct: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.to < self.from_:
            raise ValueError(f"to: {self.to} lies below from: {self.from_}")
        return self

    @property
    def steps(self) -> tuple[int, ...]:
        """The ladder before refinement: from, 2 from, 4 from, ..., to."""
        doubled = []
        value = self.from_
        while value < self.to:
            doubled.append(value)
            value *= 2
        return (*doubled, self.to)


class WindowSpec(Spec):
    """How long a point is measured.

    Attributes:
        min_s: shortest window, seconds.
        max_s: the cap; a point stopped by it says so.
    """

    min_s: Annotated[float, Field(gt=0)] = 30.0
    max_s: Annotated[float, Field(gt=0)] = 600.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_s < self.min_s:
            raise ValueError(f"max_s: {self.max_s:g} lies below min_s: {self.min_s:g}")
        return self


def _kind_of_concurrency(value: object) -> str:
    return "ladder" if isinstance(value, Mapping | Ladder) else "list"


def _kind_of_acceptance(value: object) -> str:
    return "word" if isinstance(value, str) else "number"


Concurrency = Annotated[
    Annotated[tuple[Positive, ...], Field(strict=False, min_length=1), Tag("list")] | Annotated[Ladder, Tag("ladder")],
    Discriminator(_kind_of_concurrency),
]
DraftTokens = Annotated[int, Field(ge=0, le=16)]
AcceptanceKind = Annotated[
    Annotated[Literal["natural", "golden"], Tag("word")] | Annotated[float, Field(ge=1), Tag("number")],
    Discriminator(_kind_of_acceptance),
]


class Point(Spec):
    """One concurrency of one launch of a Run."""

    run: Run
    workload: Workload
    concurrency: Positive
    launch: Annotated[int, Field(ge=0)]

    @property
    def folder(self) -> str:
        """Name of the point's folder inside its Run's."""
        return f"c{self.concurrency}-l{self.launch}"


class Sweep(Spec):
    """One YAML file, every name in it resolved.

    Attributes:
        mtp: draft tokens of each arm; 0 is Off.
        acceptance: how drafts are accepted in each MTP arm: natural, golden, or a forced length.
        target_half_width_pct: precision at which a point may stop early, % of throughput and interactivity.
        launches: starts of every Run: the replicate behind an interval.
        runs: Runs given whole instead of by arms; they compare only by force.
        demo: a short run for looking at: never gives a verdict.
    """

    name: Name
    model: Model
    revision: str | None = None
    gpu: Gpu
    precision: Name
    engine: EngineSpec
    tp: Positive = 1
    pp: Positive = 1
    ep: Positive = 1
    dp: Positive = 1
    max_running_requests: Positive
    max_graph_requests: Positive | None = None
    chunked_prefill_tokens: Positive | None = None
    memory_fraction: Fraction | None = None
    mtp: Annotated[tuple[DraftTokens, ...], Field(strict=False, min_length=1)]
    acceptance: Annotated[tuple[AcceptanceKind, ...], Field(strict=False, min_length=1)] = ("natural",)
    workload: Workload
    concurrency: Concurrency
    target_half_width_pct: Annotated[float, Field(gt=0)] | None = None
    window: WindowSpec = WindowSpec()
    launches: Positive = 1
    demo: bool = False
    runs: Annotated[tuple[Run, ...], Sequence] = ()

    @property
    def concurrencies(self) -> tuple[int, ...]:
        """The concurrencies that are asked for outright."""
        return self.concurrency.steps if isinstance(self.concurrency, Ladder) else self.concurrency

    @model_validator(mode="after")
    def _possible(self) -> Self:
        faults = tuple(self._faults())
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        """Every impossible combination, as `key: what is wrong`."""
        yield from _twice("concurrency", self.concurrencies)
        yield from _twice("mtp", self.mtp)
        most = max(self.concurrencies)
        if most > self.max_running_requests:
            yield (
                f"max_running_requests: {self.max_running_requests} lies below the highest concurrency, {most}: "
                "requests would queue in the server; raise it, or ask for fewer users"
            )
        if self.context > self.model.context:
            yield (
                f"workload: needs {self.context} tokens of context, {self.model.name} has {self.model.context}; "
                "take shorter lengths"
            )
        if any(self.mtp) and not self.model.mtp_modules:
            yield f"mtp: {self.model.name} has no MTP module; leave only off"
        yield from self._acceptance_faults()
        yield from self._run_faults(most)

    def _acceptance_faults(self) -> Iterator[str]:
        for draft_tokens in filter(None, self.mtp):
            try:
                forced = [self._forced(draft_tokens, acceptance) for acceptance in self.acceptance]
            except ValueError as e:
                yield str(e)
                continue
            yield from _twice(f"acceptance: with {draft_tokens} draft tokens", forced)
            yield from (
                f"acceptance: {draft_tokens} draft tokens give at most {draft_tokens + 1} tokens a step, not {length:g}"
                for length in forced
                if length is not None and length > draft_tokens + 1
            )

    def _run_faults(self, most: int) -> Iterator[str]:
        yield from _twice("runs", [run.key for run in self.runs])
        if self.runs and {run.mtp.draft_tokens for run in self.runs} != set(self.mtp):
            yield f"mtp: {list(self.mtp)} is not what the runs have; leave it out, they say it themselves"
        for number, run in enumerate(self.runs):
            if run.settings.max_running_requests < most:
                yield f"runs: [{number}] has max_running_requests below the highest concurrency, {most}"
            if run.settings.context < self.context:
                yield f"runs: [{number}] has settings.context below {self.context}, which the workload needs"

    @property
    def context(self) -> int:
        """Longest prompt + output that the server must hold, tokens; speculation may overshoot by 16."""
        return self.workload.isl + self.workload.osl + 16

    def arms(self) -> Iterator[Mtp]:
        """Off first where it is asked for, then each draft length with each kind of acceptance."""
        for draft_tokens in self.mtp:
            if not draft_tokens:
                yield Mtp()
                continue
            for acceptance in self.acceptance:
                yield Mtp(
                    draft_tokens=draft_tokens,
                    forced_acceptance_length=self._forced(draft_tokens, acceptance),
                )

    def _forced(self, draft_tokens: int, acceptance: str | float) -> float | None:
        if acceptance == "natural":
            return None
        if isinstance(acceptance, float):
            return acceptance
        golden = self.model.golden
        if golden is None:
            raise ValueError(f"acceptance: {self.model.name} has no golden table; give a number or natural")
        if draft_tokens not in golden.by_draft_tokens:
            raise ValueError(f"acceptance: golden table {golden.name} has no entry for {draft_tokens} draft tokens")
        return golden.by_draft_tokens[draft_tokens]

    def all_runs(self) -> tuple[Run, ...]:
        """Every Run: one for each arm, or those that the file gives whole."""
        if self.runs:
            return self.runs
        settings = ServerSettings(
            max_running_requests=self.max_running_requests,
            max_graph_requests=self.max_graph_requests,
            chunked_prefill_tokens=self.chunked_prefill_tokens,
            memory_fraction=self.memory_fraction,
            context=self.context,
        )
        return tuple(
            Run(
                model=self.model,
                revision=self.revision,
                gpu=self.gpu,
                precision=self.precision,
                engine=self.engine,
                parallel=Parallel(tp=self.tp, pp=self.pp, ep=self.ep, dp=self.dp),
                settings=settings,
                mtp=mtp,
            )
            for mtp in self.arms()
        )


def _twice(key: str, values: Iterable[object]) -> Iterator[str]:
    """Entries that stand in a list more than once: two points would claim one folder."""
    seen: list[object] = []
    for value in values:
        if value in seen:
            yield f"{key}: {'natural' if value is None else value} is there twice; leave one out"
        seen.append(value)


def expand(sweep: Sweep) -> tuple[Point, ...]:
    """All points in measuring order.

    Arms alternate over launches (Off first, then MTP first), so that neither owns the warm machine. Within a launch
    concurrency goes up: each point is a few minutes, and the short ones tell early whether anything is wrong.
    """
    runs = sweep.all_runs()
    return tuple(
        Point(run=run, workload=sweep.workload, concurrency=concurrency, launch=launch)
        for launch in range(sweep.launches)
        for run in (runs if launch % 2 == 0 else runs[::-1])
        for concurrency in sweep.concurrencies
    )

"""A Sweep: one YAML file with every name resolved, the Runs that it means, and the order in which they are measured."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from harness.spec.arrivals import Arrivals, Rate
from harness.spec.base import Fraction, Name, Positive, Sequence, Spec
from harness.spec.evaluation import Evaluation
from harness.spec.facts import Gpu, Model, Workload
from harness.spec.load import rate_label
from harness.spec.run import MAX_DRAFT_TOKENS, EngineSpec, Mtp, Parallel, Point, Run, ServerSettings

OVERSHOOT_TOKENS = MAX_DRAFT_TOKENS
"""How far speculation may run past the last token asked for."""


class Ladder(Spec):
    """Concurrencies between two ends, and what is added where the first results call for it.

    Attributes:
        refine_pct: points are added until interpolation between them errs by no more than this, %.
        targets: interactivities, tok/s/user, beside which each arm gets a point.
    """

    model_config = ConfigDict(populate_by_name=True)

    from_: Annotated[int, Field(gt=0, alias="from")]
    to: Positive
    refine_pct: Annotated[float, Field(gt=0)] | None = None
    targets: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Sequence] = ()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.to < self.from_:
            raise ValueError(f"to: {self.to} lies below from: {self.from_}")
        if self.targets and self.refine_pct is not None:
            raise ValueError("refine_pct and targets: each adds points by a rule of its own; leave one out")
        return self

    @property
    def adaptive(self) -> bool:
        """Whether results add points to the steps."""
        return self.refine_pct is not None or bool(self.targets)

    @property
    def steps(self) -> tuple[int, ...]:
        """The ladder before anything is added: doubling, from first to last; quadrupling where there are targets."""
        factor = 4 if self.targets else 2
        steps = []
        value = self.from_
        while value < self.to:
            steps.append(value)
            value *= factor
        return (*steps, self.to)


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

DraftTokens = Annotated[int, Field(ge=0, le=MAX_DRAFT_TOKENS)]

AcceptanceKind = Annotated[
    Annotated[Literal["natural", "golden"], Tag("word")] | Annotated[float, Field(ge=1), Tag("number")],
    Discriminator(_kind_of_acceptance),
]


ClientKind = Literal["kernel", "aiohttp"]
"""How token streams are read: from plain sockets with the kernel's receive stamps, or through aiohttp."""


class Sweep(Spec):
    """One YAML file, every name in it resolved.

    Attributes:
        mtp: draft tokens of each arm; 0 is Off.
        acceptance: how drafts are accepted in each MTP arm: natural, golden, or a forced length.
        concurrency: users of each point, in closed loop; None in open loop.
        rate: requests a second of each point, in open loop; None in closed loop.
        arrivals: when these are sent; None in closed loop.
        target_half_width_pct: precision at which a point may stop early, % of throughput and interactivity.
        idle_power_s: how long GPUs are left alone before a server is started, and again when it is ready, to know what
            they draw idle; 0 leaves that out.
        launches: starts of every Run: the replicate behind an interval.
        runs: Runs given whole instead of by arms; they compare only by force.
        client: how token streams are read; an endpoint with TLS is read through aiohttp whatever is asked.
        accuracy: a task of lm-eval that each arm with natural acceptance is put to, after its
            first launch's points.
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
    concurrency: Concurrency | None = None
    rate: Annotated[tuple[Rate, ...], Field(strict=False, min_length=1)] | None = None
    arrivals: Arrivals | None = None
    target_half_width_pct: Annotated[float, Field(gt=0)] | None = None
    window: WindowSpec = WindowSpec()
    idle_power_s: Annotated[float, Field(ge=0)] = 30.0
    launches: Positive = 1
    client: ClientKind = "kernel"
    accuracy: Evaluation | None = None
    demo: bool = False
    runs: Annotated[tuple[Run, ...], Sequence] = ()

    @property
    def concurrencies(self) -> tuple[int, ...]:
        """The concurrencies that are asked for outright; none in open loop."""
        return self.concurrency.steps if isinstance(self.concurrency, Ladder) else self.concurrency or ()

    @property
    def loads(self) -> int:
        """Points of one launch of a Run that are asked for outright."""
        return len(self.concurrencies) or len(self.rate or ())

    @model_serializer(mode="wrap")
    def _without_the_other_loop(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What belongs to the loop that is not asked for is left out: a record of a closed loop knows no rate."""
        unasked = [key for key in ("concurrency", "rate", "arrivals") if getattr(self, key) is None]
        return {key: value for key, value in whole(self).items() if key not in unasked}

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
        yield from self._loop_faults()
        most = max(self.concurrencies, default=0)
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
        if self.accuracy is not None and any(self.mtp) and "natural" not in self.acceptance and not self.runs:
            yield "accuracy: forced acceptance writes other tokens on purpose: leave it out, or add acceptance: natural"
        yield from self._run_faults(most)

    def _loop_faults(self) -> Iterator[str]:
        yield from _twice("rate", [rate_label(rate) for rate in self.rate or ()])
        if self.concurrency is None and self.rate is None and self.arrivals is None:
            yield "concurrency: is missing; add it, or a rate"
        if self.concurrency is not None and self.rate is not None:
            yield "rate: is for an open loop and concurrency for a closed one; make two sweeps of it"
        if self.rate is None and self.arrivals is not None:
            yield "arrivals: says nothing without rate, the requests a second; add it"
        if self.rate is not None and self.arrivals is None:
            yield "rate: needs arrivals; add them, such as poisson"

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
        if self.runs and self.acceptance != ("natural",):
            yield "acceptance: says nothing to runs; give each its forced_acceptance_length, and leave this out"
        for number, run in enumerate(self.runs):
            if run.settings.max_running_requests < most:
                yield f"runs: [{number}] has max_running_requests below the highest concurrency, {most}"
            if run.settings.context < self.context:
                yield f"runs: [{number}] has settings.context below {self.context}, which the workload needs"

    @property
    def context(self) -> int:
        """Longest prompt + output that the server must hold, tokens, and room for speculation."""
        return self.workload.isl + self.workload.osl + OVERSHOOT_TOKENS

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


def expand(sweep: Sweep, added: Mapping[str, Iterable[int]] | None = None) -> tuple[Point, ...]:
    """All points in measuring order.

    Arms alternate over launches (Off first, then MTP first), so that neither owns the warm machine. Within the first
    launch the load goes up: each point is a few minutes, and the short ones tell early whether anything is wrong.
    Within the next it goes down, and so on: what heats up or fills during a launch is then not taken for concurrency.

    Args:
        sweep: what is asked.
        added: concurrencies beyond the sweep's own, by Run.key.
    """
    runs = sweep.all_runs()
    return tuple(
        point
        for launch in range(sweep.launches)
        for run in (runs if launch % 2 == 0 else runs[::-1])
        for point in _of_launch(sweep, run, launch, (added or {}).get(run.key, ()))
    )


def _of_launch(sweep: Sweep, run: Run, launch: int, added: Iterable[int]) -> list[Point]:
    """The points of one launch, in measuring order."""
    users = sorted({*sweep.concurrencies, *added})
    held = [Point(run=run, workload=sweep.workload, concurrency=number, launch=launch) for number in users]
    sent = [
        Point(run=run, workload=sweep.workload, rate=rate, arrivals=sweep.arrivals, launch=launch)
        for rate in sorted(sweep.rate or ())
    ]
    points = [*held, *sent]
    return points if launch % 2 == 0 else points[::-1]

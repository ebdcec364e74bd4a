"""From raw files to a row: the same way right after measuring and ever after.

Everything that a row says comes from the point's folder, its run's attempt and the sweep's lock, so that `mtpbench
score` reproduces it with no server. Starts nothing, sends nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness import checks, config, ladder, metrics
from harness.accuracy import agreement, lm_eval
from harness.atomic_files import read_json
from harness.errors import ResultsError
from harness.load import steady
from harness.power.host_and_node import host_and_node_fields
from harness.power.merge import read_merged
from harness.power.point_power import PointPower, point_power
from harness.power.records import Metering
from harness.power.stream import Stream, read_stream
from harness.records import ClientHealth, Configuration, NoWindow, PointResult, Samples, Window, read_counters
from harness.rundir import AttemptDir, PointDir, SweepDir
from harness.samplefile import read_meta, sample_batches
from harness.spec import Point, Run, Sweep, WindowSpec, Workload

POWER_WINDOW_S = 60.0
"""Shortest window where power is read, if the cap allows it: what 0.1 s at an edge may hide is under 0.2 % of it."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one measurement that the samples themselves do not hold; kept in the parquet file's metadata.

    Attributes:
        attempt: which start of the server.
        started: UTC, ISO 8601.
        prompts: what the prompt stream says of itself; `hash` must be equal in both arms.
        aborted: None, or why the load was given up.
        health: how well the client kept up.
        counter_failures: readings of the server's counters that failed, as they were said.
        metering: which GPUs were metered; None where nothing was to be.
        power_required: whether a point without good power figures is invalid.
        speed: the emulator's seconds in one of the client's; all times of the samples are the emulator's.
    """

    attempt: int
    started: str
    prompts: dict[str, object]
    aborted: str | None = None
    health: ClientHealth | None = None
    counter_failures: tuple[str, ...] = ()
    metering: Metering | None = None
    power_required: bool = False
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Rescored:
    """What `rescore` did."""

    points: int
    changed: int


def measured_facts(files: PointDir) -> Measured:
    """The facts beside a point's samples.

    Raises:
        ResultsError: the file is not ours.
    """
    try:
        return msgspec.convert(read_meta(files.requests).get("measured"), Measured)
    except msgspec.ValidationError as error:
        raise ResultsError(f"{files.requests}: {error}; delete the point's folder and run again") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _RawPoint:
    """A point that has been measured, and where its raw files lie."""

    sweep: Sweep
    results: SweepDir
    point: Point
    files: PointDir
    attempt: AttemptDir
    facts: Measured

    @classmethod
    def of(cls, sweep: Sweep, results: SweepDir, point: Point) -> "_RawPoint":
        run = results.run(point.run.key)
        files = run.point(point.folder)
        facts = measured_facts(files)
        return cls(
            sweep=sweep, results=results, point=point, files=files, attempt=run.attempt(facts.attempt), facts=facts
        )

    def batches(self) -> Iterator[Samples]:
        """Its samples, read anew."""
        return sample_batches(self.files.requests)


def score_point(sweep: Sweep, results: SweepDir, point: Point) -> PointResult:
    """Score a point from its raw files and write its point.json."""
    raw = _RawPoint.of(sweep, results, point)
    evidence = _evidence(raw, _window(raw))
    verdicts = checks.judge(evidence, power_required=raw.facts.power_required)
    result = PointResult(
        identity=_identity(raw, evidence),
        estimates=evidence.score.estimates,
        blocks=evidence.score.blocks,
        stamps=_stamps(sweep, raw.attempt, raw.facts),
        invalid=verdicts.invalid,
        warnings=verdicts.warnings,
    )
    _write(raw, result, evidence.window, verdicts)
    return result


def _window(raw: _RawPoint) -> Window | NoWindow:
    return steady.find_window(
        raw.batches,
        concurrency=raw.point.concurrency,
        rate=raw.point.rate,
        spec=window_spec(raw.sweep, raw.facts.metering),
        target_pct=raw.sweep.target_half_width_pct,
    )


def _evidence(raw: _RawPoint, window: Window | NoWindow) -> checks.Evidence:
    sweep, results, point, facts = raw.sweep, raw.results, raw.point, raw.facts
    counters = list(read_counters(raw.files.engine)) if raw.files.engine.exists() else []
    power = _power(raw.files, raw.attempt, facts.metering, window)
    return checks.Evidence(
        point=point,
        score=metrics.score(point, raw.batches, counters, window, power=power),
        window=window,
        configuration=_configuration(raw.attempt),
        prompt_hash=facts.prompts.get("hash"),
        expected_prompt_hash=expected_prompt_hash(sweep, results),
        aborted=facts.aborted,
        demo=sweep.demo,
        health=facts.health,
        power=power,
        answers_differ=_answers_differ(results, point, raw.attempt),
        answers_unknown=_answers_unknown(sweep, results, point, raw.attempt),
    )


def _write(raw: _RawPoint, result: PointResult, window: Window | NoWindow, verdicts: checks.Verdicts) -> None:
    raw.files.finish(
        result.row(),
        measured=msgspec.to_builtins(raw.facts),
        window=msgspec.to_builtins(window),
        details=dict(verdicts.details),
    )


def rescore(folder: Path) -> Rescored:
    """Compute every row of a results folder anew.

    Raises:
        ResultsError: the folder holds no sweep of ours.
    """
    results = SweepDir(folder)
    sweep = config.load(results.locked())
    with results.held():
        before = _rows(results)
        points = [p for p in ladder.points(sweep, results) if results.run(p.run.key).point(p.folder).measured]
        for point in points:
            score_point(sweep, results, point)
        results.rebuild()
        after = _rows(results)
    return Rescored(points=len(points), changed=sum(after[key] != before.get(key) for key in after))


def window_spec(sweep: Sweep, metering: Metering | None) -> WindowSpec:
    """How long a point is measured: longer where power is, for the sensors' own delay at both edges.

    A cap below that is the user's own choice of a shorter window.
    """
    if sweep.demo or metering is None or not metering.asked or sweep.window.max_s <= POWER_WINDOW_S:
        return sweep.window
    return sweep.window.model_copy(update={"min_s": max(sweep.window.min_s, POWER_WINDOW_S)})


def expected_prompt_hash(sweep: Sweep, results: SweepDir) -> object:
    """The prompt stream's hash in the sweep's first measured point: all others must have the same."""
    for point in ladder.points(sweep, results):
        files = results.run(point.run.key).point(point.folder)
        if files.measured:
            return measured_facts(files).prompts.get("hash")
    return None


def _rows(results: SweepDir) -> dict[Path, object]:
    return {files.path: read_json(files.point).get("row") for files in results.done()}


def _power(
    files: PointDir, attempt: AttemptDir, metering: Metering | None, window: Window | NoWindow
) -> PointPower | None:
    if metering is None or isinstance(window, NoWindow):
        return None
    return point_power(
        metering,
        read_merged(files.power, metering.nodes),
        window,
        bare=read_merged(attempt.idle_bare, metering.nodes),
        loaded=read_merged(attempt.idle_loaded, metering.nodes),
    )


def _beside(files: PointDir, metering: Metering | None, window: Window | NoWindow) -> Mapping[str, object]:
    """Power of the host and the node; no fields where nobody looked for them."""
    said = {} if metering is None else metering.beside
    streams = {name: _stream(files.power.with_name(f"{name}.jsonl")) for name in said}
    return host_and_node_fields(said, streams, window)


def _stream(path: Path) -> Stream | None:
    return read_stream(path) if path.exists() else None


def score_answers_anew(sweep: Sweep, results: SweepDir, points: Iterable[Point]) -> bool:
    """Score points again of whose answers other things are known now than when their rows were written.

    Returns:
        Whether a row was written; points.jsonl is left as it is.
    """
    stale = [point for point in points if _is_stale(sweep, results, point)]
    for point in stale:
        score_point(sweep, results, point)
    return bool(stale)


def _is_stale(sweep: Sweep, results: SweepDir, point: Point) -> bool:
    run = results.run(point.run.key)
    files = run.point(point.folder)
    if not (files.done and files.measured):
        return False
    attempt = run.attempt(measured_facts(files).attempt)
    details = read_json(files.point).get("details")
    return not isinstance(details, dict) or (details.get("accuracy_differs"), details.get("accuracy_unknown")) != (
        _answers_differ(results, point, attempt),
        _answers_unknown(sweep, results, point, attempt),
    )


def _answers_differ(results: SweepDir, point: Point, attempt: AttemptDir) -> str | None:
    evaluated = lm_eval.newest(results.run(point.run.key))
    if evaluated is not None and evaluated.below:
        return evaluated.below
    found = agreement.agreement_of(results, point.run, attempt)
    if found is None or not found.differs:
        return None
    return f"MTP's answers go with Off's for {found.mtp:.0%} of their length, Off's with each other for {found.off:.0%}"


def _answers_unknown(sweep: Sweep, results: SweepDir, point: Point, attempt: AttemptDir) -> str | None:
    """Why nothing tells whether its answers are right; None as well while it may still be told."""
    reasons = (_task_unknown(sweep, results, point), _agreement_unknown(sweep, results, point.run, attempt))
    return "; ".join(filter(None, reasons)) or None


def _agreement_unknown(sweep: Sweep, results: SweepDir, run: Run, attempt: AttemptDir) -> str | None:
    """Why MTP can't be set beside Off, once Off's points are done: a harness that was killed asks no second time."""
    measured = {each.key for each in sweep.all_runs()}
    if run.mtp.forced_acceptance_length is not None or run.baseline.key not in measured:
        return None
    return agreement.lacking(results, run, attempt) if _is_done(sweep, results, run.baseline) else None


def _task_unknown(sweep: Sweep, results: SweepDir, point: Point) -> str | None:
    """Why a task that was asked for has no score; None as well while one may still come."""
    asked = lm_eval.evaluation_of(sweep, point.run)
    if asked is None:
        return None
    evaluated = lm_eval.newest(results.run(point.run.key))
    if evaluated is not None:
        return evaluated.reason and f"{evaluated.task}: {evaluated.reason}"
    return f"{asked.task}: was put to none of its servers" if _is_done(sweep, results, point.run) else None


def _is_done(sweep: Sweep, results: SweepDir, run: Run) -> bool:
    folders = [point.folder for point in ladder.points(sweep, results) if point.run.key == run.key]
    return all(results.run(run.key).point(folder).done for folder in folders)


def _configuration(attempt: AttemptDir) -> Configuration | None:
    if not attempt.configuration.exists():
        return None
    return msgspec.convert(read_json(attempt.configuration), Configuration)


def _stamps(sweep: Sweep, attempt: AttemptDir, facts: Measured) -> tuple[str, ...]:
    recorded = read_json(attempt.argv).get("stamps", [])
    assert isinstance(recorded, list)
    hurried = () if facts.speed == 1.0 else (f"speed-{facts.speed:g}",)
    return (*recorded, *hurried, *(("demo",) if sweep.demo else ()))


def _open_loop(point: Point) -> Mapping[str, object]:
    """What names the load of an open loop; no fields in a closed one."""
    return {} if point.arrivals is None else {"rate": point.rate, "arrivals": point.arrivals.label}


def _identity(raw: _RawPoint, evidence: checks.Evidence) -> Mapping[str, object]:
    """What a row says beside its numbers: what was asked for, what served it, and what the power figures cover."""
    facts, provenance = raw.facts, read_json(raw.attempt.provenance)
    return {
        "sweep": raw.sweep.name,
        **_run_identity(raw.point.run, raw.point.workload, provenance.get("engine_version")),
        "concurrency": raw.point.concurrency,
        **_open_loop(raw.point),
        "launch": raw.point.launch,
        "attempt": facts.attempt,
        "node": provenance.get("node"),
        "started": facts.started,
        "emulated": raw.point.run.engine.name == "emulator",
        "prompt_hash": facts.prompts.get("hash"),
        "demo": raw.sweep.demo,
        "power_scope": evidence.power.scope if evidence.power else None,
        **_beside(raw.files, facts.metering, evidence.window),
    }


def _run_identity(run: Run, workload: Workload, engine_version: object) -> Mapping[str, object]:
    return {
        "run_key": run.key,
        "pair_key": run.baseline.key,
        "workload": workload.name,
        "model": run.model.name,
        "gpu": run.gpu.name,
        "gpus": run.parallel.gpus,
        "precision": run.precision,
        "engine": run.engine.name,
        "engine_version": engine_version,
        **run.parallel.model_dump(),
        "draft_tokens": run.mtp.draft_tokens,
        "forced_acceptance_length": run.mtp.forced_acceptance_length,
        "isl": workload.isl,
        "osl": workload.osl,
    }

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
from harness.spec import Point, Run, Sweep, WindowSpec

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


def score_point(sweep: Sweep, results: SweepDir, point: Point) -> PointResult:
    """Score a point from its raw files and write its point.json."""
    run = results.run(point.run.key)
    files = run.point(point.folder)
    facts = measured_facts(files)
    attempt = run.attempt(facts.attempt)
    counters = list(read_counters(files.engine)) if files.engine.exists() else []

    def batches() -> Iterator[Samples]:
        return sample_batches(files.requests)

    window = steady.find(
        batches,
        concurrency=point.concurrency,
        rate=point.rate,
        spec=window_spec(sweep, facts.metering),
        target_pct=sweep.target_half_width_pct,
    )
    power = _power(files, attempt, facts.metering, window)
    scored = metrics.score(point, batches, counters, window, power=power)
    verdicts = checks.judge(
        point,
        scored,
        window,
        configuration=_configuration(attempt),
        prompt_hash=facts.prompts.get("hash"),
        expected_prompt_hash=expected_prompt_hash(sweep, results),
        aborted=facts.aborted,
        demo=sweep.demo,
        health=facts.health,
        power=power,
        power_required=facts.power_required,
        answers_differ=_answers_differ(results, point, attempt),
        answers_unknown=_answers_unknown(sweep, results, point),
    )
    result = PointResult(
        identity={
            **_identity(sweep, point, facts, attempt),
            "power_scope": power.scope if power else None,
            **_beside(files, facts.metering, window),
        },
        estimates=scored.estimates,
        blocks=scored.blocks,
        stamps=_stamps(sweep, attempt, facts),
        invalid=verdicts.invalid,
        warnings=verdicts.warnings,
    )
    files.finish(
        result.row(),
        measured=msgspec.to_builtins(facts),
        window=msgspec.to_builtins(window),
        details=dict(verdicts.details),
    )
    return result


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
    said = read_json(files.point).get("details")
    return not isinstance(said, dict) or (said.get("accuracy_differs"), said.get("accuracy_unknown")) != (
        _answers_differ(results, point, attempt),
        _answers_unknown(sweep, results, point),
    )


def _answers_differ(results: SweepDir, point: Point, attempt: AttemptDir) -> str | None:
    evaluated = lm_eval.newest(results.run(point.run.key))
    if evaluated is not None and evaluated.below:
        return evaluated.below
    found = agreement.agreement_of(results, point.run, attempt)
    if found is None or not found.differs:
        return None
    return f"MTP's answers go with Off's for {found.mtp:.0%} of their length, Off's with each other for {found.off:.0%}"


def _answers_unknown(sweep: Sweep, results: SweepDir, point: Point) -> str | None:
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


def _identity(sweep: Sweep, point: Point, facts: Measured, attempt: AttemptDir) -> Mapping[str, object]:
    run, workload = point.run, point.workload
    provenance = read_json(attempt.provenance)
    return {
        "sweep": sweep.name,
        "run_key": run.key,
        "pair_key": run.baseline.key,
        "workload": workload.name,
        "model": run.model.name,
        "gpu": run.gpu.name,
        "gpus": run.parallel.gpus,
        "precision": run.precision,
        "engine": run.engine.name,
        "engine_version": provenance.get("engine_version"),
        **run.parallel.model_dump(),
        "draft_tokens": run.mtp.draft_tokens,
        "forced_acceptance_length": run.mtp.forced_acceptance_length,
        "isl": workload.isl,
        "osl": workload.osl,
        "concurrency": point.concurrency,
        **_open_loop(point),
        "launch": point.launch,
        "attempt": facts.attempt,
        "node": provenance.get("node"),
        "started": facts.started,
        "emulated": run.engine.name == "emulator",
        "prompt_hash": facts.prompts.get("hash"),
        "demo": sweep.demo,
    }

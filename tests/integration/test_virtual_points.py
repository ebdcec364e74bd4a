"""Points in virtual time, scored from their files as any other: clean ones raise nothing.

What no server can bring about, because it is the client's or the sweep's, is brought about here.
"""

import math
from functools import cache

import msgspec
import pytest
from toys import MODEL

from harness.atomic_files import write_json
from harness.config import dump, load_file, packaged_configs
from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.profile import Profile
from harness.emulator.virtual_load import closed_loop
from harness.load.steady import StopRule
from harness.records import ClientHealth, write_jsonl
from harness.rundir import SweepDir
from harness.samplefile import write_samples
from harness.scoring import Measured, score_point
from harness.spec import EngineSpec, Gpu, Sweep, Vendor, WindowSpec, Workload, expand

CONCURRENCIES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
GPU = Gpu(name="gpu", label="GPU", vendor=Vendor.NVIDIA, arch="any", memory_gb=80, source="made up")
WELL = ClientHealth(busy=0.1, lateness_p50_s=0.0, lateness_p99_s=0.001, lateness_max_s=0.002)


def sweep_of(**more):
    asked = {"mtp": (0, 3), "concurrency": CONCURRENCIES} | more
    return Sweep(
        name="virtual",
        model=MODEL,
        gpu=GPU,
        precision="bf16",
        engine=EngineSpec(name="emulator"),
        max_running_requests=64,
        workload=Workload(name="short", isl=64, osl=96),
        window=WindowSpec(min_s=30, max_s=120),
        **asked,
    )


@cache
def profile():
    return load_file(packaged_configs() / "emulator" / "h100-like.yaml", Profile)


def observe(sweep, point, noise=None):
    """The point's samples and counters, stopped as a real one is."""
    mtp = point.run.mtp
    rule = StopRule(point.concurrency, sweep.window, sweep.target_half_width_pct)
    return closed_loop(
        profile(),
        concurrency=point.concurrency,
        isl=point.workload.isl,
        osl=point.workload.osl,
        duration_s=300.0,
        speculation=Speculation(mtp.draft_tokens) if mtp.draft_tokens else OFF,
        noise=noise,
        stop=rule.look,
        seed=point.concurrency,
    )


def row_of(folder, sweep, point, seen, *, health=WELL):
    """The row that comes of a point's files."""
    results = SweepDir(folder)
    results.lock.write_text(dump(sweep))
    run = results.run(point.run.key)
    if not run.attempts():
        attempt = run.new_attempt()
        write_json(attempt.argv, {"argv": [], "env": {}, "stamps": ["emulated"]})
        write_json(attempt.provenance, {"engine_version": "any", "node": "virtual"})
    files = run.point(point.folder)
    files.path.mkdir()
    write_jsonl(files.engine, seen.counters)
    facts = Measured(attempt=1, started="2026-01-01T00:00:00+00:00", prompts={"hash": "same"}, health=health)
    write_samples(files.requests, seen.samples, {"measured": msgspec.to_builtins(facts)})
    return score_point(sweep, results, point)


def test_twenty_clean_points_raise_nothing(tmp_path):
    sweep = sweep_of()
    rows = [row_of(tmp_path, sweep, point, observe(sweep, point)) for point in expand(sweep)]

    assert 20 == len(rows)
    assert {((), ())} == {(row.invalid, row.warnings) for row in rows}
    assert {("emulated",)} == {row.stamps for row in rows}


def test_a_point_less_precise_than_asked_is_capped(tmp_path):
    sweep = sweep_of(mtp=(3,), concurrency=(4,), target_half_width_pct=0.01)
    (point,) = expand(sweep)
    row = row_of(tmp_path, sweep, point, observe(sweep, point))

    assert ((), ("capped",)) == (row.invalid, row.warnings)


def test_a_client_near_the_limit_of_its_core_voids_the_point(tmp_path):
    sweep = sweep_of(mtp=(0,), concurrency=(4,))
    (point,) = expand(sweep)
    row = row_of(tmp_path, sweep, point, observe(sweep, point), health=msgspec.structs.replace(WELL, busy=0.9))

    assert (("client_bound",), ()) == (row.invalid, row.warnings)


class Drift:
    """Steps that take longer and longer, from the first second on."""

    def __init__(self, share_a_second):
        self._share = share_a_second

    def slowness(self, _seed):
        return lambda t_s: 1 + self._share * t_s


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3], ids=str)
@pytest.mark.parametrize("drafts", [0, 3], ids=["off", "mtp3"])
def test_a_server_that_slows_down_is_not_steady(tmp_path, share, drafts):
    sweep = sweep_of(mtp=(drafts,), concurrency=(8,))
    (point,) = expand(sweep)
    row = row_of(tmp_path, sweep, point, observe(sweep, point, Drift(share)))

    assert "not_steady" in row.invalid


class Swing:
    """Steps that take longer and shorter by turns."""

    def __init__(self, share, period_s):
        self._share, self._period_s = share, period_s

    def slowness(self, _seed):
        return lambda t_s: 1 + self._share * math.sin(2 * math.pi * t_s / self._period_s)


@pytest.mark.parametrize("target_pct", [None, 3.0])
def test_a_server_that_swings_too_slowly_to_be_averaged_is_not_steady(tmp_path, target_pct):
    sweep = sweep_of(mtp=(0,), concurrency=(8,), target_half_width_pct=target_pct)
    (point,) = expand(sweep)
    row = row_of(tmp_path, sweep, point, observe(sweep, point, Swing(0.1, 60.0)))

    assert ("not_steady",) == row.invalid


def test_a_server_that_swings_is_measured_until_four_swings_are_averaged(tmp_path):
    sweep = sweep_of(mtp=(0,), concurrency=(8,))
    (point,) = expand(sweep)
    row = row_of(tmp_path, sweep, point, observe(sweep, point, Swing(0.1, 16.0)))

    assert () == row.invalid
    assert row.estimates["window_s"].value > 4 * 16.0

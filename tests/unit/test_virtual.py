"""A sweep in virtual time goes the whole way: rows, comparison, and resuming."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from harness import config
from harness.errors import UserError
from harness.paths import packaged_configs
from harness.samplefile import read_samples
from harness.scoring import rescore
from harness.sweep import run_sweep

SWEEP = Path("quickstart-emulator")


async def rows_of(folder, sweep):
    rows = await run_sweep(sweep, folder, in_virtual_time=True)
    assert all(not row["invalid"] for row in rows), [row["invalid"] for row in rows]
    return {(row["draft_tokens"], row["concurrency"]): row for row in rows}


async def test_every_point_is_valid_and_stamped_and_mtp_has_its_acceptance(tmp_path):
    rows = await rows_of(tmp_path / "results", config.load(SWEEP))

    assert {(drafts, users) for drafts in (0, 3) for users in (1, 8, 64)} == rows.keys()
    assert {True} == {row["emulated"] for row in rows.values()}
    assert all("emulated" in row["stamps"] for row in rows.values())
    assert 3.39 == pytest.approx(rows[3, 64]["acceptance_length"], rel=0.01)
    assert rows[0, 1]["interactivity"] < rows[3, 1]["interactivity"]


async def test_a_second_call_measures_nothing_again(tmp_path):
    sweep = config.load(SWEEP)
    first = await rows_of(tmp_path, sweep)

    assert first == await rows_of(tmp_path, sweep)


async def test_launches_are_added_to_those_that_are_there(tmp_path):
    sweep = config.load(SWEEP)
    first = await run_sweep(sweep, tmp_path, in_virtual_time=True)
    all_rows = await run_sweep(sweep.model_copy(update={"launches": 2}), tmp_path, in_virtual_time=True)

    assert 2 * len(first) == len(all_rows)
    assert first == [row for row in all_rows if row["launch"] == 0]


async def test_a_real_engine_has_no_virtual_time(tmp_path):
    with pytest.raises(UserError, match="vllm is a real engine; add --engine emulator"):
        await run_sweep(config.load(Path("quickstart")), tmp_path, in_virtual_time=True)


async def test_a_system_without_a_profile_runs_on_its_roofline(tmp_path):
    asked = config.load(Path("dsr1-fp8-b200-8k1k-vllm"), engine="emulator")
    small = {"concurrency": (1,), "launches": 1, "window": {"min_s": 1, "max_s": 30}, "target_half_width_pct": None}
    workload = asked.workload.model_copy(update={"isl": 64, "osl": 32})
    sweep = type(asked).model_validate(asked.model_dump() | small | {"workload": workload.model_dump()})
    await rows_of(tmp_path, sweep)

    argv = json.loads(next(tmp_path.glob("*off*/attempt-1/argv.json")).read_text())["argv"]

    assert "derived from the data sheet of b200" in argv[argv.index("--profile") + 1]


@pytest.fixture
def opened(tmp_path):
    """Writes the quickstart's sweep with another load and gives it."""
    closed = (packaged_configs() / "sweeps" / f"{SWEEP}.yaml").read_text()
    (tmp_path / "t.jsonl").write_text('{"timestamp": 0}\n{"timestamp": 20}\n{"timestamp": 25}\n{"timestamp": 60}\n')

    def load(text):
        file = tmp_path / "open.yaml"
        file.write_text(re.sub("concurrency:.*", text, closed))
        return config.load(file)

    return load


@pytest.mark.parametrize(
    ("load", "label"),
    [
        ("rate: [20, 50]", "poisson"),
        ("rate: [20, 50]\narrivals: {burstiness: 0.25}", "gamma 0.25"),
        ("rate: [20, 50]\narrivals: constant", "constant"),
        ("arrivals: {trace: {file: ./t.jsonl, unit: ms}}", "trace 02661ae126701e57"),
    ],
)
async def test_an_open_loop_goes_the_whole_way(tmp_path, opened, load, label):
    sweep, folder = opened(load), tmp_path / "results"
    rows = await run_sweep(sweep, folder, in_virtual_time=True)
    before = (folder / "points.jsonl").read_text()

    assert [[]] == list({tuple(row["invalid"]): row["invalid"] for row in rows}.values())
    assert {(label, None)} == {(row["arrivals"], row["concurrency"]) for row in rows}
    assert set(sweep.rate) == {row["rate"] for row in rows}
    assert {0.0} == {row["send_late_s"] for row in rows}
    assert all(row["ttft_due_s"] == row["ttft_s"] and row["e2e_due_s"] == row["e2e_s"] for row in rows)
    assert 0 == rescore(folder).changed
    assert before == (folder / "points.jsonl").read_text()


async def test_both_arms_of_an_open_loop_are_sent_the_same_schedule(tmp_path, opened):
    await run_sweep(opened("rate: 50"), tmp_path / "results", in_virtual_time=True)
    due = [
        np.sort(read_samples(file).due_ns)[:100].tolist() for file in tmp_path.glob("results/*/r50-l0/requests.parquet")
    ]

    assert 2 == len(due)
    assert due[0] == due[1]


async def test_an_overloaded_server_is_said_to_be(tmp_path, opened):
    rows = await run_sweep(opened("rate: 5000"), tmp_path / "results", in_virtual_time=True)

    assert all("overloaded" in row["invalid"] for row in rows)

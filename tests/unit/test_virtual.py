"""A sweep in virtual time goes the whole way: rows, comparison, and resuming."""

import json
from pathlib import Path

import pytest

from harness import config
from harness.errors import UserError
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

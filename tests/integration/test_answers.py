"""An arm that answers otherwise than Off is found out on the very servers measured, and an honest one is not."""

import json

import pytest
from toys import CPU, MODEL

from harness.spec import EngineSpec, Sweep, WindowSpec, Workload
from harness.sweep import run_sweep

QUICK = """
fixed_s: 0.004
per_position_s: 0.00001
per_context_token_s: 0.0
per_prefill_token_s: 0.000001
per_draft_s: 0.0
source: made up, quick
"""


def sweep_of(folder, *args):
    (folder / "quick.yaml").write_text(QUICK)
    return Sweep(
        name="answers",
        model=MODEL,
        gpu=CPU,
        precision="bf16",
        engine=EngineSpec(name="emulator", args=("--profile", str(folder / "quick.yaml"), *args)),
        max_running_requests=16,
        mtp=(0, 2),
        workload=Workload(name="short", isl=32, osl=24),
        concurrency=(2,),
        window=WindowSpec(min_s=2, max_s=4),
    )


@pytest.fixture
async def rows(tmp_path, request):
    """Rows of Off and MTP, by draft tokens."""
    found = await run_sweep(sweep_of(tmp_path, *request.param), tmp_path / "results")
    return {row["draft_tokens"]: row for row in found}


@pytest.mark.parametrize("rows", [()], ids=["honest"], indirect=True)
async def test_an_honest_pair_is_asked_and_agrees(rows, tmp_path):
    asked = sorted((tmp_path / "results").glob("*/attempt-1/answers.jsonl"))
    told = [[json.loads(line) for line in file.read_text().splitlines()] for file in asked]

    assert [["before", "after"]] * 2 == [[answers["when"] for answers in start] for start in told]
    assert 1 == len({json.dumps(answers["answers"]) for start in told for answers in start})
    assert not any("accuracy_differs" in row["invalid"] for row in rows.values())


@pytest.mark.parametrize("rows", [("--fault", "lossy=0.8")], ids=["lossy"], indirect=True)
async def test_an_arm_that_changes_answers_is_void_and_off_is_not(rows):
    assert "accuracy_differs" in rows[2]["invalid"]
    assert "accuracy_differs" not in rows[0]["invalid"]


@pytest.mark.parametrize("rows", [("--fault", "lossy=0.8@3")], ids=["later"], indirect=True)
async def test_an_arm_that_changes_answers_under_load_is_found_afterwards(rows):
    assert "accuracy_differs" in rows[2]["invalid"]

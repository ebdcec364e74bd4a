"""The committed emulation of five systems: its tables follow from its rows, its rows from the profiles."""

import asyncio
import importlib.util
import json
from pathlib import Path

import pytest

from analysis.outputs import compare_text
from harness import config
from harness.sweep import run_sweep

ROOT = Path(__file__).parents[2]
EMULATED = ROOT / "results" / "emulated"
SYSTEMS = sorted(path.parent for path in EMULATED.glob("*/points.jsonl"))
CHEAPEST = "c4-l0"
SAME = ("interactivity", "total_tok_s_gpu", "output_tok_s_gpu", "ttft_s", "e2e_s", "acceptance_length")


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "points.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("emulated_error", ROOT / "scripts/benchmarks/emulated_error.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_five_are_there(script):
    assert sorted(script.SYSTEMS) == [path.name for path in SYSTEMS]


def test_the_tables_beside_the_published_ones_follow_from_the_rows(script):
    assert (EMULATED / "README.md").read_text() == script.document(EMULATED)


@pytest.mark.parametrize("folder", SYSTEMS, ids=lambda path: path.name)
def test_compare_reproduces_every_table(folder):
    text, compared = compare_text([folder])

    assert compared
    assert (folder / "comparison.md").read_text() == text


@pytest.mark.parametrize("folder", SYSTEMS, ids=lambda path: path.name)
def test_every_row_is_valid_and_says_that_it_is_emulated(folder):
    found = rows(folder)

    assert {True} == {row["emulated"] and "emulated" in row["stamps"] for row in found}
    assert {()} == {tuple(row["invalid"]) for row in found}


@pytest.mark.parametrize("folder", SYSTEMS, ids=lambda path: path.name)
def test_a_point_of_each_arm_comes_out_again_from_todays_profile_and_sweep(folder, tmp_path):
    sweep = config.load(Path(folder.name), engine="emulator")
    asyncio.run(run_sweep(sweep, tmp_path, only=f"*/{CHEAPEST}", in_virtual_time=True))
    committed = {row["run_key"]: row for row in rows(folder) if (row["concurrency"], row["launch"]) == (4, 0)}

    again = rows(tmp_path)
    assert committed.keys() == {row["run_key"] for row in again}
    for row in again:
        for name in SAME:
            # The last binary digits of a sum hang on the vector instructions of the machine.
            value = committed[row["run_key"]][name]
            assert row[name] == (None if value is None else pytest.approx(value, rel=1e-9)), name

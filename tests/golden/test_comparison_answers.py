"""A whole results folder compared: Markdown, CSV and JSON as files, and the page that a mistake would show on.

The folder `comparison/results` is what the builder of tests/conftest.py writes for `SWEEP`. After reading why they
differ, write the answers anew: `mtpbench compare tests/golden/comparison/results --prices 2026-07-13 --format md`.
"""

import json
from pathlib import Path

import pytest

from analysis.compare import compare_paths, parse_options
from analysis.tables import render

FOLDER = Path(__file__).parent / "comparison"


@pytest.fixture(scope="module")
def report():
    return compare_paths([FOLDER / "results"], parse_options(prices="2026-07-13"))


def test_the_results_are_what_the_builder_writes(synthetic, tmp_path):
    short = synthetic.Arm(draft_tokens=1, tokens_per_step=1.7, step_s=0.0115, step_s_per_user=0.0003)
    long = synthetic.Arm(draft_tokens=3, tokens_per_step=2.4, step_s=0.014, step_s_per_user=0.0008)
    sweep = synthetic.Sweep(arms=(synthetic.OFF, short, long), concurrencies=(1, 4, 16, 64), name="golden")
    written = sweep.write(tmp_path / "results")
    rows = (written / "points.jsonl").read_text().splitlines()
    broken = json.loads(rows[-1]) | {"invalid": ["not_steady"]}
    (written / "points.jsonl").write_text("\n".join([*rows[:-1], json.dumps(broken)]) + "\n")

    made, kept = (
        {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
        for folder in (written, FOLDER / "results")
    )

    assert kept == made


@pytest.mark.parametrize("output_format", ["md", "csv"])
def test_the_answer_is_the_file(report, output_format):
    assert (FOLDER / f"comparison.{output_format}").read_text() == render(report, output_format)


def test_the_json_answer_is_the_file(report):
    assert json.loads((FOLDER / "comparison.json").read_text()) == json.loads(render(report, "json"))

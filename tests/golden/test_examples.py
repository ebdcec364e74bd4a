"""The committed runs: their rows follow from their raw samples, their tables from their rows."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from analysis.compare import Report
from analysis.outputs import compare_text
from analysis.report import page
from harness.samplefile import read_samples
from harness.scoring import rescore

RESULTS = Path(__file__).parents[2] / "results"
EXAMPLES = sorted(path.parent for path in (RESULTS / "examples").glob("*/points.jsonl"))
TWO_ENGINES = RESULTS / "examples" / "two-engines"
CROSSOVERS = [RESULTS / "examples" / f"crossover-{name}-cpu" for name in ("sglang", "vllm-fp32")]
PAGES = [
    TWO_ENGINES / "page.html",
    RESULTS / "published" / "page.html",
    RESULTS / "published" / "as-published.html",
    *(
        path.parent / "page.html"
        for kind in ("examples", "hardware", "emulated")
        for path in (RESULTS / kind).glob("*/points.jsonl")
    ),
]


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.name)
def example(request, tmp_path) -> tuple[Path, Path]:
    copied = tmp_path / request.param.name
    shutil.copytree(request.param, copied)
    return request.param, copied


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "points.jsonl").read_text().splitlines()]


def test_score_reproduces_every_row(example):
    committed, copied = example
    for point in copied.glob("*/*/point.json"):
        point.unlink()
    (copied / "points.jsonl").unlink()

    done = rescore(copied)

    assert done.points == len((committed / "points.jsonl").read_text().splitlines())
    for expected, scored in zip(rows(committed), rows(copied), strict=True):
        assert expected.keys() == scored.keys()
        for name, value in expected.items():
            # The last binary digit of a sum hangs on the vector instructions of the machine.
            same = pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
            assert same == scored[name], name


def test_compare_reproduces_every_table(example):
    committed, copied = example

    for output_format in ("md", "csv", "json"):
        text, compared = compare_text([copied], output_format=output_format)
        assert compared
        assert (committed / f"comparison.{output_format}").read_text() == text


def test_no_folder_of_the_machine_and_no_key_is_in_a_committed_run(example):
    committed, _ = example
    text = "".join(
        path.read_text(errors="replace") for path in committed.rglob("*") if path.suffix in {".json", ".jsonl", ".log"}
    )

    assert "/root/" not in text
    assert "/home/" not in text
    assert "Bearer" not in text


def test_there_are_examples():
    expected = {"crossover-sglang-cpu", "crossover-vllm-cpu", "crossover-vllm-fp32-cpu", "tiny-vllm-cpu"}

    assert expected == {path.name for path in EXAMPLES}


def test_two_engines_stand_side_by_side_and_are_never_one_pair():
    text, _ = compare_text(CROSSOVERS, output_format="md")
    pairs = json.loads((TWO_ENGINES / "comparison.json").read_text())["pairs"]

    assert (TWO_ENGINES / "comparison.md").read_text() == text
    assert ["sglang", "sglang", "vllm", "vllm"] == sorted(pair["key"].split("/")[4] for pair in pairs)


def test_at_one_user_chunks_hold_what_the_counters_say_was_accepted():
    folder = next(path for path in EXAMPLES if path.name == "crossover-vllm-cpu")
    rows = [json.loads(line) for line in (folder / "points.jsonl").read_text().splitlines()]
    for row in (row for row in rows if row["concurrency"] == 1 and row["draft_tokens"]):
        samples = read_samples(folder / row["run_key"] / f"c1-l{row['launch']}" / "requests.parquet")
        good = np.flatnonzero((samples.error == "") & ~samples.starter)
        bounds = zip(samples.offsets[good], samples.offsets[good + 1], strict=True)
        # The first chunk is the prefill's; the last step is cut off at the OSL, whatever it accepted.
        steps = np.concatenate([np.diff(samples.chunk_tokens[first:end])[:-1] for first, end in bounds])

        assert row["acceptance_length"] == pytest.approx(steps.mean(), rel=0.01)


@pytest.mark.parametrize("committed", PAGES, ids=lambda path: str(path.relative_to(RESULTS)))
def test_a_page_of_today_lies_beside_the_rows(committed):
    """`scripts/rebuild_examples` writes them; figures are held by the tables, and by the browser's tests."""
    style_and_script = re.compile("<style>.*?</style>|<script>.*?</script>", re.DOTALL)

    expected, found = (style_and_script.findall(text) for text in (page(Report((), (), (), ())), committed.read_text()))

    assert 2 == len(expected)
    assert expected == found

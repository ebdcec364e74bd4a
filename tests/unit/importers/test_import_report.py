"""Importing files: one points.jsonl, written whole or not at all, and an account of everything."""

import json

import pytest

from analysis.importers import import_files, read_files
from harness.errors import ResultsError

ROW = {
    "hw": "h100",
    "conc": 4,
    "framework": "sglang",
    "infmax_model_prefix": "dsr1",
    "precision": "fp8",
    "spec_decoding": "mtp",
    "disagg": False,
    "isl": 1024,
    "osl": 1024,
    "tp": 8,
    "tput_per_gpu": 100.0,
    "median_intvty": 50.0,
    "date": "2026-07-05",
}


@pytest.fixture
def files(tmp_path):
    def write(name, value):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return [
        write("a.json", [ROW, ROW | {"conc": None}, ROW | {"conc": 8, "date": "2026-06-01"}]),
        write("b.json", [ROW | {"spec_decoding": "none"}, ROW | {"hw": "b200"}, {"hello": 1}]),
        write("c.json", "{"),
    ]


def test_report_counts_names_and_lists_pairs(files, tmp_path):
    report = str(import_files(files, tmp_path / "out"))

    assert report.splitlines() == [
        f"{tmp_path / 'out' / 'points.jsonl'}: 4 rows, 3 of them usable",
        "  not used: 1 x conc is missing: a.json row 2",
        "  not used: 1 x no format that import knows (our own points.jsonl, InferenceX artifact, API answer, CSV or "
        "parquet, vllm bench serve, sglang.bench_serving): b.json row 3",
        "  not used: 1 x broken JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1): "
        "c.json",
        "  not used: 1 x an older run of a line that has a newer one: a.json row 3",
        "  dsr1 b200 fp8 1024/1024: 1 MTP, 0 Off",
        "  dsr1 h100 fp8 1024/1024: 1 MTP, 1 Off",
    ]


def test_long_lists_of_places_are_cut_and_counted(tmp_path):
    path = tmp_path / "many.json"
    path.write_text(json.dumps([ROW] + [ROW | {"conc": None}] * 9))

    assert "many.json row 7 and 3 more" in str(import_files([path], tmp_path))


def test_superseded_rows_stay_in_the_file_with_their_mark(files, tmp_path):
    written = import_files(files, tmp_path / "out").written
    rows = [json.loads(line) for line in written.read_text().splitlines()]

    assert [[], ["superseded"], [], []] == [row["invalid"] for row in rows]


def test_importing_an_import_gives_it_back(files, tmp_path):
    first = import_files(files, tmp_path / "one").written
    second = import_files([first], tmp_path / "two").written

    assert first.read_text() == second.read_text()


def test_nothing_is_written_when_no_row_is_usable(files, tmp_path):
    with pytest.raises(ResultsError, match="no usable row"):
        import_files(files[2:], tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_folder_that_can_not_be_written_is_one_line(files, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ResultsError, match="can't be written"):
        import_files(files, blocked / "out")


def test_a_measured_sweep_is_never_overwritten(files, tmp_path):
    (tmp_path / "sweep.lock.yaml").write_text("")
    with pytest.raises(ResultsError, match="holds a measured sweep"):
        import_files(files, tmp_path)


def test_no_scratch_file_is_left(files, tmp_path):
    import_files(files, tmp_path / "out")

    assert ["points.jsonl"] == [path.name for path in (tmp_path / "out").iterdir()]


OWN = {
    "schema": 1,
    "run_key": "r",
    "pair_key": "p",
    "model": "m",
    "gpu": "h100",
    "precision": "fp8",
    "engine": "vllm",
    "gpus": 1,
    "isl": 8,
    "osl": 8,
    "concurrency": 1,
    "draft_tokens": 0,
    "invalid": [],
    "interactivity": 10.0,
    "total_tok_s_gpu": 20.0,
    "blocks_interactivity": [9.0, 11.0],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "schema 2; this version reads schema 1"),
        ({"model": None}, "model is missing"),
        ({"gpus": 0}, "gpus is 0, not above 0"),
        ({"invalid": "no"}, "invalid is not a list"),
        ({"interactivity": None}, "interactivity is missing"),
        ({"extra": {"a": 1}}, "extra holds a nested value"),
    ],
)
def test_an_edited_row_of_ours_says_what_is_wrong(tmp_path, change, said):
    path = tmp_path / "points.jsonl"
    path.write_text(json.dumps(OWN | change))

    assert [said] == [fault.reason for fault in read_files([path]).unusable]


def test_an_invalid_row_of_ours_may_lack_its_numbers(tmp_path):
    path = tmp_path / "points.jsonl"
    path.write_text(json.dumps(OWN | {"interactivity": None, "invalid": ["not_steady"]}))

    found = read_files([path])

    assert (1, 0) == (len(found.rows), len(found.usable))

"""Containers: what a file holds is told by its bytes, and a broken one by one clear line."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.importers.read import read_records
from harness.errors import ResultsError

ROW = {"hw": "h100", "conc": 4}


def written(tmp_path, content, name="file.bin"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def fields(path):
    return [dict(record.fields) for record in read_records(path)]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([ROW]),
        json.dumps(ROW),
        json.dumps({"data": [ROW]}),
        "\n" + json.dumps([ROW], indent=2),
        "\ufeff" + json.dumps([ROW]),
        json.dumps(ROW) + "\n",
    ],
)
def test_json_is_read_in_every_wrapping(tmp_path, content):
    assert [ROW] == fields(written(tmp_path, content))


def test_json_lines_are_told_from_json_by_content(tmp_path):
    path = written(tmp_path, json.dumps(ROW) + "\n\n" + json.dumps({"hw": "b200"}) + "\n", "points.json")

    assert [ROW, {"hw": "b200"}] == fields(path)


def test_csv_is_read_whatever_the_file_is_called(tmp_path):
    path = written(tmp_path, "hw,conc\r\nh100,4\r\n", "rows.parquet")

    assert [{"hw": "h100", "conc": "4"}] == fields(path)


def test_parquet_is_read_whatever_the_file_is_called(tmp_path):
    path = tmp_path / "rows.csv"
    pq.write_table(pa.table({"hw": ["h100", None], "conc": [4, 8]}), path)

    assert [{"hw": "h100", "conc": 4}, {"hw": None, "conc": 8}] == fields(path)


def test_a_broken_line_does_not_take_the_others_with_it(tmp_path):
    path = written(tmp_path, json.dumps(ROW) + '\n{"hw": "b2\n' + json.dumps(ROW) + "\n[1]\n")
    records = read_records(path)

    assert [None, True, None, True] == [record.fault and bool(record.fault) for record in records]
    assert ["line 1", "line 2", "line 3", "line 4"] == [record.place for record in records]


def test_a_csv_row_of_another_width_is_named(tmp_path):
    record = read_records(written(tmp_path, "hw,conc\nh100,4,5\n"))[0]

    assert ("line 2", "3 columns where the header has 2") == (record.place, record.fault)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xff\xfe\x00", "neither text nor parquet"),
        (b"PAR1 and nothing else", "broken parquet"),
        (b'[{"hw": "h1', "broken JSON"),
        (b"{" * 100_000, "broken JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "broken JSON"),
        (b'{"rows": 3}x', "broken JSON"),
        (b"just words", "neither JSON, CSV"),
        (b"a,a\n1,2\n", "neither JSON, CSV"),
        (b'a,b\n"' + b"x" * 200_000, "broken CSV"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_line(tmp_path, content, said):
    path = written(tmp_path, content)
    with pytest.raises(ResultsError) as error:
        read_records(path)

    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_one_line(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ResultsError, match="can't be read"):
            read_records(path)

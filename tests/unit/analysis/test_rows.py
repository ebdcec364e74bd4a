"""Rows: what is read, what is refused, what is kept with a reason."""

import json

import pytest

from analysis.rows import load_table
from analysis.topology import Topology
from harness.errors import ResultsError


def edited(sweep, folder, change):
    rows = sweep.rows()
    change(rows)
    folder.mkdir(exist_ok=True)
    (folder / "points.jsonl").write_text(sweep.lines(rows))
    return load_table([folder])


def test_a_results_folder_gives_all_its_points(synthetic, tmp_path):
    table = load_table([synthetic.Sweep().write(tmp_path)])

    assert 24 == len(table.rows)
    assert () == table.unusable


def test_a_folder_of_results_folders_gives_them_all(synthetic, tmp_path):
    synthetic.Sweep().write(tmp_path / "one")
    synthetic.Sweep(workload="8k1k").write(tmp_path / "two")

    assert {"1k1k", "8k1k"} == {row.workload for row in load_table([tmp_path]).rows}


def test_the_same_results_given_twice_count_once(synthetic, tmp_path):
    folder = synthetic.Sweep().write(tmp_path)

    table = load_table([folder, folder / "points.jsonl"])

    assert 24 == len(table.rows)


def test_a_copy_of_a_results_folder_adds_no_launches(synthetic, tmp_path):
    sweep = synthetic.Sweep()

    table = load_table([sweep.write(tmp_path / "one"), sweep.write(tmp_path / "copy")])

    assert 24 == len(table.rows)
    assert 24 == len(table.unusable)


def test_a_copy_that_was_scored_again_adds_no_launches(synthetic, tmp_path):
    sweep = synthetic.Sweep()
    rescored = sweep.rows()
    for row in rescored:
        row["total_tok_s_gpu"] *= 1.0001
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "points.jsonl").write_text(sweep.lines(rescored))

    table = load_table([sweep.write(tmp_path / "one"), tmp_path / "copy"])

    assert (24, 24) == (len(table.rows), len(table.unusable))


def test_an_invalid_row_is_kept_with_its_reasons(synthetic, tmp_path):
    table = edited(synthetic.Sweep(), tmp_path, lambda rows: rows[5].update(invalid=["not_steady", "server_died"]))

    assert 23 == len(table.rows)
    assert ["not_steady; server_died"] == [left.reason for left in table.unusable]


def test_a_row_without_interactivity_says_why(synthetic, tmp_path):
    def change(rows):
        rows[0].update(invalid=["short_output"], interactivity=None, interactivity_reason="single_chunk")

    table = edited(synthetic.Sweep(), tmp_path, change)

    assert ["short_output; no interactivity: single_chunk"] == [left.reason for left in table.unusable]


def test_another_schema_is_refused(synthetic, tmp_path):
    with pytest.raises(ResultsError, match="schema 99"):
        edited(synthetic.Sweep(), tmp_path, lambda rows: rows[3].update(schema=99))


def test_a_row_of_the_wrong_types_is_named(synthetic, tmp_path):
    table = edited(synthetic.Sweep(), tmp_path, lambda rows: rows[0].update(tp="eight"))

    assert "not a row" in table.unusable[0].reason


def test_a_path_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ResultsError, match="no such file or folder"):
        load_table([tmp_path / "nowhere"])


def test_a_folder_without_points_is_said(tmp_path):
    with pytest.raises(ResultsError, match=r"holds no points\.jsonl"):
        load_table([tmp_path])


def test_a_metric_that_is_no_number_is_none(synthetic, tmp_path):
    table = edited(synthetic.Sweep(), tmp_path, lambda rows: rows[0].update(ttft_s="soon", e2e_s=True))

    assert (None, None, None) == tuple(table.rows[0].number(name) for name in ("ttft_s", "e2e_s", "nothing"))


def test_a_topology_says_what_differs_from_plain_tensor_parallelism():
    plain = Topology(gpus=8, tp=8, pp=1, ep=1, dp=1)
    split = Topology(gpus=24, tp=8, pp=1, ep=8, dp=1, dp_attention=True, prefill_gpus=16, prefill="ptp8")

    assert ("tp8", "16p+8d-tp8-ep8-dpa-ptp8") == (plain.label, split.label)


def test_points_jsonl_may_hold_empty_lines(synthetic, tmp_path):
    lines = [json.dumps(row) for row in synthetic.Sweep().rows()]
    (tmp_path / "points.jsonl").write_text("\n\n".join(lines))

    assert 24 == len(load_table([tmp_path]).rows)

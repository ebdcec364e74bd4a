"""Comparisons of points at a rate: alike inside, and never across two ways of loading a server."""

import csv
import io
import json

import numpy as np
import pytest

from analysis.assumptions import parse_prices
from analysis.compare import Options, compare_table
from analysis.pairing import find_pairs
from analysis.published import as_published
from analysis.published.text import recomputed
from analysis.report.comparisons import entries
from analysis.rows import load_table
from analysis.tables import render
from harness.spec import Load


@pytest.fixture
def poisson(synthetic):
    return synthetic.Sweep(arrivals="poisson", name="open")


def test_arms_meet_at_rates(poisson, pair_of):
    pair = pair_of(poisson)

    assert [Load(0.125, "poisson"), Load(0.5, "poisson"), Load(2.0, "poisson"), Load(8.0, "poisson")] == [
        level.load for level in pair.mtp.levels
    ]
    assert ["r0.125", "r0.5", "r2", "r8"] == [level.load.label for level in pair.off.levels]
    assert pair.key.startswith("mimo-163m/h100/bf16/1k1k/vllm/poisson/tp8/")


def test_matched_interactivity_is_read_between_rates_as_between_concurrencies(synthetic, poisson, comparison_of):
    closed, opened = comparison_of(synthetic.Sweep()), comparison_of(poisson)

    assert [target.at for target in closed.targets] == [target.at for target in opened.targets]
    assert [target.ratio.value for target in closed.targets] == pytest.approx(
        [target.ratio.value for target in opened.targets], rel=1e-6
    )


def test_how_many_were_in_flight_is_what_was_found(poisson, comparison_of):
    same = comparison_of(poisson).same_concurrency

    assert [1.5, 4.5, 16.5, 64.5] == [level.mtp.concurrency for level in same]


@pytest.mark.parametrize("loop", ["", "gamma 0.25"])
def test_one_arm_in_another_loop_is_refused_and_says_so(synthetic, table_of, loop):
    off = synthetic.Sweep(arms=(synthetic.OFF,), arrivals=loop)
    mtp = synthetic.Sweep(arms=(synthetic.MTP,), arrivals="poisson", name="open")
    here = f"open loop ({loop})" if loop else "closed loop"

    asked, lonely = find_pairs(table_of(off, mtp))
    by_arm = {each.key.rpartition("/")[2]: each.reason for each in lonely}

    assert () == asked
    assert f"of open loop (poisson): Off was measured in {here}, and what users see" in by_arm["mtp3"]
    assert f"of {here}: MTP was measured in open loop (poisson), and what users see" in by_arm["off"]


def test_both_loops_whole_are_two_comparisons(synthetic, poisson, report_of):
    keys = [each.pair.key for each in report_of(synthetic.Sweep(), poisson).comparisons]

    assert ["mimo-163m/h100/bf16/1k1k/vllm/poisson/tp8/mtp3", "mimo-163m/h100/bf16/1k1k/vllm/tp8/mtp3"] == sorted(keys)


def test_tables_speak_of_rates(poisson, report_of):
    report = report_of(poisson)
    text = render(report, "md")
    (pair,) = json.loads(render(report, "json"))["pairs"]
    lines = list(csv.DictReader(io.StringIO(render(report, "csv"))))

    assert "At equal rate, as measured:" in text
    assert "At equal rate MTP gives" in text
    assert "| requests/s |" in text
    assert "at concurrency" not in text
    assert [0.125, 0.5, 2.0, 8.0] == [level["rate"] for level in pair["same_concurrency"]]
    assert "concurrency" not in pair["same_concurrency"][0]
    assert ["0.125", "0.5", "2", "8"] == [line["at"] for line in lines if line["table"] == "same-concurrency"][::2]


def test_at_a_rate_the_verdict_is_of_speed_for_throughput_is_the_rate(synthetic, tmp_path):
    sweep, noise = synthetic.Sweep(arrivals="poisson"), np.random.default_rng(0)
    rows = [row | {"total_tok_s_gpu": 100 * row["rate"] * noise.normal(1, 0.001)} for row in sweep.rows()]
    (tmp_path / "points.jsonl").write_text(sweep.lines(rows))

    report = compare_table(load_table([tmp_path]), Options())
    (comparison,) = report.comparisons
    lines = csv.DictReader(io.StringIO(render(report, "csv")))
    in_csv = [line for line in lines if line["table"] == "same-concurrency" and line["arm"] == "mtp"]
    (in_json,) = json.loads(render(report, "json"))["pairs"]
    (in_page,) = entries(report, parse_prices(None))

    assert all(0.99 < level.ratio.value < 1.01 for level in comparison.same_concurrency)
    expected = [level.speedup.verdict() for level in comparison.same_concurrency]
    assert "mtp better" in expected
    assert expected == [line["verdict"] for line in in_csv]
    assert expected == [level["verdict"] for level in in_json["same_concurrency"]]
    assert expected == [level["verdict"] for level in in_page["same"]]
    assert [level["speedup"]["ratio"] for level in in_json["same_concurrency"]] == [
        float(line["speedup"]) for line in in_csv
    ]
    assert "throughput follows from the rate, so the verdict is on tok/s/user." in render(report, "md")


def test_at_a_concurrency_the_verdict_is_of_throughput(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep())

    assert [level.ratio.verdict() for level in comparison.same_concurrency] == [
        comparison.verdict_at_load(level) for level in comparison.same_concurrency
    ]


def test_the_published_computation_leaves_open_loops_out(synthetic, poisson, table_of):
    closed, both = table_of(synthetic.Sweep()), table_of(synthetic.Sweep(), poisson)
    opened = len(table_of(poisson).rows)

    shown, unused = recomputed(both)

    assert [table.printed for table in recomputed(closed)[0]] == [table.printed for table in shown]
    assert ["open loop"] * opened == [reason for _, reason in unused]
    assert "open loop" in as_published(table_of(poisson))


def test_a_row_of_an_open_loop_needs_its_rate(synthetic, tmp_path):
    rows = [dict(row) for row in synthetic.Sweep(arrivals="poisson").rows()]
    del rows[0]["rate"]
    folder = synthetic.Sweep(arrivals="poisson").write(tmp_path / "open")
    (folder / "points.jsonl").write_text(synthetic.Sweep.lines(rows))

    table = load_table([folder])

    assert ["rate"] == [left.reason.split()[0] for left in table.unusable]
    assert len(rows) - 1 == len(table.rows)

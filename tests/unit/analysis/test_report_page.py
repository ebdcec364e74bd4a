"""The page as a file: its data, and that nothing in it reaches outside."""

import json
import re

import pytest

from analysis.outputs import write_page
from analysis.report import page
from analysis.report.metrics import columns, plotted_metrics
from harness.errors import UserError
from harness.metrics import METRICS


def data_of(text: str) -> dict[str, object]:
    """What the page's script reads."""
    return json.loads(re.search('<script id="data" type="application/json">(.*?)</script>', text)[1])


def test_the_page_asks_for_nothing_outside_itself(synthetic, report_of):
    text = page(report_of(synthetic.Sweep()))
    markup = re.sub("<script.*?</script>|<style>.*?</style>", "", text, flags=re.DOTALL)

    assert [] == re.findall(r'(?:src|href)="(?!data:,|#)[^"]*"', markup)
    assert "default-src 'none'" in text
    assert [] == re.findall(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|WebSocket|innerHTML|eval\(", text)


def test_names_can_not_leave_their_place(synthetic, report_of):
    text = page(report_of(synthetic.Sweep(model="</script><!--<script>%DATA%")))

    assert 2 == text.count("<script")
    assert "</script><!--<script>%DATA%/h100/bf16/1k1k/vllm/tp8/mtp3" == data_of(text)["pairs"][0]["id"]


def test_points_carry_intervals_launches_and_reasons(synthetic, report_of):
    point = data_of(page(report_of(synthetic.Sweep())))["pairs"][0]["arms"]["mtp"]["points"][0]

    assert {"interactivity", "total_tok_s_gpu", "output_tok_s_gpu"} <= set(point["half"])
    assert 3 == len(point["launches"])


def test_a_command_line_is_told_as_a_difference(synthetic, report_of):
    sweep = synthetic.Sweep(flags={0: ["--max-num-seqs", "8"], 3: ["--max-num-seqs", "8", "--speculative-config", "x"]})
    command = data_of(page(report_of(sweep, force=True)))["pairs"][0]["command"]

    assert ["+", "--speculative-config x"] in command
    assert ["=", "--max-num-seqs 8"] in command


def test_every_metric_with_a_unit_of_the_menu_can_be_drawn():
    units = {"tok/s/GPU", "$/Mtok", "tok/s/MW", "J/tok", "W"}
    expected = {name for name, metric in METRICS.items() if metric.unit in units and metric.better}

    assert {metric.name for metric in plotted_metrics()} == {
        name for name in expected if not name.startswith("inferencex_")
    }
    assert {"interactivity", "ttft_s", "e2e_s", "acceptance_length", "power_w_gpu"} < set(columns())


def test_provisioned_and_measured_megawatts_are_two_metrics():
    assert {"tok_s_mw_provisioned": "per_mw", "tok_s_mw_measured": "is"} == {
        metric.name: metric.how for metric in plotted_metrics() if metric.unit == "tok/s/MW"
    }


def test_a_page_is_written_even_where_nothing_can_be_compared(synthetic, tmp_path):
    lonely = synthetic.Sweep(arms=(synthetic.OFF,)).write(tmp_path / "lonely")

    written, compared = write_page([lonely], tmp_path / "page.html", png=tmp_path / "page.png")

    assert ([tmp_path / "page.html"], False) == (written, compared)
    assert "no MTP arm of the same model" in (tmp_path / "page.html").read_text()


def test_a_picture_of_the_published_computation_is_refused_in_a_line(tmp_path):
    with pytest.raises(UserError, match="without --as-published"):
        write_page([tmp_path], tmp_path / "page.html", svg=tmp_path / "page.svg", as_published=True)

"""One report in three formats and a picture: the same numbers, their stamps, and nothing that a name can break."""

import csv
import io
import json
from dataclasses import replace

import pytest

from analysis import plots
from analysis.tables import render
from analysis.tables.grid import escaped, grid
from harness.errors import UserError

HOSTILE = "<script>alert(1)</script>|`x` [a](b) *c*"


def test_json_has_the_promised_shape(synthetic, report_of):
    answer = json.loads(render(report_of(synthetic.Sweep()), "json"))

    (pair,) = answer["pairs"]

    assert 1 == answer["schema"]
    assert {"key", "view", "verdict", "flags", "targets", "same_concurrency", "diff"} <= pair.keys()
    assert {"at", "mtp", "off", "ratio", "lo", "hi", "clamped"} <= pair["targets"][0].keys()
    assert [] == answer["unusable"]


def test_json_names_every_row_that_is_not_used(synthetic, tmp_path, report_of):
    answer = json.loads(render(report_of(synthetic.Sweep(arms=(synthetic.MTP,))), "json"))

    assert ["row", "reason"] == list(answer["unusable"][0])


def test_csv_and_json_hold_the_same_numbers(synthetic, report_of):
    report = report_of(synthetic.Sweep())

    lines = list(csv.DictReader(io.StringIO(render(report, "csv"))))
    (pair,) = json.loads(render(report, "json"))["pairs"]

    of_targets = [line for line in lines if line["table"] == "matched" and line["arm"] == "mtp"]
    assert [target["ratio"] for target in pair["targets"]] == [float(line["ratio"]) for line in of_targets]
    assert [target["mtp"]["total_tok_s_gpu"] for target in pair["targets"]] == [
        float(line["total_tok_s_gpu"]) for line in of_targets
    ]


@pytest.mark.parametrize("output_format", ["md", "csv", "json"])
@pytest.mark.parametrize(
    ("change", "stamp"),
    [({"emulated": True}, "emulated"), ({"demo": True}, "demo"), ({"stamps": ("cpu-plugin",)}, "cpu-plugin")],
)
def test_every_line_of_numbers_carries_its_stamps(synthetic, report_of, change, stamp, output_format):
    text = render(report_of(synthetic.Sweep(**change)), output_format)

    if output_format == "json":
        (pair,) = json.loads(text)["pairs"]
        numbered = [pair, *pair["targets"], *pair["same_concurrency"]]
        assert all(stamp in entry["stamps"] for entry in numbered)
    else:
        numbered = [line for line in text.splitlines() if any(digit in line for digit in "0123456789")]
        assert numbered
        assert [] == [line for line in numbered if stamp not in line]


def test_forced_acceptance_is_in_every_format(synthetic, report_of):
    report = report_of(synthetic.Sweep(arms=(synthetic.OFF, replace(synthetic.MTP, forced=2.4))))

    assert all("forced-acceptance" in render(report, output_format) for output_format in ("md", "csv", "json"))


def test_a_forced_comparison_says_so_in_every_format(synthetic, report_of):
    report = report_of(synthetic.Sweep(differs={3: {"dtype": "fp16"}}), force=True)

    assert all("compared-by-force" in render(report, output_format) for output_format in ("md", "csv", "json"))


def test_hostile_names_stay_text(synthetic, report_of):
    report = report_of(synthetic.Sweep(model=HOSTILE, stamps=("a|b<i>",)))

    text = render(report, "md")

    assert "<script>" not in text.replace("\\<script", "")
    assert "](b)" not in text.replace("\\](b)", "")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") == tables[0].replace("\\|", "").count("|") for line in tables[:5])
    assert HOSTILE.split("|", maxsplit=1)[0] in json.loads(render(report, "json"))["pairs"][0]["key"]
    assert HOSTILE.split("|", maxsplit=1)[0] in next(csv.DictReader(io.StringIO(render(report, "csv"))))["pair"]


def test_escaping_leaves_one_line_without_markup():
    assert r"a \<b\> \| c d" == escaped("a <b> | c\n\x1b d")


def test_a_grid_stands_in_line():
    lines = grid(["place", "value", "verdict"], [["a", "1", "x"], ["bb", "10,000", "longer"]]).splitlines()

    assert [
        "| place |  value | verdict |",
        "| ----- | -----: | ------- |",
        "| a     |      1 | x       |",
        "| bb    | 10,000 | longer  |",
    ] == lines


def test_an_unknown_format_is_refused(synthetic, report_of):
    with pytest.raises(UserError, match="md, csv, json"):
        render(report_of(synthetic.Sweep()), "xml")


def test_nothing_to_compare_is_said(report_of):
    from analysis.compare import Report

    assert "Nothing to compare.\n" == render(Report((), (), (), ()), "md")


def test_the_picture_shows_every_point_of_every_arm(synthetic, report_of):
    short = synthetic.Arm(draft_tokens=1, tokens_per_step=1.7)
    report = report_of(synthetic.Sweep(arms=(synthetic.OFF, short, synthetic.MTP)))

    (chart,) = plots.spec(report.comparisons)["vconcat"]
    points = next(layer["data"]["values"] for layer in chart["layer"] if layer["mark"]["type"] == "point")

    assert {("Off", 4), ("MTP 1", 4), ("MTP 3", 4)} == {
        (arm, sum(point["arm"] == arm for point in points)) for arm in ("Off", "MTP 1", "MTP 3")
    }
    assert all(point["y_lo"] < point["y"] < point["y_hi"] for point in points)


def test_a_picture_is_drawn_offline_and_the_same_each_time(synthetic, report_of):
    comparisons = report_of(synthetic.Sweep(emulated=True)).comparisons

    first, again = plots.svg(comparisons), plots.svg(comparisons)

    assert first == again
    assert "emulated" in first
    assert plots.png(comparisons).startswith(b"\x89PNG")


def test_a_hostile_name_stays_text_in_a_picture(synthetic, report_of):
    drawn = plots.svg(report_of(synthetic.Sweep(model="<script>alert(1)</script>")).comparisons)

    assert "<script>" not in drawn

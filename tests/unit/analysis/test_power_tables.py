"""Both bases of a megawatt in every table, each under its own name, and what held clocks down said aloud."""

import csv
import io
import json

import pytest

from analysis.outputs import compare_text


@pytest.fixture
def compared(synthetic, tmp_path):
    """A comparison of rows with power, in a format; `change` may spoil a row."""

    def make(output_format, change=lambda row: {}, concurrencies=(1, 16)):
        sweep = synthetic.Sweep(concurrencies=concurrencies, launches=2)
        sweep.write(tmp_path)
        rows = []
        for row in sweep.rows():
            watts = 500.0 if row["draft_tokens"] else 400.0
            drawn = {
                "power_scope": "gpu-board",
                "power_w_gpu": watts,
                "idle_power_w_gpu": 120.0,
                "energy_j_per_tok": watts / row["total_tok_s_gpu"],
                "energy_j_per_tok_output": watts / row["output_tok_s_gpu"],
                "tok_s_mw_measured": 1e6 * row["total_tok_s_gpu"] / watts,
                "power_capped_share": 0.3 if row["draft_tokens"] else 0.0,
                "throttled_share": 0.0,
            }
            rows.append(row | drawn | change(row))
        (tmp_path / "points.jsonl").write_text(sweep.lines(rows))
        return compare_text([tmp_path], output_format=output_format)[0]

    return make


def test_measured_and_provisioned_megawatts_stand_side_by_side(compared):
    (pair,) = json.loads(compared("json"))["pairs"]

    assert [1, 16] == [level["concurrency"] for level in pair["power"]]
    for level in pair["power"]:
        for arm, watts in (("mtp", 500), ("off", 400)):
            drawn = level[arm]
            assert "gpu-board" == drawn["power_scope"]
            # H100: 1.37 kW are assumed for a GPU.
            assert 1370 / watts == pytest.approx(drawn["measured_to_provisioned"], rel=1e-6)
            assert drawn["tok_s_mw_provisioned"] * 1370 / watts == pytest.approx(drawn["tok_s_mw_measured"], rel=1e-6)


def test_energy_of_an_output_token_is_set_against_off(compared):
    (pair,) = json.loads(compared("json"))["pairs"]
    for level in pair["power"]:
        mtp, off = (level[arm]["energy_j_per_tok_output"] for arm in ("mtp", "off"))

        assert mtp / off == pytest.approx(level["energy_ratio"])


def test_power_is_read_at_matched_interactivity_as_throughput_is(compared):
    (pair,) = json.loads(compared("json", concurrencies=(1, 16, 64)))["pairs"]

    assert 3 == len(pair["targets"])
    for target in pair["targets"]:
        for arm, watts in (("mtp", 500), ("off", 400)):
            # Watts are the same at all places, so energy is throughput turned over.
            drawn = (target[arm]["energy_j_per_tok_output"], target[arm]["tok_s_mw_measured"])
            of_speed = (watts / target[arm]["output_tok_s_gpu"], 1e6 * target[arm]["total_tok_s_gpu"] / watts)

            assert of_speed == pytest.approx(drawn, rel=1e-3)
        energy, per_mw = target["energy_j_per_tok_output"], target["tok_s_mw_measured"]
        assert energy["lo"] < energy["ratio"] < energy["hi"]
        assert 1.25 / target["output"]["ratio"] == pytest.approx(energy["ratio"], rel=1e-3)
        # Watts were set and do not scatter: power is as sure as throughput.
        assert target["hi"] / target["lo"] == pytest.approx(per_mw["hi"] / per_mw["lo"], rel=1e-3)


def test_power_of_different_scopes_has_no_ratio_at_matched_interactivity(compared):
    levels = {"concurrencies": (1, 16, 64)}
    text = compared("json", lambda row: {"power_scope": "gpu-module"} if row["draft_tokens"] else {}, **levels)

    assert [None] * 3 == [target["energy_j_per_tok_output"] for target in json.loads(text)["pairs"][0]["targets"]]
    assert "Measured power at matched interactivity, of gpu-board," in compared("md", **levels)


def test_every_line_of_power_names_its_scope(compared):
    lines = [line for line in csv.DictReader(io.StringIO(compared("csv"))) if line["table"] == "power"]

    assert ["mtp", "off", "mtp", "off"] == [line["arm"] for line in lines]
    assert {"gpu-board"} == {line["power_scope"] for line in lines}
    assert "" not in {line["tok_s_mw_measured"] for line in lines} | {line["tok_s_mw_provisioned"] for line in lines}


def test_a_power_limit_at_work_is_told_with_both_arms(compared):
    text = compared("md")

    assert (
        "power-capped: at concurrency 1: the power limit held clocks down 30 % of the time with MTP, 0 % with" in text
    )
    assert "tok/s/MW measured" in text
    assert "tok/s/MW provisioned" in text


def test_void_power_is_told_and_the_throughput_stays(compared):
    lost = {"power_scope": None, "power_w_gpu": None, "energy_j_per_tok_output": None, "tok_s_mw_measured": None}
    lost["warnings"] = ["power_gap"]
    text = compared("json", lambda row: lost if not row["draft_tokens"] else {})
    (pair,) = json.loads(text)["pairs"]

    assert (None, ["power_gap"]) == (pair["power"][0]["off"]["power_w_gpu"], pair["power"][0]["off"]["void"])
    assert None is pair["power"][0]["energy_ratio"]
    assert "no power figures of Off: power_gap" in text
    assert 2 == len(pair["same_concurrency"])


def test_without_a_meter_nothing_is_said_of_power(synthetic, tmp_path):
    synthetic.Sweep(concurrencies=(1, 16)).write(tmp_path)

    assert "tok/s/MW measured" not in compare_text([tmp_path])[0]
    assert [] == json.loads(compare_text([tmp_path], output_format="json")[0])["pairs"][0]["power"]

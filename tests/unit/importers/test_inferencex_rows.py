"""InferenceX records of every shape become the same row; traps of its schema are seen."""

import math

import pytest

from analysis.importers import inferencex
from analysis.importers.fields import UnusableRow

ARTIFACT = {
    "hw": "b300-nv_3",
    "conc": 16,
    "image": "lmsysorg/sglang:v0.5.14-cu130",
    "model": "nvidia/Qwen3.5-397B-A17B-NVFP4",
    "infmax_model_prefix": "qwen3.5-fp4",
    "framework": "sglang",
    "precision": "nvfp4",
    "spec_decoding": "mtp",
    "disagg": False,
    "isl": 1024,
    "osl": 1024,
    "is_multinode": False,
    "tp": 2,
    "ep": 2,
    "dp_attention": "false",
    "tput_per_gpu": 900.0,
    "output_tput_per_gpu": 440.0,
    "input_tput_per_gpu": 460.0,
    "median_ttft": 0.3,
    "p99_ttft": 0.9,
    "median_tpot": 0.01,
    "p90_tpot": 0.0125,
    "median_intvty": 100.0,
    "median_itl": 0.02,
    "median_e2el": 10.0,
}

API = {
    "hardware": "b300",
    "framework": "sglang",
    "model": "qwen3.5",
    "precision": "fp4",
    "spec_method": "mtp",
    "disagg": False,
    "is_multinode": False,
    "prefill_tp": 2,
    "prefill_ep": 2,
    "prefill_dp_attention": False,
    "prefill_num_workers": 0,
    "decode_tp": 2,
    "decode_ep": 2,
    "decode_dp_attention": False,
    "decode_num_workers": 0,
    "num_prefill_gpu": 4,
    "num_decode_gpu": 4,
    "isl": 1024,
    "osl": 1024,
    "conc": 16,
    "image": "lmsysorg/sglang:v0.5.14-cu130",
    "metrics": {
        name: ARTIFACT[name]
        for name in ARTIFACT
        if name.startswith(("median", "p90", "p99")) or name.endswith("per_gpu")
    },
    "workers": None,
    "date": "2026-07-04",
    "run_url": "https://github.com/SemiAnalysisAI/InferenceX/actions/runs/28719981652/attempts/2",
}

DISAGGREGATED = API | {
    "disagg": True,
    "framework": "sglang-disagg",
    "prefill_tp": 4,
    "prefill_num_workers": 2,
    "decode_num_workers": 3,
    "num_prefill_gpu": 8,
    "num_decode_gpu": 24,
    "metrics": API["metrics"] | {"tput_per_gpu": 500.0, "output_tput_per_gpu": 320.0, "input_tput_per_gpu": 1040.0},
}


def test_artifact_and_api_answer_of_one_point_are_the_same_row():
    one, other = inferencex.row(ARTIFACT), inferencex.row(API)

    assert {"date", "run", "started"} == {name for name in one if one[name] != other[name]}


def test_row_holds_what_the_record_says():
    row = inferencex.row(API)

    assert ("qwen3.5", "b300", "fp4", "sglang", "v0.5.14-cu130") == tuple(
        row[name] for name in ("model", "gpu", "precision", "engine", "engine_version")
    )
    assert (100.0, 900.0, 0.3, 0.01, 0.9) == tuple(
        row[name] for name in ("interactivity", "total_tok_s_gpu", "ttft_s", "tpot_s", "ttft_s_p99")
    )
    assert ("28719981652/2", "2026-07-04", "2026-07-04T00:00:00Z") == (row["run"], row["date"], row["started"])
    assert 80.0 == row["interactivity_p10"]
    assert 2.0 == row["itl_over_tpot"]


def test_columns_that_tell_what_to_expect_change_nothing():
    told = {"seed_page": "any", "in_seed_era": "no"}

    assert inferencex.row(ARTIFACT) == inferencex.row(ARTIFACT | told)


def test_experts_add_no_gpu():
    assert 2 == inferencex.row(API)["gpus"]


def test_a_stated_real_count_is_taken():
    assert 8 == inferencex.row(ARTIFACT | {"tp": 8, "ep": 8, "num_gpus": "8", "num_gpus_as_published": "64"})["gpus"]


def test_disaggregated_rates_are_shared_among_all_gpus():
    row = inferencex.row(DISAGGREGATED)

    assert 32 == row["gpus"]
    assert "mori-sglang" == row["engine"]
    assert 320.0 * 24 / 32 == row["output_tok_s_gpu"]
    assert 1040.0 * 8 / 32 == row["input_tok_s_gpu"]
    assert math.isclose(500.0, row["output_tok_s_gpu"] + row["input_tok_s_gpu"])
    assert [] == row["warnings"]


def test_gpus_of_a_disaggregated_table_row_are_read_from_its_words():
    record = {name: value for name, value in ARTIFACT.items() if name != "infmax_model_prefix"}
    row = inferencex.row(record | {"disagg": "True", "num_gpus_as_published": "16p+8d", "tp": 8, "num_gpus": 24})

    assert (24, 16, 8) == (row["gpus"], row["prefill_gpus"], row["decode_gpus"])


def test_arms_differ_in_run_key_and_share_a_pair_key():
    mtp, off = inferencex.row(API), inferencex.row(API | {"spec_method": "none"})

    assert mtp["pair_key"] == off["pair_key"]
    assert mtp["run_key"] != off["run_key"]
    assert (None, 0) == (mtp["draft_tokens"], off["draft_tokens"])


@pytest.mark.parametrize(
    "change",
    [
        {"decode_tp": 4},
        {"decode_ep": 1},
        {"decode_dp_attention": True},
        {"framework": "vllm"},
        {"isl": 8192},
        {"precision": "fp8"},
        {"hardware": "b200"},
    ],
)
def test_deployments_that_differ_have_keys_that_differ(change):
    assert inferencex.row(API)["pair_key"] != inferencex.row(API | change)["pair_key"]


def test_interactivity_is_made_from_tpot_where_it_is_not_given():
    record = ARTIFACT | {"median_intvty": None, "median_tpot": 0.02}

    assert 50.0 == inferencex.row(record)["interactivity"]


def test_a_row_that_contradicts_itself_is_marked():
    doubtful = inferencex.row(ARTIFACT | {"output_tput_per_gpu": 600.0, "median_intvty": 90.0})

    assert ["throughput_parts_disagree", "interactivity_disagrees"] == doubtful["warnings"]


ENERGY = {"avg_power_w": 600.0, "joules_per_total_token": 1.5, "joules_per_output_token": 3.0}


def test_measured_energy_is_taken_over():
    row = inferencex.row(ARTIFACT | ENERGY | {"power_valid": 1})

    assert (600.0, 1.5, 3.0) == (row["power_w_gpu"], row["energy_j_per_tok"], row["energy_j_per_tok_output"])


def test_energy_that_its_producer_found_invalid_is_left_out():
    assert "energy_j_per_tok" not in inferencex.row(ARTIFACT | ENERGY | {"power_valid": 0})


def test_energy_of_a_disaggregated_row_needs_the_schema_that_means_all_gpus():
    without, with_version = (
        inferencex.row(DISAGGREGATED | {"metrics": DISAGGREGATED["metrics"] | ENERGY | version})
        for version in ({}, {"power_metric_schema_version": 2})
    )

    assert "energy_j_per_tok" not in without
    assert 1.5 == with_version["energy_j_per_tok"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conc": None}, "conc is missing"),
        ({"conc": 2.5}, "conc is 2.5, not a whole number"),
        ({"conc": True}, "conc is 'True', not a number"),
        ({"tput_per_gpu": 0}, "tput_per_gpu is 0, not above 0"),
        ({"tput_per_gpu": "fast"}, "tput_per_gpu is 'fast', not a number"),
        ({"tput_per_gpu": math.inf}, "tput_per_gpu is 'inf', not a number"),
        ({"median_intvty": math.nan, "median_tpot": None}, "median_intvty is missing"),
        ({"median_intvty": -1.0}, "median_intvty is not above 0"),
        ({"isl": None}, "isl is missing: a trace without fixed lengths has no curve here"),
        ({"hw": ""}, "hardware is missing"),
        ({"tp": None}, "decode_tp is missing"),
        ({"disagg": "perhaps"}, "disagg is 'perhaps', not true or false"),
        ({"disagg": True}, "num_prefill_gpu is missing"),
        ({"spec_decoding": "draft_model"}, "speculation by 'draft_model' is neither MTP nor Off"),
        ({"date": "yesterday"}, "date is 'yesterday', not year-month-day"),
    ],
)
def test_what_a_row_needs_is_asked_for_by_name(change, reason):
    with pytest.raises(UnusableRow) as error:
        inferencex.row(ARTIFACT | change)

    assert reason == str(error.value)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("deepseek-ai/DeepSeek-R1-0528", "dsr1"),
        ("/models/DeepSeek-R1-0528-MXFP4-Preview", "dsr1"),
        ("dsr1-fp8", "dsr1"),
        ("openai/gpt-oss-120b", "gptoss"),
        ("gptoss120b", "gptoss"),
        ("Somebody/New-Model-7B", "new-model-7b"),
    ],
)
def test_a_model_has_one_name(written, name):
    record = ARTIFACT | {"infmax_model_prefix": None, "model": written}

    assert name == inferencex.row(record)["model"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("b200-trt", "b200"),
        ("mi355x-amd_0", "mi355x"),
        ("cluster:b300-nv", "b300"),
        ("GB200", "gb200"),
        ("h100_1", "h100"),
    ],
)
def test_a_runner_is_not_part_of_the_gpu(written, name):
    assert name == inferencex.row(ARTIFACT | {"hw": written})["gpu"]


def test_names_can_not_break_a_line_or_a_terminal():
    row = inferencex.row(ARTIFACT | {"image": "a:\x1b[31mred\n\udcff" + "x" * 999})

    assert row["image"].isprintable()
    assert len(row["image"]) <= 200

"""Results of `vllm bench serve` and `sglang.bench_serving` as rows: nothing that they do not say is guessed."""

import json
from pathlib import Path

import pytest

from analysis.importers import bench, facts_of, read_files
from analysis.importers.fields import UnusableRow
from harness.errors import UserError

GOLDEN = Path(__file__).parents[2] / "golden" / "bench"
FACTS = {"gpu": "H200", "precision": "FP8"}

VLLM = {
    "date": "20260705-101112",
    "backend": "vllm",
    "model_id": "deepseek-ai/DeepSeek-R1-0528",
    "num_prompts": 40,
    "request_rate": "inf",
    "max_concurrency": 4,
    "duration": 10.0,
    "completed": 40,
    "failed": 0,
    "total_input_tokens": 40960,
    "total_output_tokens": 20480,
    "total_token_throughput": 6144.0,
    "median_ttft_ms": 120.0,
    "median_tpot_ms": 12.5,
    "p90_tpot_ms": 20.0,
    "median_itl_ms": 25.0,
}
SPECULATION = {
    "spec_decode_acceptance_length": 2.4,
    "spec_decode_num_drafts": 100,
    "spec_decode_draft_tokens": 300,
}
SGLANG = {
    "tag": None,
    "backend": "sglang",
    "dataset_name": "random",
    "request_rate": float("inf"),
    "max_concurrency": 16,
    "random_input_len": 1024,
    "random_output_len": 512,
    "random_range_ratio": 1.0,
    "server_info": {
        "model_path": "/models/DeepSeek-R1-0528",
        "tp_size": 8,
        "dp_size": 1,
        "pp_size": 1,
        "quantization": "fp8",
        "speculative_algorithm": "EAGLE",
        "speculative_num_steps": 3,
        "speculative_num_draft_tokens": 4,
        "version": "0.5.12",
    },
    "duration": 20.0,
    "completed": 160,
    "total_input_tokens": 163840,
    "total_output_tokens": 81920,
    "total_output_tokens_retokenized": 81900,
    "output_throughput": 4096.0,
    "median_e2e_latency_ms": 2000.0,
    "p99_e2e_latency_ms": 3000.0,
    "median_ttft_ms": 100.0,
    "median_tpot_ms": 8.0,
    "median_itl_ms": 20.0,
    "accept_length": 2.5,
}


def vllm(**change):
    return bench.vllm_row(VLLM | FACTS | {"gpus": "8"} | change)


def sglang(server=None, **change):
    return bench.sglang_row(SGLANG | {"gpu": "h200"} | change | {"server_info": SGLANG["server_info"] | (server or {})})


def test_vllm_rates_are_over_the_duration_and_the_gpus():
    row = vllm()

    assert (512.0, 256.0, 768.0) == tuple(row[f"{kind}_tok_s_gpu"] for kind in ("input", "output", "total"))
    assert (80.0, 50.0, 0.12, 2.0) == tuple(
        row[n] for n in ("interactivity", "interactivity_p10", "ttft_s", "itl_over_tpot")
    )
    assert (1024, 512, 4, "dsr1", "h200", "fp8", 8) == tuple(
        row[name] for name in ("isl", "osl", "concurrency", "model", "gpu", "precision", "gpus")
    )


def test_vllm_arm_comes_from_the_counters_the_file_holds():
    row = vllm(**SPECULATION)

    assert (3, 2.4, []) == (row["draft_tokens"], row["acceptance_length"], row["warnings"])


def test_vllm_file_without_counters_is_off_with_a_warning():
    assert (0, ["arm_assumed"]) == (vllm()["draft_tokens"], vllm()["warnings"])
    assert (0, []) == (vllm(draft_tokens="0")["draft_tokens"], vllm(draft_tokens="0")["warnings"])


@pytest.mark.parametrize("missing", ["gpu", "gpus", "precision"])
def test_what_vllm_does_not_say_is_asked_for(missing):
    with pytest.raises(UnusableRow, match=f"--set {missing}="):
        vllm(**{missing: None})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"request_rate": 4.0}, "not by users in flight"),
        ({"max_concurrency": None}, "max_concurrency is missing"),
        ({"median_tpot_ms": 0}, "median_tpot_ms is 0"),
        ({"completed": 0}, "completed is 0"),
    ],
)
def test_points_that_no_number_of_users_held_are_refused(change, said):
    with pytest.raises(UnusableRow, match=said):
        vllm(**change)


@pytest.mark.parametrize(
    ("facts", "gpus"),
    [
        ({"gpus": None, "tp": "8", "dp": "2"}, 16),
        ({"gpus": None, "tp": "8", "pp": "2"}, 16),
        ({"gpus": "16", "dp": "2"}, 16),
        ({"gpus": "16", "tp": "4", "pp": "2", "dp": "2"}, 16),
    ],
)
def test_all_gpus_of_all_ranks_share_the_tokens(facts, gpus):
    row = vllm(**facts)

    assert (gpus, 6144.0 / gpus) == (row["gpus"], row["total_tok_s_gpu"])
    assert gpus == row["tp"] * row["pp"] * row["dp"]


@pytest.mark.parametrize("facts", [{"gpus": "8", "tp": "8", "dp": "2"}, {"gpus": "9", "pp": "2"}])
def test_gpus_that_the_ranks_contradict_are_refused(facts):
    with pytest.raises(UnusableRow, match="one of them is wrong"):
        vllm(**facts)


def test_sglang_ranks_that_a_user_tells_count_as_those_of_the_file():
    bare = SGLANG | FACTS | {"server_info": None, "accept_length": None, "model": "x", "tp": "8", "dp": "2"}

    assert 16 == bench.sglang_row(bare)["gpus"]
    assert 8 == bench.sglang_row(bare | {"enable_dp_attention": True})["gpus"]


def test_failed_requests_make_a_row_invalid():
    assert ["failed_requests"] == vllm(failed=1)["invalid"]
    assert ["failed_requests"] == vllm(failed=None, completed=39, num_prompts=40)["invalid"]
    assert [] == vllm(failed=1, completed=2000)["invalid"]


def test_sglang_takes_the_server_from_what_it_says_of_itself():
    row = sglang()

    assert ("dsr1", "fp8", 8, 8, 3, 2.5, "0.5.12") == tuple(
        row[name]
        for name in ("model", "precision", "gpus", "tp", "draft_tokens", "acceptance_length", "engine_version")
    )
    assert (125.0, 512.0, 2.0, 3.0) == tuple(
        row[n] for n in ("interactivity", "output_tok_s_gpu", "e2e_s", "e2e_s_p99")
    )


def test_sglang_data_parallel_attention_adds_no_gpu():
    assert 8 == sglang({"dp_size": 8, "enable_dp_attention": True})["gpus"]
    assert 16 == sglang({"dp_size": 2})["gpus"]


def test_sglang_server_without_speculation_is_off():
    row = sglang({"speculative_algorithm": None, "speculative_num_steps": None}, accept_length=None)

    assert (0, []) == (row["draft_tokens"], row["warnings"])


def test_sglang_line_without_server_asks_for_what_it_lacks():
    bare = SGLANG | FACTS | {"server_info": None, "accept_length": None, "model": "x"}
    with pytest.raises(UnusableRow, match="--set gpus="):
        bench.sglang_row(bare)

    row = bench.sglang_row(bare | {"gpus": "4"})
    assert (4, 0, ["arm_assumed"]) == (row["gpus"], row["draft_tokens"], row["warnings"])


def test_sglang_speculation_of_unknown_length_is_asked_for():
    with pytest.raises(UnusableRow, match="--set draft_tokens="):
        sglang({"speculative_num_steps": None})


def test_facts_are_words_with_a_known_key():
    assert {"gpu": "h200", "gpus": "8"} == facts_of(["gpu=h200", "gpus=8"])
    for word in ("gpu", "gpu=", "colour=red"):
        with pytest.raises(UserError, match=f"--set {word}"):
            facts_of([word])


def test_facts_are_added_to_files_that_lack_them(tmp_path):
    path = tmp_path / "bench.jsonl"
    path.write_text(json.dumps(VLLM) + "\n" + json.dumps(SGLANG | {"request_rate": "inf"}) + "\n")
    found = read_files([path], {"gpu": "h200", "gpus": "8", "precision": "fp8"})

    assert () == found.unusable
    assert ["vllm-bench", "sglang-bench"] == [row["origin"] for row in found.rows]


def test_real_vllm_results_become_the_expected_rows():
    """Both files were written by `vllm bench serve` 0.32 against vLLM on a CPU, without and with MTP of 2 tokens."""
    found = read_files([GOLDEN / "vllm_off.json", GOLDEN / "vllm_mtp.json"])
    expected = [json.loads(line) for line in (GOLDEN / "rows.jsonl").read_text().splitlines()]

    assert expected == list(found.rows)
    assert [0, 2] == [row["draft_tokens"] for row in found.rows]

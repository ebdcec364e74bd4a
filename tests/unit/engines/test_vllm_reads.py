"""What vLLM 0.32.0 said of itself, as captured from its CPU build with MTP off and with two draft tokens."""

import copy
import json
from pathlib import Path

import msgspec
import pytest

from harness.engines import reported as report
from harness.engines import vllm_config
from harness.engines.prometheus import readings, total
from harness.engines.vllm import counters_of
from harness.records import Configuration
from harness.spec import EngineSpec, Gpu, Model, Mtp, Parallel, Run, ServerSettings, Vendor

CAPTURED = Path(__file__).parents[2] / "golden" / "vllm"


def run_with(**changes) -> Run:
    facts = {
        "model": Model(
            name="mimo-tiny",
            label="MiMo tiny",
            weights="/models/mimo-tiny",
            context=4096,
            layers=2,
            parameters_b=0.001,
            active_b=0.001,
            mtp_modules=1,
            source="a test",
        ),
        "gpu": Gpu(name="cpu", label="CPU", vendor=Vendor.CPU, arch="x86-64", memory_gb=8, source="a test"),
        "precision": "bf16",
        "engine": EngineSpec(name="vllm", version="0.32.0"),
        "parallel": Parallel(),
        "settings": ServerSettings(max_running_requests=16, context=1024),
        "mtp": Mtp(draft_tokens=2),
    }
    return Run(**facts | changes)


def page(arm: str) -> str:
    return (CAPTURED / f"metrics_{arm}.txt").read_text()


def info(arm: str) -> dict[str, dict[str, object]]:
    return json.loads((CAPTURED / f"server_info_{arm}.json").read_text())


def reported(arm: str, run: Run | None = None) -> Configuration:
    run = run or (run_with() if arm == "mtp" else run_with().baseline)
    return vllm_config.configuration(info(arm), run, "0.32.0")


def test_counters_are_read_from_the_metrics_page():
    counters = counters_of(page("mtp"), 5)

    assert 5 == counters.t_ns
    assert (39, 78, 35) == (counters.drafts, counters.draft_tokens, counters.accepted_tokens)
    assert (20, 15) == counters.accepted_per_position
    assert (98, 76, 4) == (counters.prompt_tokens, counters.generation_tokens, counters.requests)
    assert (pytest.approx(0.000118, abs=1e-6), 4) == (counters.queue_s, counters.queued_requests)
    assert (0, 0, 0, 0, 0) == (
        counters.running,
        counters.waiting,
        counters.kv_usage,
        counters.preemptions,
        counters.prefix_cache_hits,
    )


def test_off_has_no_speculative_counters_rather_than_zeros():
    counters = counters_of(page("off"), 5)

    assert (None, None, None, None) == (
        counters.drafts,
        counters.draft_tokens,
        counters.accepted_tokens,
        counters.accepted_per_position,
    )
    assert counters.generation_tokens > 0


def test_counters_are_summed_over_engines_and_shares_are_averaged():
    series = [line for line in page("mtp").splitlines() if not line.startswith("#")]
    other = [line.replace('engine="0"', 'engine="1"') for line in series]
    busy = [line.replace(" 0.0", " 0.5") if "usage_perc" in line else line for line in other]

    counters = counters_of("\n".join(series + busy), 5)

    assert (78, (40, 30)) == (counters.drafts, counters.accepted_per_position)
    assert 8 == counters.requests
    assert 0.25 == counters.kv_usage


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# HELP m_total nothing\n# TYPE m_total counter\n",
        'm_created{engine="0"} 1.7e9\n',
        'other_m_total{engine="0"} 1\n',
        'm_total_more{engine="0"} 1\n',
    ],
)
def test_a_metric_that_is_not_there_is_none(text):
    assert total(readings(text, {"m_total"}).get("m_total")) is None


def test_labels_may_hold_anything():
    (exemplar,) = readings('m{a="x"} 17 # {trace_id="q"} 0.5\n', {"m"})["m"]
    assert 17 == exemplar.value

    found = readings('m{a="x} 9",b="say \\"hi\\"",position="3"} 1e3\nm 0.5 1395066363000\n', {"m"})["m"]

    assert ["x} 9", "3"] == [found[0].label("a"), found[0].label("position")]
    assert found[0].label("c") is None
    assert 1000.5 == total(found)


def test_arms_of_one_run_report_nothing_different_that_must_be_equal():
    off, mtp = reported("off"), reported("mtp")

    assert off.must_equal == mtp.must_equal
    assert len(off.must_equal) > 150
    assert ((), ()) == (off.mismatches, mtp.mismatches)


def test_what_follows_from_speculation_is_derived():
    off, mtp = reported("off"), reported("mtp")

    assert {
        "cache_config.kv_cache_max_concurrency": 2048.0,
        "cache_config.kv_cache_memory_bytes": 1073741824,
        "cache_config.kv_cache_size_tokens": 2097152,
        "cache_config.num_gpu_blocks": 16384,
        "compilation_config.cudagraph_capture_sizes": [],
        "compilation_config.fast_moe_cold_start": False,
    } == off.derived
    assert 2048 == mtp.derived["scheduler_config.max_num_scheduled_tokens"]


def test_speculation_is_told_without_the_settings_it_repeats():
    off, mtp = reported("off"), reported("mtp")

    assert {} == off.speculative
    assert ("mtp", 2) == (
        mtp.speculative["speculative_config.method"],
        mtp.speculative["speculative_config.num_speculative_tokens"],
    )
    assert "speculative_config.draft_model_config.dtype" in mtp.speculative
    assert not [name for name in mtp.speculative if "target_model_config" in name or "parallel_config" in name]


def test_what_is_new_with_each_launch_is_no_difference():
    changed = info("off")
    changed["vllm_config"]["instance_id"] = "another"
    changed["vllm_config"]["model_config"]["served_model_name"] = "another"
    changed["vllm_config"]["parallel_config"]["master_port"] = 1

    assert reported("off") == vllm_config.configuration(changed, run_with().baseline, "0.32.0")


def test_which_gpus_were_taken_is_circumstance():
    changed = info("off")
    changed["vllm_config"]["parallel_config"]["assigned_physical_gpu_ids"] = [2, 3]

    told = vllm_config.configuration(changed, run_with().baseline, "0.32.0")

    assert {"parallel_config.assigned_physical_gpu_ids": [2, 3]} == told.circumstance


def test_no_place_of_the_machine_is_kept_of_its_variables():
    kept = {name for name in reported("off").must_equal if name.startswith(("env.", "system."))}

    assert {
        "env.VLLM_CPU_KVCACHE_SPACE",
        "env.VLLM_CPU_OMP_THREADS_BIND",
        "env.VLLM_ROCM_USE_AITER",
        "env.VLLM_SERVER_DEV_MODE",
        "env.VLLM_USE_DEEP_GEMM",
        "env.VLLM_V1_OUTPUT_PROC_CHUNK_SIZE",
        "system.cuda_runtime_version",
        "system.python_version",
        "system.torch_version",
    } == kept


def test_a_setting_that_nobody_knows_must_be_equal():
    changed = info("mtp")
    changed["vllm_config"]["scheduler_config"]["brand_new"] = 3

    told = vllm_config.configuration(changed, run_with(), "0.32.0")

    assert {"scheduler_config.brand_new"} == told.must_equal.keys() - reported("off").must_equal.keys()


def test_addresses_in_memory_are_no_difference():
    one, other = (
        dict(report.flatten({"a": "<Pass at 0x7f01>"})),
        dict(report.flatten({"a": "<Pass at 0x7f02>"})),
    )

    assert one == other


def test_a_server_that_lost_its_speculation_is_told():
    told = reported("off", run_with())

    assert ("draft tokens: asked 2, server has 0",) == told.mismatches


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("parallel_config.tensor_parallel_size", 2, "tp: asked 1, server has 2"),
        ("parallel_config.data_parallel_size", 4, "dp: asked 1, server has 4"),
        ("parallel_config.enable_expert_parallel", True, "expert parallel: asked False, server has True"),
        ("scheduler_config.max_num_seqs", 8, "running requests a rank: asked 16, server has 8"),
        ("model_config.max_model_len", 512, "context: asked 1024, server has 512"),
        ("model_config.dtype", "torch.float16", "dtype: asked torch.bfloat16, server has torch.float16"),
        ("model_config.quantization", "fp8", "precision: asked bf16, server has quantization fp8"),
        ("cache_config.enable_prefix_caching", True, "prefix caching: asked False, server has True"),
        (
            "speculative_config.synthetic_acceptance_rates",
            [0.9, 0.7],
            "acceptance length: asked None, server has 2.6",
        ),
    ],
)
def test_what_the_server_made_of_a_setting_is_compared_with_what_was_asked(path, value, sentence):
    changed = copy.deepcopy(info("mtp"))
    block, field = path.split(".")
    changed["vllm_config"][block][field] = value

    assert (sentence,) == vllm_config.configuration(changed, run_with(), "0.32.0").mismatches


@pytest.mark.parametrize(
    ("asked", "reported_version", "fits"),
    [
        ("0.32.0", "0.32.0", True),
        ("0.32.0", "0.32.0+cu130", True),
        ("0.32.0+cu130", "0.32.0+cu130", True),
        ("0.32.0+cu130", "0.32.0", False),
        ("0.31.0", "0.32.0", False),
        (None, "0.32.0", True),
    ],
)
def test_the_version_asked_for_is_the_version_served(asked, reported_version, fits):
    run = run_with(engine=EngineSpec(name="vllm", version=asked))

    told = vllm_config.configuration(info("mtp"), run, reported_version)

    assert fits == (not told.mismatches)


@pytest.mark.parametrize(
    ("precision", "quantization", "fits"),
    [
        ("fp8", "fp8", True),
        ("fp8", "compressed-tensors", True),
        ("fp8", None, False),
        ("fp8", "modelopt_fp4", False),
        ("fp4", "modelopt_fp4", True),
        ("fp4", None, False),
        ("int4", "awq_marlin", True),
    ],
)
def test_a_checkpoint_of_another_precision_is_told(precision, quantization, fits):
    changed = info("mtp")
    changed["vllm_config"]["model_config"]["quantization"] = quantization

    told = vllm_config.configuration(changed, run_with(precision=precision), "0.32.0")

    assert fits == (not told.mismatches)


def test_forced_acceptance_is_reported_as_its_rates():
    changed = info("mtp")
    changed["vllm_config"]["speculative_config"]["synthetic_acceptance_rates"] = [0.8, 0.6]
    forced = run_with(mtp=Mtp(draft_tokens=2, forced_acceptance_length=2.4))

    assert () == vllm_config.configuration(changed, forced, "0.32.0").mismatches
    assert ("acceptance length: asked 2.4, server has None",) == reported("mtp", forced).mismatches


def test_a_server_without_development_mode_tells_its_cache_alone():
    told = vllm_config.not_reported(page("mtp"), run_with(), "0.32.0")

    assert not told.read_back
    assert "1398016" == told.derived["cache_config.kv_cache_size_tokens"]
    assert 16 == told.must_equal["settings.max_running_requests"]
    assert 2 == told.speculative["draft_tokens"]


def test_a_configuration_survives_its_file():
    told = reported("mtp")

    assert told == msgspec.convert(json.loads(msgspec.json.encode(told)), Configuration)

"""What SGLang 0.5.23 said of itself, as captured from its CPU build with MTP off and with two draft tokens.

Of `internal_states` what repeats the arguments was cut away.
"""

import json
from pathlib import Path

import msgspec
import pytest

from harness.engines import sglang_config
from harness.engines.sglang import counters_of
from harness.records import Configuration
from harness.spec import EngineSpec, Mtp, Parallel, Vendor

CAPTURED = Path(__file__).parents[2] / "golden" / "sglang"
MTP_COUNTS = (60, 96, 4)
"""Verifications, tokens and requests of the captured MTP server."""

TINY = {
    "vendor": Vendor.CPU,
    "precision": "bf16",
    "engine": EngineSpec(name="sglang", version="0.5.23"),
    "parallel": Parallel(),
    "settings": {
        "max_running_requests": 16,
        "max_graph_requests": None,
        "chunked_prefill_tokens": None,
        "memory_fraction": 0.2,
        "context": 176,
    },
    "model": {"moe": False},
    "mtp": Mtp(draft_tokens=2),
}


@pytest.fixture
def run_with(asked_of):
    """The Run that the captured servers were started for, changed as said."""
    return lambda **changes: asked_of(**TINY | changes)


@pytest.fixture
def reported(run_with):
    """What a captured server reports, changed as said, to a Run."""

    def made(arm: str, run=None, **changed) -> Configuration:
        run = run or (run_with() if arm == "mtp" else run_with().baseline)
        return sglang_config.configuration(info(arm) | changed, run)

    return made


def page(arm: str) -> str:
    return (CAPTURED / f"metrics_{arm}.txt").read_text()


def info(arm: str) -> dict[str, object]:
    return json.loads((CAPTURED / f"server_info_{arm}.json").read_text())


def test_counters_are_read_from_the_metrics_page():
    counters = counters_of(page("mtp"), 5)

    assert 5 == counters.t_ns
    assert MTP_COUNTS == (counters.drafts, counters.generation_tokens, counters.requests)
    assert (0, 0, 0) == (counters.running, counters.waiting, counters.kv_usage)


def test_accepted_drafts_are_counted_nowhere():
    counters = counters_of(page("mtp"), 5)

    assert (None, None, None) == (counters.accepted_tokens, counters.accepted_per_position, counters.draft_tokens)


def test_off_has_no_count_of_drafts_rather_than_zero():
    assert counters_of(page("off"), 5).drafts is None


def test_counters_are_summed_over_ranks():
    series = [line for line in page("mtp").splitlines() if not line.startswith("#")]

    assert 2 * MTP_COUNTS[0] == counters_of("\n".join([*series, *series]), 5).drafts


def test_arms_of_one_run_report_nothing_different_that_must_be_equal(reported):
    off, mtp = reported("off"), reported("mtp")

    assert off.must_equal == mtp.must_equal
    assert len(off.must_equal) > 150
    assert ((), ()) == (off.mismatches, mtp.mismatches)


def test_speculation_is_told_of_the_arm_that_has_it(reported):
    off, mtp = reported("off"), reported("mtp")

    assert {} == off.speculative
    assert ("EAGLE", 2, 1, 3) == tuple(
        mtp.speculative[f"speculative_{name}"] for name in ("algorithm", "num_steps", "eagle_topk", "num_draft_tokens")
    )


def test_the_size_of_the_pool_is_derived(reported):
    assert {16384} == {reported(arm).derived["max_total_num_tokens"] for arm in ("off", "mtp")}


def test_what_is_new_with_each_launch_is_no_difference(reported):
    assert reported("off") == reported("off", port=1, served_model_name="another", launch_command="--port 1")


def test_a_setting_that_nobody_knows_must_be_equal(reported):
    told = reported("mtp", brand_new=3)

    assert {"brand_new"} == told.must_equal.keys() - reported("mtp").must_equal.keys()


def test_a_server_that_lost_its_speculation_is_told(reported, run_with):
    assert ("draft tokens: asked 2, server has 0",) == reported("off", run_with()).mismatches


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"tp_size": 2}, "tp: asked 1, server has 2"),
        ({"ep_size": 2}, "ep: asked 1, server has 2"),
        ({"attn_dp_size": 4}, "attention ranks: asked 1, server has 4"),
        ({"context_length": 512}, "context: asked 176, server has 512"),
        ({"mem_fraction_static": 0.1}, "memory fraction: asked 0.2, server has 0.1"),
        ({"disable_radix_cache": False}, "radix cache off: asked True, server has False"),
        ({"stream_interval": 30}, "stream interval: asked 1, server has 30"),
        ({"dtype": "float16"}, "dtype: asked bfloat16, server has float16"),
        ({"quantization": "fp8"}, "precision: asked bf16, server has quantization fp8"),
        (
            {"internal_states": [{"effective_max_running_requests_per_dp": 8}]},
            "running requests a rank: asked 16, server has 8",
        ),
    ],
)
def test_what_the_server_made_of_a_setting_is_compared_with_what_was_asked(reported, changed, sentence):
    assert (sentence,) == reported("mtp", **changed).mismatches


def test_a_limit_of_graphs_that_the_server_does_not_have_is_told(reported, run_with):
    asked = run_with(settings=TINY["settings"] | {"max_graph_requests": 32})

    assert ("graphs of up to, requests: asked 32, server has 0",) == reported("mtp", asked).mismatches


@pytest.mark.parametrize(("enabled", "dp_size", "ranks"), [(True, 8, 8), (False, 8, 1)])
def test_attention_ranks_are_found_as_older_versions_say_them(run_with, enabled, dp_size, ranks):
    old = {name: value for name, value in info("off").items() if name != "attn_dp_size"}
    old |= {"enable_dp_attention": enabled, "dp_size": dp_size}

    told = sglang_config.configuration(old, run_with().baseline)

    expected = () if ranks == 1 else (f"attention ranks: asked 1, server has {ranks}",)
    assert expected == told.mismatches


def test_a_configuration_survives_its_file(reported):
    told = reported("mtp")

    assert told == msgspec.convert(json.loads(msgspec.json.encode(told)), Configuration)

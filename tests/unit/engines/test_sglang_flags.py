"""The command line of SGLang, compared whole, in its units, and by the names of each version."""

from pathlib import Path

import pytest

from harness.engines import engine_named
from harness.errors import UserError
from harness.spec import EngineSpec, Mtp, Parallel, Run, Vendor

GOLDEN = Path(__file__).parents[2] / "golden" / "sglang"
SGLANG = engine_named("sglang")


@pytest.fixture
def run_with(asked_of):
    """A Run of SGLang with forced acceptance, changed as said."""

    def made(version=None, image=None, **changes) -> Run:
        args = ("--attention-backend", "trtllm_mla")
        engine = EngineSpec(name="sglang", version=version, image=image, args=args, env={"NCCL_DEBUG": "WARN"})
        forced = Mtp(draft_tokens=3, forced_acceptance_length=2.6)
        return asked_of(**{"engine": engine, "mtp": forced} | changes)

    return made


def command(run: Run) -> tuple[list[str], dict[str, str]]:
    parts = [
        SGLANG.common_args(run, host="127.0.0.1", port=21000, served_name="served"),
        SGLANG.derived_args(run),
        SGLANG.mtp_args(run.mtp),
    ]
    return [arg for part in parts for arg in part.args], {k: v for part in parts for k, v in part.env.items()}


def rendered(run: Run) -> str:
    argv, env = command(run)
    return "".join(f"{name}={value}\n" for name, value in env.items()) + "".join(f"{word}\n" for word in argv)


def options(run: Run) -> dict[str, str]:
    """Each flag and the words up to the next."""
    found: dict[str, list[str]] = {}
    for word in command(run)[0]:
        if word.startswith("--"):
            found[word] = []
        else:
            found[list(found)[-1]].append(word)
    return {flag: " ".join(words) for flag, words in found.items()}


@pytest.mark.parametrize("arm", ["off", "mtp"])
def test_command_line_is_as_recorded(run_with, arm):
    run = run_with() if arm == "mtp" else run_with().baseline

    assert (GOLDEN / f"argv_{arm}.txt").read_text() == rendered(run)


def test_drafts_are_a_chain_verified_with_the_token_before_them(run_with):
    given = options(run_with(mtp=Mtp(draft_tokens=2)))

    assert ("NEXTN", "2", "1", "3") == tuple(
        given[f"--speculative-{name}"] for name in ("algorithm", "num-steps", "eagle-topk", "num-draft-tokens")
    )
    assert "deepseek-ai/DeepSeek-R1-0528" == given["--speculative-draft-model-path"]


def test_any_part_of_speculation_can_be_overridden(run_with):
    own = {"speculative-algorithm": "EAGLE3", "speculative-draft-model-path": "org/head", "speculative-eagle-topk": 4}

    given = options(run_with(mtp=Mtp(draft_tokens=2, overrides=own)))

    assert ("EAGLE3", "org/head", "4", "2") == (
        given["--speculative-algorithm"],
        given["--speculative-draft-model-path"],
        given["--speculative-eagle-topk"],
        given["--speculative-num-steps"],
    )


def test_forced_acceptance_is_environment_and_keeps_the_drafts_own_tokens(run_with):
    forced, natural = command(run_with())[1], command(run_with(mtp=Mtp(draft_tokens=3)))[1]

    assert {
        "SGLANG_SIMULATE_ACC_LEN": "2.6",
        "SGLANG_SIMULATE_ACC_METHOD": "match-expected",
        "SGLANG_SIMULATE_ACC_TOKEN_MODE": "real-draft-token",
    } == {name: value for name, value in forced.items() if name not in natural}


def test_a_version_that_forces_one_token_over_and_over_is_refused(run_with):
    with pytest.raises(UserError, match=r"acceptance: SGLang 0.5.12 can't force it .* 0.5.16 and later can"):
        command(run_with(version="0.5.12"))

    command(run_with(version="0.5.12", mtp=Mtp(draft_tokens=3)))


@pytest.mark.parametrize(
    ("version", "present", "absent"),
    [
        ("0.5.9", "--cuda-graph-bs", "--cuda-graph-bs-decode"),
        ("0.5.12", "--cuda-graph-bs", "--cuda-graph-bs-decode"),
        ("0.5.14", "--cuda-graph-bs-decode", "--cuda-graph-bs"),
        ("0.5.23", "--cuda-graph-bs-decode", "--cuda-graph-bs"),
        ("0.5.21", "--enable-dp-attention", "--attn-dp-size"),
        ("0.5.22", "--attn-dp-size", "--enable-dp-attention"),
    ],
)
def test_flags_are_those_of_the_version(run_with, version, present, absent):
    given = options(run_with(version=version, parallel=Parallel(tp=1, dp=8, ep=8), mtp=Mtp(draft_tokens=3)))

    assert present in given
    assert absent not in given


def test_an_images_tag_tells_the_version(run_with):
    given = options(run_with(image="lmsysorg/sglang:v0.5.12-cu130", mtp=Mtp(draft_tokens=3)))

    assert "--cuda-graph-bs" in given


def test_speculation_overlaps_as_off_does_where_a_version_must_be_told(run_with):
    old, new = (run_with(version=version, mtp=Mtp(draft_tokens=3)) for version in ("0.5.9", "0.5.12"))

    assert "1" == command(old)[1]["SGLANG_ENABLE_SPEC_V2"] == command(old.baseline)[1]["SGLANG_ENABLE_SPEC_V2"]
    assert "SGLANG_ENABLE_SPEC_V2" not in command(new)[1]


def test_data_parallel_experts_share_one_server_whose_attention_is_split(run_with):
    given = options(run_with(parallel=Parallel(tp=1, dp=8, ep=8)))

    assert ("8", "8", "8") == (given["--tp-size"], given["--attn-dp-size"], given["--ep-size"])
    assert ("64", str(8 * 8192)) == (given["--max-running-requests"], given["--chunked-prefill-size"])
    assert "1 2 4" == given["--cuda-graph-bs-decode"]


def test_a_dense_model_is_served_by_replicas_with_limits_of_their_own(run_with):
    given = options(run_with(parallel=Parallel(tp=2, dp=4), model={"moe": False}))

    assert ("2", "4") == (given["--tp-size"], given["--dp-size"])
    assert ("16", "8192") == (given["--max-running-requests"], given["--chunked-prefill-size"])


def test_both_arms_capture_graphs_for_the_same_numbers_of_requests(run_with):
    mtp = run_with()

    assert options(mtp)["--cuda-graph-bs-decode"] == options(mtp.baseline)["--cuda-graph-bs-decode"]
    assert options(mtp)["--cuda-graph-bs-decode"].endswith(" 24 32")


@pytest.mark.parametrize(
    ("version", "flag"), [("0.5.9", "--disable-cuda-graph"), (None, "--cuda-graph-backend-decode")]
)
def test_without_a_graph_limit_graphs_are_off_in_both_arms(run_with, version, flag):
    mtp = run_with(version=version, settings={"max_graph_requests": None}, mtp=Mtp(draft_tokens=3))

    assert flag in options(mtp)
    assert flag in options(mtp.baseline)


def test_a_memory_fraction_is_asked_for_because_sglang_would_choose_it_by_the_arm(run_with):
    with pytest.raises(UserError, match=r"memory_fraction: SGLang sets aside more memory under speculation"):
        command(run_with(settings={"memory_fraction": None}))


def test_experts_are_spread_over_a_divisor_of_the_gpus(run_with):
    with pytest.raises(UserError, match=r"ep: 3 does not divide the 8 GPUs"):
        command(run_with(parallel=Parallel(tp=8, ep=3)))


@pytest.mark.parametrize(
    "flag",
    [
        "--speculative-num-steps",
        "--port",
        "--api-key=x",
        "--mem-fraction-static",
        "--api_key=x",
        "--serv",
        "--model-path",
        "--tp",
    ],
)
def test_own_arguments_leave_alone_what_the_harness_decides(run_with, flag):
    with pytest.raises(UserError, match=rf"engine.args: {flag.partition('=')[0]}: "):
        command(run_with(engine=EngineSpec(name="sglang", args=(flag, "1"))))


def test_on_a_cpu_both_arms_have_the_backends_that_speculation_needs(run_with):
    mtp = run_with(vendor=Vendor.CPU, engine=EngineSpec(name="sglang"))

    for run in (mtp, mtp.baseline):
        given, env = options(run), command(run)[1]
        assert ("cpu", "intel_amx") == (given["--device"], given["--decode-attention-backend"])
        assert "--disable-overlap-schedule" in given
        assert "1" == env["SGLANG_USE_CPU_ENGINE"]


def test_a_local_model_asks_no_hub(run_with, tmp_path):
    assert "HF_HUB_OFFLINE" not in command(run_with())[1]
    assert "1" == command(run_with(model={"weights": str(tmp_path)}))[1]["HF_HUB_OFFLINE"]


def test_no_key_is_given_since_it_would_stand_in_the_command_line():
    assert {} == SGLANG.key_env("secret")


def test_the_program_is_the_python_of_the_venv(run_with, tmp_path):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.touch()

    run = run_with(engine=EngineSpec(name="sglang", venv=str(tmp_path)))

    assert (str(python), "-m", "sglang.launch_server") == SGLANG.executable(run)


@pytest.mark.parametrize(
    ("vendor", "forced", "stamps"),
    [
        (Vendor.CPU, 2.6, ("cpu-standin-kernels", "forced-acceptance")),
        (Vendor.CPU, None, ("cpu-standin-kernels",)),
        (Vendor.AMD, 2.6, ("forced-acceptance",)),
        (Vendor.NVIDIA, None, ()),
    ],
)
def test_stamps_tell_what_a_number_must_not_lose(run_with, vendor, forced, stamps):
    run = run_with(vendor=vendor, mtp=Mtp(draft_tokens=3, forced_acceptance_length=forced))

    assert stamps == SGLANG.stamps(run)

"""The command line of vLLM, compared whole, and in units of requests."""

from pathlib import Path

import pytest

from harness.engines import engine_named
from harness.errors import EngineMissing, UserError
from harness.spec import EngineSpec, Mtp, Parallel, Run, Vendor

GOLDEN = Path(__file__).parents[2] / "golden" / "vllm"


@pytest.fixture
def run_with(asked_of):
    """A Run of vLLM with forced acceptance, changed as said."""
    forced = Mtp(draft_tokens=3, forced_acceptance_length=2.6, overrides={"draft_sample_method": "greedy"})
    engine = EngineSpec(name="vllm", args=("--async-scheduling",), env={"NCCL_DEBUG": "WARN"})
    return lambda **changes: asked_of(**{"engine": engine, "mtp": forced} | changes)


def command(run: Run) -> tuple[list[str], dict[str, str]]:
    engine = engine_named("vllm")
    parts = [
        engine.common_args(run, host="127.0.0.1", port=21000, served_name="served"),
        engine.derived_args(run),
        engine.mtp_args(run.mtp),
    ]
    return [arg for part in parts for arg in part.args], {k: v for part in parts for k, v in part.env.items()}


def rendered(run: Run) -> str:
    argv, env = command(run)
    return "".join(f"{name}={value}\n" for name, value in env.items()) + "".join(f"{word}\n" for word in argv)


@pytest.mark.parametrize("arm", ["off", "mtp"])
def test_command_line_is_as_recorded(arm, run_with):
    run = run_with() if arm == "mtp" else run_with().baseline

    assert (GOLDEN / f"argv_{arm}.txt").read_text() == rendered(run)


def option(run: Run, flag: str) -> str:
    argv, _ = command(run)
    return argv[argv.index(flag) + 1]


def test_limits_hold_for_each_data_parallel_rank(run_with):
    run = run_with(parallel=Parallel(tp=1, dp=8, ep=8))

    assert "8" == option(run, "--max-num-seqs")
    assert 4 == max(graph_sizes(run.baseline))
    assert 4 * 4 == max(graph_sizes(run))


def graph_sizes(run: Run) -> list[int]:
    argv, _ = command(run)
    sizes = []
    for word in argv[argv.index("--cudagraph-capture-sizes") + 1 :]:
        if not word.isdigit():
            break
        sizes.append(int(word))
    return sizes


def test_both_arms_capture_graphs_for_the_same_numbers_of_requests(run_with):
    mtp = run_with()

    assert [4 * size for size in graph_sizes(mtp.baseline)] == graph_sizes(mtp)
    assert 32 * 4 == max(graph_sizes(mtp))


def test_without_a_graph_limit_graphs_are_off_in_both_arms(run_with):
    mtp = run_with(settings={"max_graph_requests": None})

    for run in (mtp, mtp.baseline):
        argv, _ = command(run)
        assert "--enforce-eager" in argv
        assert "--cudagraph-capture-sizes" not in argv


def test_a_step_too_small_for_all_drafts_is_refused(run_with):
    run = run_with(settings={"chunked_prefill_tokens": 255})

    with pytest.raises(
        UserError, match=r"chunked_prefill_tokens: 255 is less than one step of mtp3.* takes, 256 tokens"
    ):
        command(run)

    command(run.baseline)


def test_experts_are_spread_over_all_gpus_or_none(run_with):
    with pytest.raises(UserError, match=r"ep: 2: .* give 8 or 1"):
        command(run_with(parallel=Parallel(tp=8, ep=2)))


@pytest.mark.parametrize(
    "flag",
    [
        "--speculative-config",
        "--port",
        "--served-model-name=x",
        "--served_model_name=x",
        "--speculative-conf",
        "--model",
        "-tp",
    ],
)
def test_own_arguments_leave_alone_what_the_harness_decides(flag, run_with):
    with pytest.raises(UserError, match=rf"engine.args: {flag.partition('=')[0]}: "):
        command(run_with(engine=EngineSpec(name="vllm", args=(flag, "1"))))


def test_a_local_model_asks_no_hub(tmp_path, run_with):
    _, hub = command(run_with())
    _, local = command(run_with(model={"weights": str(tmp_path)}))

    assert "HF_HUB_OFFLINE" not in hub
    assert "1" == local["HF_HUB_OFFLINE"]


def test_the_key_never_stands_in_the_command_line():
    assert {"VLLM_API_KEY": "secret"} == engine_named("vllm").key_env("secret")


def test_the_program_is_the_venvs(tmp_path, monkeypatch, run_with):
    monkeypatch.setenv("ENGINES", str(tmp_path))
    program = tmp_path / "vllm" / "bin" / "vllm"
    program.parent.mkdir(parents=True)
    program.touch()

    run = run_with(engine=EngineSpec(name="vllm", venv="$ENGINES/vllm"))

    assert (str(program), "serve") == engine_named("vllm").executable(run)


def test_a_missing_program_says_what_to_do(tmp_path, run_with):
    run = run_with(engine=EngineSpec(name="vllm", venv=str(tmp_path)))

    with pytest.raises(EngineMissing, match=rf"engine.venv: {tmp_path}/bin/vllm is not there: install vllm into it"):
        engine_named("vllm").executable(run)


def test_without_a_venv_the_program_is_the_one_on_path(tmp_path, monkeypatch, run_with):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissing, match="no vllm on PATH"):
        engine_named("vllm").executable(run_with())

    (tmp_path / "vllm").touch(mode=0o755)

    assert (str(tmp_path / "vllm"), "serve") == engine_named("vllm").executable(run_with())


@pytest.mark.parametrize(
    ("vendor", "forced", "stamps"),
    [
        (Vendor.CPU, 2.6, ("cpu-plugin", "forced-acceptance")),
        (Vendor.CPU, None, ("cpu-plugin",)),
        (Vendor.NVIDIA, 2.6, ("forced-acceptance",)),
        (Vendor.NVIDIA, None, ()),
    ],
)
def test_stamps_tell_what_a_number_must_not_lose(vendor, forced, stamps, run_with):
    mtp = Mtp(draft_tokens=3, forced_acceptance_length=forced)
    run = run_with(vendor=vendor, mtp=mtp)

    assert stamps == engine_named("vllm").stamps(run)

"""What is written down about a launch, and what never is."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness import provenance
from harness.provenance import disclosure, gpus
from harness.provenance.weights import served_weights
from harness.spec import EngineSpec, Gpu, Model, Mtp, Parallel, Run, ServerSettings, Vendor

# As `nvidia-smi --format=csv,noheader,nounits` prints, with
# --query-gpu=uuid,name,driver_version,power.limit,memory.total,vbios_version.
NVIDIA = """\
GPU-5f1c2c1e-0c5e-7a86-9d9d-3b8f5b1c0a11, NVIDIA H200, 575.57.08, 700.00, 143771, 96.00.CF.00.01
GPU-0a2b7d64-4f0e-1d4b-8a55-6f0d1e2c3b4a, NVIDIA H200, 575.57.08, [N/A], 143771, 96.00.CF.00.01
"""

AMD_CARD = {
    "Unique ID": "0x79ccd55167a2124a",
    "Max Graphics Package Power (W)": "1000.0",
    "VRAM Total Memory (B)": "274877906944",
    "Card Series": "AMD Instinct MI325X",
}


def run_with(**model) -> Run:
    facts = {"weights": "org/model", "source": "a test", "name": "model", "label": "Model"}
    return Run(
        model=Model(**facts | model, context=64, layers=2, parameters_b=1.0, active_b=1.0, mtp_modules=1),
        gpu=Gpu(name="cpu", label="CPU", vendor=Vendor.CPU, arch="x86-64", memory_gb=8, source="a test"),
        precision="bf16",
        engine=EngineSpec(name="vllm", venv="/opt/engines/vllm"),
        parallel=Parallel(),
        settings=ServerSettings(max_running_requests=8, context=64),
        mtp=Mtp(),
    )


def test_nvidia_gpus_are_read_with_what_they_do_not_have_left_open():
    one, other = gpus.parse_nvidia(NVIDIA)

    assert ("NVIDIA H200", "575.57.08", 700.0, 150.755) == (one.name, one.driver, one.power_limit_w, one.memory_gb)
    assert one.uuid.startswith("GPU-5f1c2c1e")
    assert other.power_limit_w is None
    assert "96.00.CF.00.01" == other.vbios
    assert "NVIDIA H200, 700.0 W, driver 575.57.08" == one.kind


@pytest.mark.parametrize("spelling", ["Card Series", "Card series"])
def test_amd_gpus_are_read_in_order_of_their_cards(spelling):
    card = {(spelling if name == "Card Series" else name): value for name, value in AMD_CARD.items()}
    said = {
        "card10": card,
        "card2": card | {"Unique ID": "0x2", "Max Graphics Package Power (W)": "N/A"},
        "system": {"Driver version": "6.12.12"},
    }

    two, ten = gpus.parse_amd(json.dumps(said))

    assert ("0x2", None) == (two.uuid, two.power_limit_w)
    assert ("AMD Instinct MI325X", "6.12.12", 1000.0, 274.878) == (
        ten.name,
        ten.driver,
        ten.power_limit_w,
        ten.memory_gb,
    )


def test_amd_gpus_carry_rocm_vbios_partition_and_cap(fake_amd, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    fake_amd(sockets=2, cap="3600:1000")
    one, other = gpus.visible_gpus()

    assert ("GPU-000000a000000000", "GPU-000000a100000000") == (one.uuid, other.uuid)
    assert (1000.0, "SPX/NPS1", "022.040.003.043.000001", 309.221) == (
        one.power_limit_w,
        one.partition,
        one.vbios,
        one.memory_gb,
    )
    assert f"AMD Instinct MI355X, 1000.0 W, driver 6.14.14, ROCm {one.rocm}, partition SPX/NPS1" == one.kind


def test_amd_gpus_whose_library_does_not_start_are_left_to_the_tool(fake_amd, tmp_path, monkeypatch):
    fake_amd(init=34)
    tool = tmp_path / "rocm-smi"
    tool.write_text(f"#!/bin/sh\necho '{json.dumps({'card0': AMD_CARD})}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert ["0x79ccd55167a2124a"] == [gpu.uuid for gpu in gpus.visible_gpus()]


def test_a_tool_that_fails_leaves_no_gpus(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed' >&2\nexit 9\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert () == gpus.visible_gpus()


def test_a_machine_without_a_vendors_tool_has_no_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert () == gpus.visible_gpus()


def test_amd_output_that_is_no_json_leaves_no_gpus():
    assert () == gpus.parse_amd("ERROR: no driver")


def test_a_folders_weights_are_told_apart_by_their_files(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"0" * 1000)
    before = served_weights(run_with(weights=str(tmp_path)))

    (tmp_path / "model.safetensors").write_bytes(b"0" * 1001)
    after = served_weights(run_with(weights=str(tmp_path)))

    assert (None, 1e-6) == (before.commit, before.size_gb)
    assert before.config_sha256 == after.config_sha256
    assert before.files_sha256 != after.files_sha256


@pytest.mark.parametrize("revision", [None, "release", "b" * 40])
def test_a_hub_models_commit_is_the_one_in_the_cache(tmp_path, monkeypatch, revision):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    repository = tmp_path / "hub" / "models--org--model"
    commit = revision if revision == "b" * 40 else "a" * 40
    (repository / "snapshots" / commit).mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / (revision or "main")).write_text(commit)

    found = served_weights(run_with(revision=revision))

    assert (commit, None, 0.0) == (found.commit, found.files_sha256, found.size_gb)


def test_weights_that_are_not_here_are_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    assert served_weights(run_with()) is None
    assert served_weights(run_with(weights="/nowhere")) is None


def test_only_variables_that_shape_an_engine_are_disclosed():
    env = {
        "CUDA_VISIBLE_DEVICES": "0,1",
        "HOME": "/home/user",
        "HF_TOKEN": "hf_secret",
        "MINE": "1",
        "MY_SECRET": "1",
        "NCCL_DEBUG": "WARN",
        "SGLANG_SIMULATE_ACC_TOKEN_MODE": "fixed",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_API_KEY": "secret",
        "VLLM_ATTENTION_BACKEND": "FLASHINFER",
    }

    kept = disclosure.disclosed(env, given={"MINE", "MY_SECRET"})

    assert [
        "CUDA_VISIBLE_DEVICES",
        "MINE",
        "NCCL_DEBUG",
        "SGLANG_SIMULATE_ACC_TOKEN_MODE",
        "TOKENIZERS_PARALLELISM",
        "VLLM_ATTENTION_BACKEND",
    ] == list(kept)


def test_places_names_and_secrets_become_placeholders(monkeypatch):
    monkeypatch.setenv("HOME", "/home/user")
    run = run_with(weights="/home/user/models/m", tokenizer="/home/user/models/m")
    places = disclosure.Placeholders.of(run, port=21000, key="k-1", name="model-77")

    hidden = places.hide(
        {
            "argv": ("/opt/engines/vllm/bin/vllm", "/home/user/models/m", "--port", "21000", "--model-77"),
            "/home/user/x": [21000, "121000", None, "Bearer k-1"],
        }
    )

    assert {
        "argv": ["<venv>/bin/vllm", "<weights>", "--port", "<port>", "--<served-name>"],
        "<home>/x": [21000, "121000", None, "Bearer <key>"],
    } == hidden


def test_a_home_at_the_root_is_in_no_path(monkeypatch):
    monkeypatch.setenv("HOME", "/")

    assert "/opt/engine/bin" == disclosure.Placeholders.of(run_with(weights="org/m")).hide("/opt/engine/bin")


def test_hub_names_stay_as_they_are():
    assert "org/model" == disclosure.Placeholders.of(run_with()).hide("org/model")


@pytest.fixture
def program(tmp_path):
    script = tmp_path / "vllm"
    script.write_text(f"#!{sys.executable}\nprint()\n")
    return script


def test_packages_are_those_of_the_programs_own_python(program):
    known = provenance.collect(run_with(), str(program))

    assert platform.python_version() == known.packages["python"]
    assert importlib.metadata.version("numpy") == known.packages["numpy"]
    assert "vllm" not in known.packages


@pytest.mark.parametrize("first_line", ["#!/bin/sh\n", "\x7fELF", "#!/nowhere/python3\n", ""])
def test_a_program_of_another_kind_has_no_packages(tmp_path, first_line):
    script = tmp_path / "vllm"
    script.write_text(first_line)

    assert {} == provenance.collect(run_with(), str(script)).packages


def test_a_first_line_too_long_for_the_kernel_still_names_its_python(tmp_path):
    script = tmp_path / "vllm"
    script.write_text(f"#!/bin/sh\n'''exec' {sys.executable} \"$0\" \"$@\"\n' '''\n")

    assert "numpy" in provenance.collect(run_with(), str(script)).packages


def test_the_machine_is_described(program):
    known = provenance.collect(run_with(), str(program))

    assert platform.node() == known.node
    assert len(os.sched_getaffinity(0)) == known.cores
    assert known.cpu
    assert known.memory_gb > 0
    assert known == msgspec.json.decode(msgspec.json.encode(known), type=provenance.Provenance)


def test_the_checkout_is_named_by_its_commit(program):
    root = Path(provenance.__file__).parents[2]
    if not (root / ".git").exists():
        assert "not a checkout" == provenance.collect(run_with(), None).git.reason
        return
    said = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == provenance.collect(run_with(), None).git.commit


def test_another_driver_or_power_limit_makes_two_launches_differ(program):
    known = provenance.collect(run_with(), None)
    board = gpus.parse_nvidia(NVIDIA)[0]
    capped = msgspec.structs.replace(board, power_limit_w=500.0)

    one, other = (msgspec.structs.replace(known, gpus=(gpu,)).must_equal() for gpu in (board, capped))

    assert {"machine.gpus"} == {name for name in one if one[name] != other[name]}


def test_another_board_of_the_same_kind_is_circumstance():
    known = provenance.collect(run_with(), None)
    board = gpus.parse_nvidia(NVIDIA)[0]
    one, other = (msgspec.structs.replace(known, gpus=(msgspec.structs.replace(board, uuid=u),)) for u in "ab")

    assert one.must_equal() == other.must_equal()
    assert one.circumstance() != other.circumstance()

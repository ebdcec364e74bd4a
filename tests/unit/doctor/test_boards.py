"""What the doctor says of AMD's GPUs: the real binding over our own library, each fault with its line and remedy."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness import config
from harness.doctor import Examination, State
from harness.doctor.boards import boards, findings_of_stream
from harness.doctor.needs import needs
from harness.power.stream import Device
from harness.spec import EngineSpec, Vendor


@pytest.fixture
def examination(tmp_path, fake_amd):
    """A machine whose slots hold AMD's GPUs, two of them, read for no longer than it takes."""
    slot = tmp_path / "sys/bus/pci/devices/0000:0c:00.0"
    slot.mkdir(parents=True)
    (slot / "vendor").write_text("0x1002\n")
    (slot / "class").write_text("0x120000\n")
    fake_amd(sockets=2, publish=0.01)
    return Examination(root=tmp_path, sensor_s=0.6)


def found(examination):
    return {finding.what: finding for finding in boards(examination)}


def test_good_gpus_are_named_with_limit_and_sensors(examination):
    says = found(examination)

    assert {State.GOOD} == {finding.state for finding in says.values()}
    assert says["GPUs"].says.startswith("2 x AMD Instinct MI355X, 309 GB each; driver 6.14.14, rocm ")
    assert "1400 W, as delivered" == says["power limit"].says
    assert says["sensors"].says.startswith("1407 W now, and energy counters agree; a reading takes ")


def lines(stream):
    return {finding.what: finding for finding in findings_of_stream(Vendor.AMD, stream)}


@pytest.mark.parametrize(
    ("settings", "what", "says", "remedy"),
    [
        ({"slowdown": "inf"}, "sensors", "2 of 2 GPUs: the energy counter stands still", "update amdgpu"),
        (
            {"slowdown": 1024},
            "sensors",
            "energy by the counter is 0.001 of that by power",
            "update amdgpu",
        ),
        ({"zero": 0}, "sensors", "2 of 2 GPUs: power reads 0 W, which is no reading", "update amdgpu"),
        ({"na": "energy"}, "sensors", "2 of 2 GPUs: energy: N/A", "update amdgpu"),
        ({"gen": 200}, "sensors", "2 of 2 GPUs: power: N/A", "update amdgpu"),
        ({"fail": "1:1:2"}, "sensors", "1 of 2 GPUs: gpu: NOT_SUPPORTED", "update amdgpu"),
        ({"trace": "60:1400"}, "clocks", "held down now: power_cap", "power limit"),
        ({"parts": 8}, "whole GPUs", "2 GPUs are split (partition)", "--compute-partition SPX"),
        ({"pids": "12,34"}, "in use", "processes 12, 34 are on them", "stop them"),
        (
            {"cap": "60:1000"},
            "power limit",
            "1000 W on 2 GPUs, where 1400 W is as delivered",
            "sudo amd-smi set --power-cap 1400, unless it is meant to be so",
        ),
    ],
    ids=str,
)
def test_each_fault_has_its_line_and_what_to_do(amd_stream, settings, what, says, remedy):
    finding = lines(amd_stream(until_s=2.0, **{"trace": "60:700"} | settings))[what]

    assert State.WARNING is finding.state
    assert says in finding.says
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("status", "says", "remedy"),
    [(34, "DRIVER_NOT_LOADED", "modprobe amdgpu"), (10, "NO_PERM", "usermod -aG render,video")],
)
def test_a_library_that_does_not_start_has_its_line(examination, fake_amd, status, says, remedy):
    fake_amd(init=status)
    (only,) = boards(examination)

    assert (State.WARNING, "AMD library") == (only.state, only.what)
    assert says in only.says
    assert remedy in only.remedy


def test_a_machine_without_the_library_is_told_from_one_without_gpus(examination, monkeypatch, tmp_path):
    monkeypatch.setenv("ROCM_PATH", str(tmp_path))
    monkeypatch.setenv("ROCM_HOME", str(tmp_path))
    (only,) = boards(examination)

    assert (State.WARNING, "AMD library") == (only.state, only.what)
    assert "no libamd_smi.so" in only.says
    assert "install amd-smi-lib of ROCm" in only.remedy
    assert [] == list(boards(Examination(root=tmp_path / "nowhere")))


def sweep_of(**changes):
    sweep = config.load(Path("quickstart"))
    gpu = config.load_gpu("mi355x")
    return sweep.model_copy(update={"gpu": gpu, "engine": EngineSpec(name="vllm"), "runs": (), "tp": 2} | changes)


def needed(examination, sweep, name="AMD Instinct MI355X", vendor=Vendor.AMD):
    two = [Device(gpu=f"GPU-{n}", name=name, scope="gpu-socket", energy_unit_j=1.0, index=n) for n in range(2)]
    return list(needs(replace(examination, sweep=sweep), {vendor: two}))


def test_what_a_sweep_needs_is_held_against_the_gpus_that_there_are(examination):
    *_, asked = boards(replace(examination, sweep=sweep_of()))

    assert (State.GOOD, "2 x MI355X asked for, 2 of 2 GPUs seen by the server") == (asked.state, asked.says)


def test_gpus_that_a_variable_hides_are_told_from_too_few(examination, monkeypatch):
    (few,) = needed(examination, sweep_of(tp=4))
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    (hidden,) = needed(examination, sweep_of())

    assert (State.BLOCKS, "ask for fewer (tp, pp, dp), or run it on a larger machine") == (few.state, few.remedy)
    assert (State.BLOCKS, "unset the visibility variables") == (hidden.state, hidden.remedy[:30])


@pytest.mark.parametrize(
    ("asked", "name", "other"),
    [
        ("mi355x", "AMD Instinct MI355X", False),
        ("mi355x", "AMD Instinct MI325X", True),
        ("h100", "NVIDIA H100 80GB HBM3", False),
        ("b200", "NVIDIA GB200", True),
        ("gb200", "NVIDIA GB200", False),
        ("rtx6000pro", "NVIDIA RTX PRO 6000 Blackwell Server Edition", False),
    ],
)
def test_another_gpu_than_the_sweeps_is_a_warning(examination, asked, name, other):
    gpu = config.load_gpu(asked)
    slot = examination.root / "sys/bus/pci/devices/0000:0c:00.0/vendor"
    slot.write_text("0x1002\n" if gpu.vendor is Vendor.AMD else "0x10de\n")
    lines = needed(examination, sweep_of(gpu=gpu), name, gpu.vendor)

    assert ([State.WARNING] if other else []) == [line.state for line in lines if line.what == "kind"]


def test_a_sweep_for_another_vendors_gpus_is_blocked(examination):
    (only,) = needed(examination, sweep_of(gpu=config.load_gpu("h100")))

    assert (State.BLOCKS, "2 x H100 asked for, no GPU of NVIDIA here") == (only.state, only.says)


def test_the_emulator_needs_no_gpu(examination):
    assert [] == needed(examination, sweep_of(engine=EngineSpec(name="emulator")))

"""What the doctor says of NVIDIA's GPUs: the real nvidia-ml-py over our own NVML, asked in a process of its own."""

import os

import pytest

from harness.doctor import Examination, State
from harness.doctor.boards import boards


@pytest.fixture
def examination(tmp_path, fake_nvml, monkeypatch):
    """A machine whose slots hold NVIDIA's GPUs, and whose loader finds our library."""
    slot = tmp_path / "sys/bus/pci/devices/0000:0c:00.0"
    slot.mkdir(parents=True)
    (slot / "vendor").write_text("0x10de\n")
    (slot / "class").write_text("0x030200\n")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{fake_nvml}:{os.environ.get('LD_LIBRARY_PATH', '')}")
    monkeypatch.setenv("FAKE_NVML_PERIOD_MS", "10")
    return Examination(root=tmp_path, sensor_s=0.6)


def found(examination):
    return {finding.what: finding for finding in boards(examination)}


def test_good_gpus_are_named_with_limit_and_sensors(examination):
    lines = found(examination)

    assert {State.GOOD} == {finding.state for finding in lines.values()}
    assert lines["GPUs"].says.startswith("8 x NVIDIA H100")
    assert "700 W, as delivered" == lines["power limit"].says
    assert "energy counters agree" in lines["sensors"].says


def test_split_gpus_are_told_with_the_vendors_own_command(examination, monkeypatch):
    monkeypatch.setenv("FAKE_NVML_MIG", "1")
    split = found(examination)["whole GPUs"]

    assert (State.WARNING, "sudo nvidia-smi -mig 0") == (split.state, split.remedy)


def test_gpus_without_their_library_say_what_to_install(examination, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    (only,) = boards(examination)

    assert (State.WARNING, "NVIDIA library") == (only.state, only.what)
    assert "install the NVIDIA driver" in only.remedy

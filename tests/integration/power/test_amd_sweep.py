"""A sweep on the emulator with our MI355X under it, whose HIP numbers run against their PCI addresses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SWEEP = """
model: mimo-163m
gpu: mi355x
precision: bf16
engine: {name: emulator, args: [--profile, h100-like], env: {FAKE_AMD_ON: "7,6"}}
tp: 2
max_running_requests: 8
mtp: [off, 3]
acceptance: golden
workload: 32x32
concurrency: [4]
window: {min_s: 11, max_s: 20}
idle_power_s: 3
demo: true
"""
MTPBENCH = Path(sys.executable).with_name("mtpbench")
BUILD = Path(__file__).parents[2] / "fakes/amdsmi/build.py"
WATTS = 1000.0


@pytest.fixture(scope="module")
def rocm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rocm")
    subprocess.run([sys.executable, BUILD, folder], check=True)
    return folder


def test_power_of_the_sockets_that_hip_names_first_is_in_the_row(rocm, tmp_path):
    (tmp_path / "amd.yaml").write_text(SWEEP)
    env = {name: value for name, value in os.environ.items() if not name.endswith("_VISIBLE_DEVICES")}
    env |= {"ROCM_PATH": str(rocm), "ROCM_HOME": str(rocm), "FAKE_AMD_SKEW": "0"}
    env |= {"FAKE_AMD_TRACE": f"3600:{WATTS}", "FAKE_AMD_HIP": "7,6,5,4,3,2,1,0"}
    asked = ["--require-power", "--retry-invalid", "--only", "*-off-*"]
    for _ in range(3):  # a machine that stalls may spoil a point, which is what verdicts are for
        command = [MTPBENCH, "run", tmp_path / "amd.yaml", "-o", tmp_path / "out", *asked]
        ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
        if ran.returncode != 4:
            break
    (row,) = [json.loads(line) for line in (tmp_path / "out/points.jsonl").read_text().splitlines()]
    (point,) = (tmp_path / "out").glob("*/*/point.json")
    metering = json.loads(point.read_text())["measured"]["metering"]

    assert (0, []) == (ran.returncode, row["invalid"]), ran.stderr
    assert ["GPU-000000a700000000", "GPU-000000a600000000"] == metering["asked"]
    assert ("processes", set(metering["asked"])) == (metering["told_by"], set(metering["used"]))
    assert ("gpu-socket", 1400.0, 2400.0) == (row["power_scope"], row["power_limit_w_gpu"], row["sm_clock_mhz"])
    assert WATTS == pytest.approx(row["power_w_gpu"], rel=0.02)
    assert WATTS == pytest.approx(row["idle_power_w_gpu"], rel=0.02)
    assert (0.0, 0.0) == (row["power_capped_share"], row["throttled_share"])
    assert row["inferencex_power_w_gpu"] is None  # MI300 and later have no mean of a second

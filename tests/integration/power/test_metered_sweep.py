"""A whole sweep on the emulator with our H100 library under it: power flows into rows and tables, and can be lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analysis.outputs import compare_text
from harness.scoring import rescore

SWEEP = """
model: mimo-163m
gpu: h100
precision: bf16
engine: {name: emulator, args: [--profile, h100-like], env: {FAKE_NVML_ON: "0,1"}}
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
WATTS = 400.0


def start(folder: Path, library: Path, *more: str) -> subprocess.Popen:
    (folder / "metered.yaml").write_text(SWEEP)
    env = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    env |= {"LD_LIBRARY_PATH": str(library), "FAKE_NVML_TRACE": f"3600:{WATTS}", "FAKE_NVML_SKEW": "0"}
    command = [str(MTPBENCH), "run", str(folder / "metered.yaml"), "-o", str(folder / "out")]
    return subprocess.Popen([*command, *more], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out" / "points.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def swept(fake_nvml, tmp_path_factory):
    folder = tmp_path_factory.mktemp("metered")
    said = ""
    for _ in range(3):  # a machine that stalls may spoil a point, which is what verdicts are for
        process = start(folder, fake_nvml, "--require-power", "--retry-invalid")
        said += process.communicate(timeout=390)[0]
        if process.returncode != 4:
            break
    assert 0 == process.returncode, said
    (folder / "said").write_text(said)
    return folder


def test_power_is_in_the_rows_of_both_arms(swept):
    for row in rows_of(swept):
        assert ("gpu-board", []) == (row["power_scope"], row["invalid"])
        assert not [code for code in row["warnings"] if "power" in code]
        assert (None, None, "no_node_meter") == (row["node_power_w"], row["node_power_scope"], row["node_power_reason"])
        assert (row["host_power_w"] is None) == (row["host_power_reason"] is not None)
        for name in ("power_w_gpu", "idle_power_w_gpu", "idle_bare_power_w_gpu", "inferencex_power_w_gpu"):
            assert WATTS == pytest.approx(row[name], rel=0.02), name
        assert row["power_w_gpu"] == pytest.approx(row["energy_j_per_tok_output"] * row["output_tok_s_gpu"], rel=0.001)
        assert 1370 / row["power_w_gpu"] == pytest.approx(row["measured_to_provisioned"])
        assert (700.0, 1980.0) == (row["power_limit_w_gpu"], row["sm_clock_mhz"])
        assert (0.0, 0.0) == (row["power_capped_share"], row["throttled_share"])


def test_each_points_line_says_what_it_drew(swept):
    said = (swept / "said").read_text()
    for arm in ("off", "mtp3"):
        line = next(line for line in said.splitlines()[::-1] if f"] {arm}" in line and "tok/s/user" in line)

        assert " W/GPU " in line
        assert "J/output token" in line


def test_the_point_says_which_gpus_were_read(swept):
    for point in (swept / "out").glob("*/*/point.json"):
        metering = json.loads(point.read_text())["measured"]["metering"]

        assert 2 == len(metering["asked"])
        assert ("processes", metering["asked"]) == (metering["told_by"], metering["used"])


def test_score_reproduces_the_rows_from_the_stream(swept, tmp_path):
    shutil.copytree(swept / "out", tmp_path / "out")
    for point in (tmp_path / "out").glob("*/*/point.json"):
        point.unlink()

    rescore(tmp_path / "out")

    assert rows_of(swept) == rows_of(tmp_path)


def test_tables_have_both_bases_and_the_scope(swept):
    text, _ = compare_text([swept / "out"])

    assert "tok/s/MW measured" in text
    assert "tok/s/MW provisioned" in text
    assert 2 == text.count("gpu-board")


def test_a_line_that_was_changed_afterwards_voids_power_alone(swept, tmp_path):
    shutil.copytree(swept / "out", tmp_path / "out")
    stream = next((tmp_path / "out").glob("*off*/c4-l0/power.jsonl"))
    lines = stream.read_bytes().splitlines(keepends=True)
    lines[40] = lines[40].replace(b'"power_w":4', b'"power_w":5')
    stream.write_bytes(b"".join(lines))

    rescore(tmp_path / "out")

    (row,) = (row for row in rows_of(tmp_path) if not row["draft_tokens"])
    (before,) = (row for row in rows_of(swept) if not row["draft_tokens"])
    assert ["power_stream_damaged"] == row["invalid"]  # power was required
    assert (None, "power_stream_damaged") == (row["power_w_gpu"], row["power_w_gpu_reason"])
    assert before["output_tok_s_gpu"] == row["output_tok_s_gpu"]


def test_the_run_survives_its_sampler_and_says_so(fake_nvml, sampler_of, tmp_path):
    process = start(tmp_path, fake_nvml, "--require-power", "--only", "*-off-*")
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out/*/attempt-1/idle-loaded.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(sampler_of(tmp_path), signal.SIGKILL)
    said, _ = process.communicate(timeout=240)

    (row,) = rows_of(tmp_path)
    assert 4 == process.returncode, said
    assert "power_sampler_died" in row["invalid"]
    assert (None, "power_sampler_died") == (row["power_w_gpu"], row["power_w_gpu_reason"])
    assert row["output_tok_s_gpu"] > 0

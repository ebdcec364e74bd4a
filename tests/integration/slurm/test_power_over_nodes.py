"""Power of a server over two nodes, each with GPUs and a clock of its own; and a node whose GPUs somebody holds."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.atomic_files import read_json
from harness.power.stream import read_stream
from harness.slurm import queue

from .conftest import Submittable, until

pytestmark = pytest.mark.slurm

SAMPLER, CLOCK = b"harness.power.sampler", b"harness.power.clock_reporter"
WATTS = 400.0
SHARES = {"h100-1": 1.0, "h100-2": 1.5, "b200-1": 1.0, "b200-2": 1.0}
AHEAD_S = 5000
WIDE = {
    "tp": 16,
    "mtp": "[off]",
    "args": ', "--speed", "2"',
    "engine": ', env: {FAKE_NVML_ON: "0,1,2,3,4,5,6,7"}',
}


def on_the_second_node(program: bytes) -> int | None:
    """A process of this program there, if one runs."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, env = command.read_bytes(), command.with_name("environ").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if program in words and b"srun" not in words and b"SLURMD_NODENAME=h100-2" in env:
            return int(command.parent.name)
    return None


@pytest.fixture(scope="module")
def swept(box, fake_nvml, node_clocks, tmp_path_factory):
    """A sweep of two points whose second node's sampler dies between them; and one whose second node is not free."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_LIBRARY_PATH", str(fake_nvml))
        patch.setenv("FAKE_NVML_TRACE", f"3600:{WATTS}")
        patch.setenv("FAKE_NVML_SKEW", "0")
        patch.setenv("FAKE_NVML_NODES", ",".join(f"{node}:{share}" for node, share in SHARES.items()))
        patch.setenv("LD_PRELOAD", str(node_clocks))
        patch.setenv("FAKE_CLOCK_AHEAD", f"h100-2:{AHEAD_S}")
        free = Submittable(folder=tmp_path_factory.mktemp("free"), concurrency="[2, 3]", window_s=11, **WIDE)
        held = Submittable(folder=tmp_path_factory.mktemp("held"), gpu="b200", **WIDE)
        stranger = subprocess.Popen(
            ["sleep", "600"], env={**os.environ, "SLURMD_NODENAME": "b200-2", "FAKE_NVML_ON": "3"}
        )
        try:
            began_s = time.time()
            for one in (free, held):
                one.submit(power_required=True)
            until(lambda: free.points() == 1)
            for _ in range(2):
                if not free.spoilt():
                    break
                queue.cancel(free.files.results.path)
                for point in [point for run in free.finished().files.results.runs() for point in run.points()]:
                    point.reset()
                free.submit(power_required=True)
                until(lambda: free.points() == 1)
            os.kill(on_the_second_node(SAMPLER), signal.SIGKILL)
            for one in (free, held):
                one.finished()
            held.put_down("gpu_busy", began_s, in_flight=False)
        finally:
            stranger.kill()
            stranger.wait()
    return free, held, stranger.pid


def metering_of(one: Submittable, concurrency: int) -> dict:
    [point] = [done for done in one.files.results.done() if done.row()["concurrency"] == concurrency]
    return read_json(point.point)["measured"]["metering"]


def test_power_is_the_sum_over_all_gpus_of_both_nodes(swept):
    free, _, _ = swept
    row = next(row for row in free.rows() if row["concurrency"] == 2)
    mean_w = WATTS * (SHARES["h100-1"] + SHARES["h100-2"]) / 2

    assert "gpu-board" == row["power_scope"], free.log()
    assert not [code for code in (*row["invalid"], *row["warnings"]) if code.startswith("power")]
    for name in ("power_w_gpu", "idle_power_w_gpu", "idle_bare_power_w_gpu", "inferencex_power_w_gpu"):
        assert mean_w == pytest.approx(row[name], rel=0.02), name
    assert (None, "several_nodes") == (row["host_power_w"], row["host_power_reason"])


def test_each_node_s_gpus_are_asked_for_used_and_told_by_their_processes(swept):
    metering = metering_of(swept[0], 2)

    assert 16 == len(set(metering["asked"]))
    assert set(metering["asked"]) == set(metering["used"])
    assert ("processes", {}) == (metering["told_by"], metering["foreign"])


def test_the_clock_of_the_second_node_was_read_before_and_after(swept):
    free, _, _ = swept
    [node] = metering_of(free, 2)["nodes"]
    [point] = [done for done in free.files.results.done() if done.row()["concurrency"] == 2]
    first, second = (read_stream(point.path / name) for name in ("power.jsonl", "power-1.jsonl"))

    assert ("h100-2", 2) == (node["node"], len(node["ticks"]))
    for tick in node["ticks"]:
        assert AHEAD_S * 1e9 == pytest.approx(tick["ahead_ns"], abs=tick["error_ns"])
        assert 0 < tick["error_ns"] < 25e6
    assert 4000e9 < second.samples[0].t_ns - first.samples[0].t_ns, "kept as it was written, on its own clock"


def test_a_node_without_samples_leaves_the_point_without_power(swept):
    free, _, _ = swept
    row = next(row for row in free.rows() if row["concurrency"] == 3)

    assert "power_sampler_died" in row["invalid"]
    assert (None, "power_sampler_died") == (row["power_w_gpu"], row["power_w_gpu_reason"])
    assert metering_of(free, 3)["failure"].startswith("h100-2: the sampler ended with")


def test_gpus_that_are_held_on_the_second_node_end_the_element_with_node_process_and_memory(swept):
    _, held, stranger = swept
    [end] = held.ends()

    assert ("gpu_busy", 0, False) == (end.reason, end.points, end.requeued)
    assert "b200-2: GPU-" in end.detail
    assert f"21504 MiB filled, by process {stranger}" in end.detail
    assert 1 == end.detail.count("MiB"), "of sixteen GPUs one is held"


def test_nothing_is_left_of_samplers_and_clocks(swept):
    free, held, _ = swept
    until(lambda: on_the_second_node(SAMPLER) is None and on_the_second_node(CLOCK) is None, 20)

    assert () == (*free.servers(), *held.servers())

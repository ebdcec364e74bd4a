"""Several nodes as engines are told of them, and the script that gives each its own."""

import os
import subprocess

import pytest

from harness import config
from harness.engines import Nodes, engine_named
from harness.errors import UserError
from harness.slurm.step import rank_script
from harness.spec import EngineSpec

NODES = Nodes(addresses=("10.0.0.1", "10.0.0.2"), port=7000, interface="ib0")
COLLECTIVES = {"NCCL_SOCKET_IFNAME": "ib0", "GLOO_SOCKET_IFNAME": "ib0"}


def told(engine, rank, **wide):
    sweep = config.load(config.packaged_configs() / "sweeps" / "quickstart-emulator.yaml")
    run = sweep.model_copy(update={"engine": EngineSpec(name=engine), **wide}).all_runs()[0]
    return engine_named(engine).node_args(run, NODES, rank)


def test_vllm_spreads_tensor_ranks_without_ray():
    first, second = told("vllm", 0, tp=16), told("vllm", 1, tp=16)

    assert "--nnodes 2 --node-rank 0 --master-addr 10.0.0.1 --master-port 7000" == " ".join(first.args)
    assert "--nnodes 2 --node-rank 1 --master-addr 10.0.0.1 --master-port 7000 --headless" == " ".join(second.args)
    assert {"VLLM_HOST_IP": "10.0.0.2", **COLLECTIVES} == second.env


def test_vllm_spreads_data_parallel_ranks_evenly():
    first, second = told("vllm", 0, dp=16), told("vllm", 1, dp=16)
    shared = "--data-parallel-size-local 8 --data-parallel-address 10.0.0.1 --data-parallel-rpc-port 7000"

    assert shared == " ".join(first.args)
    assert f"{shared} --data-parallel-start-rank 8 --headless" == " ".join(second.args)
    with pytest.raises(UserError, match="dp: 9 data-parallel ranks do not spread evenly over 2 nodes"):
        told("vllm", 0, dp=9)


def test_sglang_is_told_where_the_first_node_waits():
    second = told("sglang", 1, tp=16)

    assert "--nnodes 2 --node-rank 1 --dist-init-addr 10.0.0.1:7000" == " ".join(second.args)
    assert COLLECTIVES == second.env


def run_script(rank: str, visible: str | None) -> subprocess.CompletedProcess[str]:
    commands = [({"WHO": "the first"}, ("printenv", "WHO")), ({"WHO": "it's me"}, ("printenv", "WHO"))]
    env = {"PATH": os.environ["PATH"], "SLURM_NODEID": rank, "SLURMD_NODENAME": f"node-{rank}"}
    env |= {} if visible is None else {"ROCR_VISIBLE_DEVICES": visible}
    return subprocess.run(
        ["bash", "-c", rank_script(commands, 2)], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("visible", [None, "0,1", "0,1,2,3"])
def test_each_node_runs_its_own_command(visible):
    assert ("the first\n", "it's me\n") == (run_script("0", visible).stdout, run_script("1", visible).stdout)


def test_a_node_with_too_few_gpus_says_so_and_runs_nothing():
    ran = run_script("1", "3")

    assert (1, "", "node-1: has GPUs 3, 2 are needed\n") == (ran.returncode, ran.stdout, ran.stderr)

import pytest

from harness.errors import NoMeter
from harness.power.meters import gpus_of_server
from harness.power.stream import Device
from harness.power.usage import usage


def device(index, **more):
    facts = {"name": "H100", "scope": "gpu-board", "energy_unit_j": 1e-3, "memory_used_gb": 0.5, "processes": ()}
    return Device(gpu=f"GPU-{index}abc", index=index, **facts | more)


DEVICES = [device(index) for index in range(4)]


def asked(count, devices=DEVICES, **env):
    return "".join(gpu[4] for gpu in gpus_of_server("nvidia", devices, env, count))


@pytest.mark.parametrize(
    ("named", "count", "seen"),
    [
        (None, 4, "0123"),
        (None, 2, "01"),
        ("2,3", 2, "23"),
        ("3,1", 2, "31"),
        (" 2 , 0", 2, "20"),
        ("GPU-3abc,GPU-0abc", 2, "30"),
        ("GPU-2", 1, "2"),
        ("1,GPU-2", 2, "12"),
    ],
)
def test_visibility_is_read_as_cuda_reads_it(named, count, seen):
    assert seen == asked(count, **({} if named is None else {"CUDA_VISIBLE_DEVICES": named}))


@pytest.mark.parametrize("named", ["", "0", "-1", "0,9,1", "0,GPU-none,1", "0,GPU-,1", "NoDevFiles"])
def test_the_list_ends_where_it_names_nothing(named):
    with pytest.raises(NoMeter, match="needs 2 GPUs"):
        asked(2, CUDA_VISIBLE_DEVICES=named)


def test_a_mig_instance_stands_for_its_gpu():
    split = [device(0), device(1, shared="mig", parts=("MIG-7", "MIG-8"))]

    assert "1" == asked(1, split, CUDA_VISIBLE_DEVICES="MIG-8")


def test_slurm_names_the_allocation_where_nothing_else_does():
    assert "23" == asked(2, SLURM_JOB_GPUS="2,3")
    assert "0" == asked(1, SLURM_JOB_GPUS="2,3", CUDA_VISIBLE_DEVICES="0")
    # Inside the job's cgroup the library shows its GPUs alone, and counts them from 0.
    assert "01" == asked(2, DEVICES[:2], SLURM_JOB_GPUS="2,3")


def test_processes_tell_a_servers_gpus():
    after = [device(0, processes=(7, 8)), device(1, processes=(9,)), device(2), device(3, processes=(8,))]
    found = usage(DEVICES, after, {8})

    assert (("GPU-0abc", "GPU-3abc"), "processes") == (found.used, found.told_by)
    assert {"GPU-0abc": (7,), "GPU-1abc": (9,)} == found.foreign


def test_memory_tells_them_where_processes_are_of_another_namespace():
    before = [device(0), device(1, processes=(4,))]
    after = [device(0, memory_used_gb=60.0, processes=(31337,)), device(1, processes=(4,))]
    found = usage(before, after, {8})

    assert (("GPU-0abc",), "memory") == (found.used, found.told_by)
    # Who came with the server may be the server; who was there before is not.
    assert {"GPU-1abc": (4,)} == found.foreign


def test_nothing_tells_them_where_neither_is_had():
    found = usage([device(0, memory_used_gb=None)], [device(0, processes=None)], {8})

    assert (None, None, {}) == (found.used, found.told_by, found.foreign)

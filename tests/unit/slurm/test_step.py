"""What is left of an element's servers, in containers and out of them, by programs that stand in."""

import asyncio

import pytest

from harness.slurm import calls
from harness.slurm.job import Job
from harness.slurm.manifest import Element
from harness.slurm.step import ServerStep
from harness.spec import Container

MARK = "/shared/results/slurm/element-0"


@pytest.fixture
def step(stand_in):
    """Of two nodes; srun runs what it is given here."""
    stand_in("scontrol", "echo n1; echo n2")
    stand_in("srun", 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"')
    element = Element(
        number=0, pair="x", launch=0, gpu="h100", nodes=2, gpus_per_node=8, time_min=5, notice_s=60, points=()
    )
    job = Job(key="12_0", task=0, restart=1, nodes="n[1-2]")
    return ServerStep(job, element, MARK, Container(runtime="docker"), None)


@pytest.mark.parametrize(("everywhere", "nodes"), [(True, 2), (False, 1)])
def test_containers_of_this_try_and_of_earlier_ones_are_removed_on_all_nodes(step, stand_in, everywhere, nodes):
    called = stand_in("docker", "[ $1 = ps ] && echo a1; exit 0")
    asyncio.run(step.tidy(everywhere=everywhere))
    calls_of_docker = called.read_text().splitlines()

    assert nodes == calls_of_docker.count(f"ps --all --quiet --filter label=mtpbench.element={MARK}")
    assert nodes == calls_of_docker.count("rm --force a1")


@pytest.mark.parametrize(
    ("docker", "says"),
    [("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "Cannot connect"), ("exec sleep 5", "timed out")],
)
def test_a_docker_that_fails_or_hangs_is_told_and_keeps_no_end_from_being_written(
    step, stand_in, monkeypatch, caplog, docker, says
):
    stand_in("docker", docker)
    monkeypatch.setattr(calls, "LIMIT_S", 1.0)
    asyncio.run(step.tidy(everywhere=False))

    assert "containers that may be left there stay" in caplog.text
    assert says in caplog.text

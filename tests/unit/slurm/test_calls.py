"""Calls of programs that stand in for Slurm's: what is an answer, what a refusal, and what is neither."""

import pytest

from harness.errors import ClusterError, ClusterSilent
from harness.slurm import calls


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Makes a program that prints or fails as told, and counts its calls in `called`."""
    monkeypatch.setattr(calls, "PAUSES_S", (0.0, 0.0))

    def make(script: str) -> str:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\necho x >> {tmp_path}/called\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


def times(tmp_path) -> int:
    return len((tmp_path / "called").read_text().split())


def test_a_busy_slurm_is_asked_again(program, tmp_path):
    busy_once = f"[ $(wc -l < {tmp_path}/called) -gt 1 ] && echo good && exit 0; echo 'Socket timed out' >&2; exit 1"

    assert "good\n" == calls.run(program(busy_once))


def test_a_program_that_died_of_a_signal_is_asked_again(program, tmp_path):
    dies_once = f"[ $(wc -l < {tmp_path}/called) -gt 1 ] && echo good && exit 0; kill -PIPE $$"

    assert "good\n" == calls.run(program(dies_once))


def test_a_program_that_dies_each_time_gives_no_answer(program):
    with pytest.raises(ClusterSilent, match="died of SIGPIPE"):
        calls.run_once(program("kill -PIPE $$"))


def test_a_refusal_is_asked_once(program, tmp_path):
    with pytest.raises(ClusterError, match="invalid partition"):
        calls.run(program("echo 'sbatch: error: invalid partition specified: x' >&2; exit 1"))

    assert 1 == times(tmp_path)


def test_no_answer_is_neither_yes_nor_no(program, tmp_path):
    with pytest.raises(ClusterSilent):
        calls.run(program("echo 'Unable to contact slurm controller (connect failure)' >&2; exit 1"))

    assert 3 == times(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        "slurm_load_jobs error: Protocol authentication error",
        "error: Munge encode failed: Failed to access /run/munge/munge.socket.2: No such file or directory",
        "slurm_load_jobs error: Message send failure",
        "Batch job submission failed: Message receive failure",
        "fatal: Unable to establish configuration source",
        "slurm_load_jobs error: RPC rate limit exceeded, please retry",
    ],
)
def test_a_controller_that_can_t_be_talked_to_for_a_moment_has_refused_nothing(program, tmp_path, words):
    with pytest.raises(ClusterSilent):
        calls.run(program(f"echo '{words}' >&2; exit 1"))

    assert 3 == times(tmp_path)


def test_a_call_that_hangs_is_given_up(program, monkeypatch):
    monkeypatch.setattr(calls, "LIMIT_S", 0.2)

    with pytest.raises(ClusterSilent, match="no answer"):
        calls.run_once(program("exec sleep 30"))


def test_a_machine_without_slurm_is_said_to_be_one(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ClusterError, match="no squeue on PATH"):
        calls.queued({"some-job"})


@pytest.mark.parametrize("variable", ["SLURM_CLUSTERS", "SQUEUE_PARTITION", "SQUEUE_USERS", "SCANCEL_PARTITION"])
def test_every_program_asks_the_same_cluster_for_all_jobs(program, monkeypatch, variable):
    monkeypatch.setenv(variable, "another")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")

    assert "unset /etc/slurm.conf\n" == calls.run(program(f"echo ${{{variable}:-unset}} $SLURM_CONF"))


def test_a_surrounding_job_does_not_shape_the_jobs_that_it_submits(monkeypatch):
    for name in ("SLURM_CONF", "SLURM_JOB_ID", "SBATCH_PARTITION", "SLURMD_NODENAME"):
        monkeypatch.setenv(name, "1")

    kept = {name for name in calls.clean_environment(MORE="2") if name.startswith(("SLURM", "SBATCH", "MORE"))}

    assert {"SLURM_CONF", "MORE"} == kept

"""How a submitted sweep is said to stand, by its files and by programs that stand in for Slurm's."""

import msgspec
import pytest

from harness.atomic_files import write_json
from harness.slurm.endings import End
from harness.slurm.files import ClusterDir, TryDir
from harness.slurm.queue import element_statuses
from harness.slurm.submissions import Submission, record

GONE = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"


def begun(files: ClusterDir, key: str, element: int = 0) -> TryDir:
    made = TryDir(files.element(element) / f"{key}-0")
    write_json(made.begin, {"job": key, "restart": 0, "nodes": "n1"})
    return made


def first(files: ClusterDir) -> tuple[str, str]:
    status = element_statuses(files.results.path)[0]
    return status.state, status.says


@pytest.mark.parametrize(("slurm_says", "state"), [("RUNNING", "running"), ("PENDING", "waiting")])
def test_a_job_that_was_submitted_by_hand_is_seen_by_its_number(frozen, stand_in, slurm_says, state):
    stand_in("scontrol", f"echo 'JobId=41 JobState={slurm_says}'")
    begun(frozen, "41_0")

    assert (state, "as job 41_0, which was submitted by hand") == first(frozen)


@pytest.mark.parametrize("script", [GONE, "echo 'JobId=41 JobState=CANCELLED'"])
def test_a_job_that_was_submitted_by_hand_and_is_gone_was_killed(frozen, stand_in, script):
    stand_in("scontrol", script)
    begun(frozen, "41_0")

    assert "killed" == first(frozen)[0]


def test_of_a_job_that_slurm_does_not_tell_nothing_is_known(frozen, stand_in):
    stand_in("scontrol", "echo 'slurm_load_jobs error: Socket timed out' >&2; exit 1")
    begun(frozen, "41_0")

    assert "unknown" == first(frozen)[0]


def test_a_job_that_was_submitted_is_not_asked_for_again_by_its_number(frozen, stand_in):
    stand_in("squeue", "echo 'mtpbench-x|41|0|CANCELLED|None|0:00||N/A'")
    asked = stand_in("scontrol", GONE)
    submission = Submission(name="mtpbench-x", what="elements", at="2026-11-26T00:00:00", elements=(0, 1))
    record(frozen, msgspec.structs.replace(submission, job="41"))
    begun(frozen, "41_0")

    assert "killed" == first(frozen)[0]
    assert not asked.exists()


@pytest.mark.parametrize("reason", ["time_limit", "preempted", "node_failed"])
@pytest.mark.parametrize("slurm_has", ["", "echo 'mtpbench-x|41|0|TIMEOUT|None|0:00||N/A'"])
def test_an_end_that_was_to_go_on_did_not_where_slurm_has_no_job_for_it(frozen, stand_in, reason, slurm_has):
    stand_in("squeue", slurm_has)
    record(frozen, Submission(name="mtpbench-x", what="elements", at="2026-11-26T00:00:00", job="41", elements=(0, 1)))
    begun(frozen, "41_0").write_end(End(reason=reason, says="it goes on", requeued=True))

    assert (reason, "was not started again; submit again") == first(frozen)


def test_an_end_that_went_back_in_the_queue_waits_there(frozen, stand_in):
    stand_in("squeue", "echo 'mtpbench-x|41|0|PENDING|BeginTime|5:00||N/A'")
    record(frozen, Submission(name="mtpbench-x", what="elements", at="2026-11-26T00:00:00", job="41", elements=(0, 1)))
    begun(frozen, "41_0").write_end(End(reason="time_limit", says="it goes on", requeued=True))

    assert ("waiting", "BeginTime") == first(frozen)

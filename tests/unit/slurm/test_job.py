"""Who a job is, and why Slurm ends it, from what Slurm says."""

import pytest

from harness.errors import UserError
from harness.slurm.job import _reason, this_job

STARTED = "2026-11-26T00:05:34"


def test_an_element_is_never_called_by_a_number_that_is_also_its_arrays():
    env = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3", "SLURM_RESTART_COUNT": "2"}

    assert ("12_3", 3, "12_3-2") == (this_job(env).key, this_job(env).task, this_job(env).name)


def test_a_job_that_is_no_array_measures_the_first_element():
    assert ("12", 0, 0) == (
        this_job({"SLURM_JOB_ID": "12"}).key,
        this_job({"SLURM_JOB_ID": "12"}).task,
        this_job({"SLURM_JOB_ID": "12"}).restart,
    )


def test_outside_of_a_job_there_is_nothing_to_measure():
    with pytest.raises(UserError, match="not in a job of Slurm"):
        this_job({})


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"JobState": "RUNNING"}, None),
        ({"JobState": "RUNNING", "PreemptTime": "None"}, None),
        ({"JobState": "RUNNING", "PreemptTime": "2026-11-26T00:06:00"}, "preempted"),
        ({"JobState": "RUNNING", "PreemptTime": "2026-11-25T23:00:00"}, None),
        ({"JobState": "CANCELLED"}, "cancelled"),
        ({"JobState": "TIMEOUT"}, "time_limit"),
        ({"JobState": "COMPLETING", "RunTime": "00:04:59", "TimeLimit": "00:05:00"}, "cancelled"),
        ({"JobState": "COMPLETING", "RunTime": "00:05:20", "TimeLimit": "00:05:00"}, "time_limit"),
        ({"JobState": "COMPLETING", "RunTime": "1-00:00:00", "TimeLimit": "20:00:00"}, "time_limit"),
        ({"JobState": "COMPLETING", "RunTime": "00:05:20", "TimeLimit": "UNLIMITED"}, "cancelled"),
        ({"JobState": "NODE_FAIL"}, "node_failed"),
        ({"JobState": "PENDING"}, "node_failed"),
        ({}, None),
    ],
)
def test_a_reason_is_what_slurm_says_of_this_run_of_the_job(facts, reason):
    assert reason == _reason({"StartTime": STARTED, **facts})

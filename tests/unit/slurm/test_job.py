"""Who a job is, and why Slurm ends it, from what Slurm says."""

import asyncio
import signal
import time
from datetime import UTC, datetime

import pytest

from harness.errors import ClusterError, UserError
from harness.slurm import job
from harness.slurm.job import Job, _reason, interruption, leave_out, left_s, requeue, this_job

STARTED = "2026-11-26T00:05:34"
JOB = Job(key="12_0", task=0, restart=0, nodes="n1")


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
    assert reason == _reason({"StartTime": STARTED, **facts}, 0)


@pytest.mark.parametrize(("restart", "reason"), [(0, "node_failed"), (1, None), (2, None)])
@pytest.mark.parametrize("preempted", ["None", "2026-11-25T23:00:00"])
def test_a_job_that_slurm_has_started_elsewhere_is_not_this_run_of_it(restart, reason, preempted):
    facts = {"JobState": "RUNNING", "StartTime": STARTED, "Restarts": "1", "PreemptTime": preempted}

    assert reason == _reason(facts, restart)


def test_a_run_that_slurm_has_lost_does_not_put_the_next_one_back_in_the_queue(stand_in):
    called = stand_in("scontrol", "echo 'JobId=13 ArrayJobId=12 ArrayTaskId=0 JobState=RUNNING Restarts=1'")

    noted: list[str] = []
    asyncio.run(requeue(JOB, lambda: noted.append("back")))

    assert ["back"] == noted
    assert "requeue" not in called.read_text()


ANSWERS = "[ $1 = show ] && echo 'JobId=12 JobState=RUNNING Restarts=0' && exit; "


@pytest.mark.parametrize("answer", ["exit 0", "echo '12_0: Job is pending execution' >&2; exit 1"])
def test_a_job_is_said_to_be_back_in_the_queue_though_slurm_ends_it_with_its_answer(stand_in, monkeypatch, answer):
    monkeypatch.setattr(job, "POLLS", 0)
    stand_in("scontrol", f"{ANSWERS} kill -TERM $PPID $$; {answer}")
    noted: list[str] = []
    with pytest.raises(ClusterError, match="runs on"):
        asyncio.run(requeue(JOB, lambda: noted.append("back")))

    assert ["back"] == noted
    assert signal.SIG_DFL == signal.getsignal(signal.SIGTERM)


def test_a_job_that_slurm_does_not_put_back_is_not_said_to_be(stand_in):
    stand_in("scontrol", f"{ANSWERS} echo 'Requested operation is presently disabled' >&2; exit 1")
    noted: list[str] = []
    with pytest.raises(ClusterError, match="presently disabled"):
        asyncio.run(requeue(JOB, lambda: noted.append("back")))

    assert [] == noted


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("slurm_load_jobs error: Invalid job id specified", "cancelled"),
        ("slurm_load_jobs error: Protocol authentication error", None),
        ("slurm_load_jobs error: Zero Bytes were transmitted or received", None),
        ("slurm_load_jobs error: Unspecified error", None),
    ],
)
def test_only_a_job_that_slurm_no_longer_has_was_cancelled(stand_in, words, reason):
    stand_in("scontrol", f"echo '{words}' >&2; exit 1")

    assert reason == asyncio.run(interruption(JOB, polls=1))


def test_a_node_without_scontrol_tells_nothing_of_its_job(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    assert asyncio.run(interruption(JOB, polls=1)) is None


@pytest.fixture
def berlin(monkeypatch):
    """Clocks there go back by an hour on 2026-10-25 at 3."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_time_left_is_right_over_the_end_of_summer_time(berlin, stand_in, monkeypatch):
    stand_in("scontrol", "echo 'JobId=12 EndTime=2026-10-25T04:00:00'")
    monkeypatch.setattr(time, "time", lambda: datetime(2026, 10, 24, 23, 30, tzinfo=UTC).timestamp())

    assert 3.5 * 3600 == asyncio.run(left_s(JOB))


@pytest.mark.parametrize("end", ["Unknown", ""])
def test_a_job_without_an_end_has_no_time_left_to_tell(stand_in, end):
    stand_in("scontrol", f"echo 'JobId=12 EndTime={end}'")

    assert asyncio.run(left_s(JOB)) is None


@pytest.mark.parametrize(("before", "asked"), [("(null)", "n1"), ("n8,n9", "n8,n9,n1")])
@pytest.mark.parametrize("answer", ["exit 0", "echo '12_0: Job is no longer pending execution' >&2; exit 1"])
def test_a_node_is_left_out_by_what_waits_of_the_array(stand_in, before, asked, answer):
    stand_in("squeue", "echo '12|3'; echo '12|4'")
    called = stand_in("scontrol", f"[ $1 = show ] && echo 'JobId=12 ExcNodeList={before}' && exit; {answer}")

    assert asyncio.run(leave_out(JOB, "n1"))
    assert ["show job 12_3 --oneliner", f"update JobId=12 ExcNodeList={asked}"] == called.read_text().splitlines()


def test_where_nothing_waits_or_slurm_refuses_no_node_is_left_out(stand_in):
    called = stand_in("scontrol", "echo 'Access/permission denied' >&2; exit 1")
    alone = Job(key="12", task=0, restart=0, nodes="n1")
    stand_in("squeue", "echo '12|3'")

    assert not asyncio.run(leave_out(JOB, "n1"))
    called.unlink()
    assert not asyncio.run(leave_out(alone, "n1"))
    stand_in("squeue", "")
    assert not asyncio.run(leave_out(JOB, "n1"))
    assert not called.exists()

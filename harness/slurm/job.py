"""The job that this process is a part of: who it is, and why Slurm wants it to end."""

import asyncio
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from harness.errors import ClusterError, UserError
from harness.slurm import calls

logger = logging.getLogger(__name__)

POLLS = 10
"""How often Slurm is asked why a server is gone."""

POLL_S = 0.3
"""Between two of them."""

_BY_STATE = {
    "CANCELLED": "cancelled",
    "TIMEOUT": "time_limit",
    "NODE_FAIL": "node_failed",
    "PREEMPTED": "preempted",
    # Put back in the queue while this process still runs: somebody else did it, mostly Slurm for a node that is down.
    "PENDING": "node_failed",
    "REQUEUED": "node_failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run of a batch job.

    Attributes:
        key: as Slurm's commands take it. Never a number alone: an array's own number is one of its elements' as well.
        task: index in the array; 0 for a job that is none.
        restart: how often Slurm has put it back in the queue.
        nodes: as Slurm writes them, `h100-[1-2]`.
    """

    key: str
    task: int
    restart: int
    nodes: str

    @property
    def name(self) -> str:
        """This run's, and no other's."""
        return f"{self.key}-{self.restart}"


def this_job(env: Mapping[str, str] = os.environ) -> Job:
    """The job that this process runs in.

    Raises:
        UserError: it runs in none.
    """
    if "SLURM_JOB_ID" not in env:
        raise UserError("not in a job of Slurm: mtpbench submit starts this")
    array, task = env.get("SLURM_ARRAY_JOB_ID"), env.get("SLURM_ARRAY_TASK_ID")
    return Job(
        key=env["SLURM_JOB_ID"] if array is None else f"{array}_{task}",
        task=int(task or 0),
        restart=int(env.get("SLURM_RESTART_COUNT", 0)),
        nodes=env.get("SLURM_JOB_NODELIST", ""),
    )


async def interruption(job: Job, polls: int = POLLS) -> str | None:
    """Why Slurm is ending a job, as a code of ENDINGS; None where it is not, or does not say.

    Asked several times where a server is gone: it may be gone before Slurm's own state says why.
    """
    for poll in range(polls):
        if poll:
            await asyncio.sleep(POLL_S)
        try:
            facts = await asyncio.to_thread(calls.job_facts, job.key)
        except ClusterError as error:  # any other refusal is about the question, and says nothing of the job
            return "cancelled" if calls.says_no_such_job(error) else None
        if reason := _reason(facts, job.restart):
            return reason
    return None


async def left_s(job: Job) -> float | None:
    """Seconds until the job's time is up; None where Slurm does not say."""
    try:
        facts = await asyncio.to_thread(calls.job_facts, job.key)
        # Slurm writes local time: not to be subtracted before it is a timestamp, for clocks may be set in between.
        return datetime.fromisoformat(facts.get("EndTime", "")).timestamp() - time.time()
    except (ClusterError, ValueError):
        return None


async def requeue(job: Job, note: Callable[[], None]) -> None:
    """Put the job back in the queue, and wait for Slurm to end this process.

    A process that ended before would make its job a completed one. Where Slurm has put the job back by itself, nothing
    is asked: what runs by its number may be the next run.

    Args:
        job: this one.
        note: called once the job is back in the queue. Slurm's TERM comes with its answer, and is not heeded here;
            KILL follows it.

    Raises:
        ClusterError: Slurm refused, or gave no answer.
    """
    if _started_again(await asyncio.to_thread(calls.job_facts, job.key), job.restart):
        note()
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        await asyncio.to_thread(_ask_to_requeue, job)
        note()
        await asyncio.sleep(calls.LIMIT_S * POLLS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
    raise ClusterError(f"{job.key}: was put back in the queue, and runs on")


def _ask_to_requeue(job: Job) -> None:
    try:
        calls.run("scontrol", "requeue", job.key)
    except ClusterError as error:
        if not calls.says_waits_already(error):
            raise


async def leave_out(job: Job, node: str) -> bool:
    """Have what still waits of the job's array leave a node out, on top of what it leaves out already.

    A node that is free again the moment a job fails on it would otherwise get one element after the other.

    Returns:
        Whether anything that waits now does so.
    """
    array, _, task = job.key.partition("_")
    try:
        waiting = await asyncio.to_thread(calls.waiting_task, array) if task else None
        if waiting is None:
            return False
        before = (await asyncio.to_thread(calls.job_facts, waiting)).get("ExcNodeList", "(null)")
        nodes = node if before in {"", "(null)"} else f"{before},{node}"
        await asyncio.to_thread(calls.run, "scontrol", "update", f"JobId={array}", f"ExcNodeList={nodes}")
    except ClusterError as error:
        if not calls.says_no_longer_waits(error):
            logger.warning("%s: %s is not left out by what still waits: %s", job.key, node, error)
            return False
    return True


def _reason(facts: Mapping[str, str], restart: int) -> str | None:
    if _started_again(facts, restart):  # all else is of the job's next run, not of the one that this process is of
        return "node_failed"
    preempted, started = facts.get("PreemptTime", "None"), facts.get("StartTime", "")
    if preempted[:1].isdigit() and preempted >= started:  # an earlier run of the job may have been preempted
        return "preempted"
    state = facts.get("JobState", "")
    if state == "COMPLETING":  # hides what it will be as long as this process runs
        return "time_limit" if _seconds(facts, "RunTime") >= _seconds(facts, "TimeLimit") else "cancelled"
    return _BY_STATE.get(state)


def _started_again(facts: Mapping[str, str], restart: int) -> bool:
    """Whether Slurm has put the job back in the queue since, which it does by itself where it lost a node."""
    return int(facts.get("Restarts", 0)) > restart


def _seconds(facts: Mapping[str, str], name: str) -> float:
    """A length of time, as `1-02:00:00`; without end where Slurm has none."""
    days, _, clock = facts.get(name, "").rpartition("-")
    try:
        hours, minutes, seconds = map(int, clock.split(":"))
    except ValueError:
        return math.inf
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60.0 + seconds

"""What a node executes: one element of a submitted sweep, from what is missing of it to a written ending.

This process is the job's batch process and gets Slurm's signals: USR1 when its time is nearly up, TERM when it is
cancelled or its node goes down. On either it comes to an end in order: what is measured is saved, the server is
stopped, end.json says why, and an element that the cluster interrupted goes back in the queue.
"""

import asyncio
import logging
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import msgspec

from harness import config
from harness.atomic_files import write_json
from harness.errors import ClusterError, GpuBusy, MtpbenchError, ServerDied, ServerError, UserError
from harness.launch.wrapping import Wrapping
from harness.power.server_gpus import OtherPlace
from harness.rundir import SweepDir
from harness.slurm import calls
from harness.slurm.endings import ENDINGS, End
from harness.slurm.files import ClusterDir, TryDir
from harness.slurm.job import POLLS, Job, interruption, leave_out, left_s, requeue, this_job
from harness.slurm.manifest import TEARDOWN_S, Element, nodes_for
from harness.slurm.ownership import Ownership
from harness.slurm.step import ServerStep
from harness.spec import Cluster, Point, Run, Sweep
from harness.sweep import measure_part

logger = logging.getLogger(__name__)

_SIGNALS = {signal.SIGUSR1: "time_limit", signal.SIGTERM: "terminated", signal.SIGINT: "terminated"}

_SLURM_MAY_KNOW_MORE = {"time_limit", "terminated", "server_died", "server_not_ready"}
"""Endings of which Slurm may know more: one that preempts a job also says that its time is up."""

_PATIENCE_S = 60.0
"""For whoever has the folder alone: `score` and `answer` take seconds."""

_JOB_GOES_ON = {"done", "server_died", "server_not_ready", "gpu_busy", "fault"}
"""Endings at which Slurm has not ended the job, and still starts a step on all its nodes."""


class Interrupted(MtpbenchError):
    """The element must not go on; `str(error)` is a code of ENDINGS."""


async def run_element(folder: Path, first: int = 0) -> int:
    """Measure the element that this job is for.

    Args:
        folder: the results folder, absolute.
        first: element that is task 0 of the job's array.

    Returns:
        Exit status of the job.

    Raises:
        UserError: not in a job, or the folder has no such element.
        ClusterError: Slurm would not put it back in the queue, or does not say.
    """
    job, files = this_job(), ClusterDir(SweepDir(folder))
    elements = files.elements()
    number = first + job.task
    if number >= len(elements):
        raise UserError(f"{files.manifest}: has {len(elements)} elements, none is number {number}")
    work = _Work(files, job, elements[number], files.site(), config.load(files.results.lock))
    write_json(work.try_dir.begin, _begin_record(job, elements[number]))
    try:
        with files.results.shared(_PATIENCE_S):
            end = await _run_try(work)
    except UserError as error:
        end = _end("fault", detail=str(error))
    work.try_dir.write_end(end)
    logger.warning("element %d: %s: %s%s", number, end.reason, end.says, f"\n{end.detail}" if end.detail else "")
    if end.reason == "gpu_busy":
        await _spare_the_others(work, end.detail or "")
    if ENDINGS[end.reason].requeue:
        await requeue(job, lambda: _note_requeued(work, end))
    return ENDINGS[end.reason].code


@dataclass(slots=True)
class _Work:
    """An element at work on a node, and what surrounds its points.

    Attributes:
        notice: why it has to come to an end; None as long as it may go on.
    """

    files: ClusterDir
    job: Job
    element: Element
    site: Cluster
    sweep: Sweep
    notice: str | None = None
    shares_folder: ClassVar[bool] = True
    ownership: Ownership = field(init=False)
    step: ServerStep = field(init=False)

    def __post_init__(self) -> None:
        folder = self.files.element(self.element.number)
        run = self.element.current_points(self.sweep, self.files.results)[0].run
        self.ownership = Ownership(folder / "owner.json", self.job)
        nodes = nodes_for(run, self.site)
        self.step = ServerStep(self.job, self.element, str(folder), nodes.container, nodes.interface)

    @property
    def try_dir(self) -> TryDir:
        """Files of this try: who measures, and how it ended."""
        return TryDir(self.files.element(self.element.number) / self.job.name)

    def done(self) -> int:
        """How many of its points have a row."""
        return self.element.count_done(self.sweep, self.files.results)

    def wrapping(self, run: Run) -> Wrapping:
        """A step of this job."""
        return self.step.wrapping(run)

    def other_nodes(self, run: Run) -> Sequence[OtherPlace]:
        """The job's other nodes."""
        del run
        return self.step.other_nodes()

    def server_processes(self, leader: int | None) -> frozenset[int] | None:
        """Those that bear the element's mark."""
        del leader
        return self.step.processes()

    async def may_start(self, point: Point) -> None:
        """Only while there is time for it, and nobody else has the element."""
        del point
        left = await left_s(self.job)
        if self.notice is None and left is not None and left < self.element.notice_s:
            self.notice = "time_limit"
        self._raise_if_interrupted()

    async def may_save(self, aborted: str | None) -> None:
        """Not a point whose server the cluster took away: it is no fault of the server's, and is measured again.

        A server that is preempted may end in order and only fail requests: so Slurm is asked after every point.
        """
        if reason := await interruption(self.job, polls=1 if aborted is None else POLLS):
            raise Interrupted(reason)
        if not self.ownership.is_held:
            raise Interrupted("superseded")

    def _raise_if_interrupted(self) -> None:
        if not self.ownership.is_held:
            raise Interrupted("superseded")
        if self.notice is not None:
            raise Interrupted(self.notice)


async def _run_try(work: _Work) -> End:
    """Measure, and say how it ended."""
    if await _is_measured_by_another_job(work):
        return _end("duplicate")
    work.ownership.claim()
    before = work.done()
    await work.step.tidy(everywhere=True)
    reason, detail = await _measure(work)
    if reason in _SLURM_MAY_KNOW_MORE:
        reason = await interruption(work.job) or reason
    left = await work.step.tidy(everywhere=reason in _JOB_GOES_ON)
    points = work.done() - before
    return _end(_final_reason(work, reason, points), detail=detail, points=points, left=left)


async def _measure(work: _Work) -> tuple[str, str | None]:
    """Measure what is missing; a code of ENDINGS, and what was said when it was not `done`."""
    measuring = asyncio.create_task(
        measure_part(
            work.sweep,
            work.files.results,
            lambda: work.element.current_points(work.sweep, work.files.results),
            work,
            power_required=work.element.power_required,
            in_virtual_time=work.element.in_virtual_time,
        )
    )
    with _stopping_on_signals(work, measuring):
        try:
            await measuring
        except Interrupted as error:
            return str(error), None
        except asyncio.CancelledError:
            return work.notice or "terminated", None
        except UserError as error:
            return "fault", str(error)
        except ServerDied as error:
            return work.notice or "server_died", str(error)
        except GpuBusy as error:
            return work.notice or "gpu_busy", str(error)
        except ServerError as error:
            return work.notice or "server_not_ready", str(error)
    return "done", None


@contextmanager
def _stopping_on_signals(work: _Work, measuring: "asyncio.Task[None]") -> Iterator[None]:
    """USR1 leaves the point in flight the time to end; TERM does not."""
    loop = asyncio.get_running_loop()

    def on_signal(reason: str) -> None:
        work.notice = work.notice or reason
        grace_s = max(0.0, work.element.notice_s - TEARDOWN_S) if reason == "time_limit" else 0.0
        loop.call_later(grace_s, measuring.cancel)
        with suppress(OSError):  # a full disk must not keep it from ending
            work.try_dir.write_end(_end(reason))  # should this process be killed before it can say more

    for number, reason in _SIGNALS.items():
        loop.add_signal_handler(number, on_signal, reason)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _is_measured_by_another_job(work: _Work) -> bool:
    """Whether another job that Slurm still runs measures the element, whoever submitted it."""
    owner = work.ownership.owner()
    if owner is None or owner.key == work.job.key:
        return False
    return await asyncio.to_thread(calls.job_state, owner.key) == "RUNNING"


async def _spare_the_others(work: _Work, detail: str) -> None:
    """Keep what waits off the node whose GPUs are held: it is free at once, and would get one element after another."""
    try:
        node = _named(detail, await asyncio.to_thread(calls.node_names, work.job.nodes))
    except ClusterError as error:
        logger.warning("%s: the others are not kept off its node: %s", work.job.key, error)
        return
    if await leave_out(work.job, node):
        logger.warning("%s is left out by what still waits of the array", node)


def _named(detail: str, nodes: Sequence[str]) -> str:
    """The node that a detail names; the first one, which this process is on, bears no name there."""
    named = (node for node in nodes[1:] if re.search(rf"(?<![\w.-]){re.escape(node)}: ", detail))
    return next(named, nodes[0])


def _final_reason(work: _Work, reason: str, points: int) -> str:
    """The ending as it has to be taken: nothing is tried for ever."""
    if reason == "time_limit" and not points:
        return "no_progress"
    if ENDINGS[reason].requeue and work.job.restart >= work.site.requeues:
        return "too_often"
    return reason


def _end(reason: str, *, detail: str | None = None, points: int = 0, left: Sequence[int] = ()) -> End:
    ending = ENDINGS[reason]
    return End(
        reason=reason,
        says=ending.says,
        detail=detail,
        points=points,
        left=tuple(left),
    )


def _note_requeued(work: _Work, end: End) -> None:
    with suppress(OSError):  # a full disk; Slurm's queue tells it too
        work.try_dir.write_end(msgspec.structs.replace(end, requeued=True))


def _begin_record(job: Job, element: Element) -> dict[str, object]:
    return {
        "job": job.key,
        "restart": job.restart,
        "nodes": job.nodes,
        "element": msgspec.to_builtins(element),
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
    }

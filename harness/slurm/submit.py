"""Hand a sweep to Slurm: an array for each resource shape, and after them all the job that computes the answer.

May be called again at any time, after any failure: only elements with points missing and nobody at work are
submitted. Each job gets a name of its own, written down before sbatch is called; where sbatch's answer is lost, Slurm
is asked by that name whether it has the job.
"""

import re
import secrets
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import msgspec

from harness import config
from harness.errors import ClusterError, ClusterSilent, UserError
from harness.folder_lock import locked
from harness.paths import job_script
from harness.rundir import SweepDir
from harness.slurm import calls
from harness.slurm.files import ClusterDir
from harness.slurm.manifest import Element, Manner, elements_of
from harness.slurm.sbatch_options import answer_options, array_option, element_options
from harness.slurm.submissions import Submission, active_elements, record, submissions
from harness.spec import Cluster, Sweep
from harness.virtual import refuse_task

TRIES = 3
AS_PLANNED = Manner()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What a call of `submit` found and did.

    Attributes:
        total, done, active: elements; active ones are in Slurm's queue already.
        arrays: what was submitted now.
        answer: the job after them; None where there is nothing to wait for.
        unanswered: nothing is left to measure, no job is to answer, and no comparison is as new as the rows.
    """

    total: int
    done: int
    active: int
    arrays: tuple[Submission, ...]
    answer: Submission | None
    unanswered: bool = False

    def text(self, folder: Path) -> str:
        """For a person: what was submitted, and where to look."""
        arrays = (f"submitted {array.job}: {len(array.elements)} elements" for array in self.arrays)
        answer = () if self.answer is None else (f"submitted {self.answer.job}: the answer, after them",)
        stand = f"{self.done} of {self.total} elements are done, {self.active} were in the queue already"
        left = (
            (f"its comparison is missing or old; compute it with: mtpbench answer {folder}",) if self.unanswered else ()
        )
        return "\n".join((stand, *arrays, *answer, *left, f"look with: mtpbench status {folder}"))


def submit(sweep: Sweep, folder: Path, cluster: Cluster, manner: Manner = AS_PLANNED) -> Submitted:
    """Submit what is missing of a sweep.

    Args:
        sweep: what is asked.
        folder: where the results lie or will lie; every node must see it.
        cluster: the site.
        manner: how it is measured.

    Raises:
        UserError: the site can't run the sweep, or would never start it as asked.
        ClusterSilent: Slurm does not answer; calling again is safe.
        ClusterError: Slurm refused.
    """
    files = ClusterDir(SweepDir(folder.absolute()))
    with locked(files.path / ".submitting"):
        elements = _frozen(files, sweep, cluster, manner)
        known = _reconciled(files)
        queue = calls.queued({one.name for one in known})
        active = active_elements(known, queue)
        unfinished = [element for element in elements if element.is_incomplete(sweep, files.results)]
        todo = [element for element in unfinished if element.number not in active]
        if todo or active:
            _check_startable(answer_options(cluster.answer, (), files.results.path), "answer.slurm", cluster)
        arrays = _submit_arrays(files, cluster, todo)
        after = [*_running_arrays(known, queue), *(array.job or "" for array in arrays)]
        answer = _submit_answer_job(files, cluster, known, queue, after)
    return Submitted(
        total=len(elements),
        done=len(elements) - len(unfinished),
        active=len(active),
        arrays=tuple(arrays),
        answer=answer,
        unanswered=not after and not _answers(known, queue) and _is_unanswered(sweep, files),
    )


def commands(sweep: Sweep, folder: Path, cluster: Cluster, manner: Manner = AS_PLANNED) -> list[str]:
    """Freeze a sweep's elements, and give the commands that would submit what is missing; submits nothing.

    Raises:
        UserError: the site can't run the sweep.
        ClusterError: Slurm does not say how large its arrays may be.
    """
    files = ClusterDir(SweepDir(folder.absolute()))
    with locked(files.path / ".submitting"):
        elements = _frozen(files, sweep, cluster, manner)
    arrays = _arrays(files, cluster, [element for element in elements if element.is_incomplete(sweep, files.results)])
    program = f"MTPBENCH={shlex.quote(_program())}"
    jobs = [f"JOB{number}" for number in range(len(arrays))]
    lines = [*(array.arguments(files, cluster.at_once) for array in arrays), _answer_arguments(files, cluster, jobs)]
    return [f"{program} {shlex.join(['sbatch', *arguments])}" for arguments in lines]


def _frozen(files: ClusterDir, sweep: Sweep, cluster: Cluster, manner: Manner) -> list[Element]:
    if manner.in_virtual_time:
        refuse_task(sweep)
    elements = elements_of(sweep, cluster, manner)
    files.results.claim(config.dump(sweep))
    files.freeze(cluster, elements)
    return elements


def _reconciled(files: ClusterDir) -> list[Submission]:
    """All submissions; of those whose answer was lost, Slurm is asked what became of them."""
    for lost in (one for one in submissions(files) if one.job is None):
        record(files, msgspec.structs.replace(lost, job=_job_named(lost.name) or ""))
    return submissions(files)


@dataclass(frozen=True, slots=True)
class _Array:
    """Elements of one shape whose indexes an array can have; `first` is the element of task 0."""

    first: int
    tasks: list[int]
    options: list[str]

    def arguments(self, files: ClusterDir, at_once: int | None) -> list[str]:
        """What follows the job's name on sbatch's command line."""
        script = [str(job_script("element.slurm")), str(files.results.path), str(self.first)]
        return [*self.options, array_option(self.tasks, at_once), *script]


def _arrays(files: ClusterDir, cluster: Cluster, todo: Sequence[Element]) -> list[_Array]:
    largest = calls.largest_array() if todo else 0
    shapes = groupby(sorted(todo, key=_shape_then_number), key=_shape)
    alike = [list(same) for _, same in shapes]
    return [
        _Array(first, tasks, element_options(elements[0], cluster, files.results.path))
        for elements in alike
        for first, tasks in _split([element.number for element in elements], largest)
    ]


def _running_arrays(known: Sequence[Submission], queue: Sequence[calls.Queued]) -> list[str]:
    """Numbers of the arrays submitted earlier of which something runs or may still run."""
    arrays = {submission.job for submission in known if submission.elements}
    return sorted({job.job for job in queue if job.active and job.job in arrays})


def _submit_arrays(files: ClusterDir, cluster: Cluster, todo: Sequence[Element]) -> list[Submission]:
    arrays = _arrays(files, cluster, todo)
    for array in arrays:
        _check_startable(array.options, "element.slurm", cluster)
    return [
        _sbatch(
            files,
            Submission(
                name=_new_job_name(files),
                what="elements",
                at=_now(),
                first=array.first,
                elements=tuple(array.first + task for task in array.tasks),
            ),
            array.arguments(files, cluster.at_once),
        )
        for array in arrays
    ]


def _submit_answer_job(
    files: ClusterDir,
    cluster: Cluster,
    known: Sequence[Submission],
    queue: Sequence[calls.Queued],
    after: Sequence[str],
) -> Submission | None:
    """One job after all that is under way, to score and compare; an earlier one that still waits would come too early.

    None where nothing is under way.
    """
    if not after:
        return None
    for job in _answers(known, queue):
        calls.run("scancel", job.key)
    asked = Submission(name=_new_job_name(files), what="answer", at=_now())
    return _sbatch(files, asked, _answer_arguments(files, cluster, after))


def _answers(known: Sequence[Submission], queue: Sequence[calls.Queued]) -> list[calls.Queued]:
    """Jobs that answer, or still wait to."""
    names = {one.name for one in known if one.what == "answer"}
    return [job for job in queue if job.name in names and job.active]


def _is_unanswered(sweep: Sweep, files: ClusterDir) -> bool:
    """Whether its arms can be compared, and were not since the last row."""
    if all(run.key == run.baseline.key for run in sweep.all_runs()):
        return False
    comparison = files.results.path / "comparison.md"
    rows_s = max((done.point.stat().st_mtime for done in files.results.done()), default=0.0)
    return not comparison.exists() or comparison.stat().st_mtime < rows_s


def _answer_arguments(files: ClusterDir, cluster: Cluster, after: Sequence[str]) -> list[str]:
    folder = files.results.path
    return [*answer_options(cluster.answer, after, folder), str(job_script("answer.slurm")), str(folder)]


def _sbatch(files: ClusterDir, asked: Submission, arguments: Sequence[str]) -> Submission:
    """Submit once, however often it has to be tried."""
    record(files, asked)
    command = ("sbatch", "--parsable", f"--job-name={asked.name}", *arguments)
    for left in reversed(range(TRIES)):
        try:
            job = calls.run_once(*command, env=_environment()).strip().partition(";")[0]
        except ClusterSilent:
            job = _job_named(asked.name) or ""
            if not job and not left:
                raise
        if job:
            break
    submitted = msgspec.structs.replace(asked, job=job)
    record(files, submitted)
    return submitted


def _job_named(name: str) -> str | None:
    jobs = {job.job for job in calls.queued({name})}
    return min(jobs, default=None)


def _check_startable(options: Sequence[str], script: str, cluster: Cluster) -> None:
    """Let Slurm say now what it would otherwise say never: some requests wait for ever."""
    try:
        calls.run("sbatch", "--test-only", *options, str(job_script(script)), env=_environment())
    except ClusterSilent:
        raise
    except ClusterError as error:
        raise UserError(
            f"cluster {cluster.name}: Slurm would never start this: {error}\n{' '.join(options)}"
        ) from error


def _split(numbers: Sequence[int], largest: int) -> Iterator[tuple[int, list[int]]]:
    """Elements as arrays whose indexes lie below `largest`: the element of task 0, and the tasks."""
    left = list(numbers)
    while left:
        first = 0 if left[-1] < largest else left[0]
        tasks = [number - first for number in left if number - first < largest]
        yield first, tasks
        left = left[len(tasks) :]


def _environment() -> dict[str, str]:
    return calls.clean_environment(MTPBENCH=_program())


def _program() -> str:
    beside = Path(sys.executable).with_name("mtpbench")
    program = str(beside) if beside.exists() else shutil.which("mtpbench")
    if program is None:
        raise UserError("no mtpbench on PATH: the cluster's jobs call it; install it with pip")
    return program


def _new_job_name(files: ClusterDir) -> str:
    folder = re.sub(r"[^\w.-]", "_", files.results.path.name)
    return f"mtpbench-{folder}-{secrets.token_hex(4)}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _shape(element: Element) -> tuple[object, ...]:
    return element.shape


def _shape_then_number(element: Element) -> tuple[object, ...]:
    return (*element.shape, element.number)

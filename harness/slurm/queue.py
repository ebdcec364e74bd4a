"""How a submitted sweep stands, element by element: from its files first, from Slurm second. And how it is cancelled.

What neither says is unknown, and said to be.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import config
from harness.atomic_files import read_json
from harness.errors import ClusterError
from harness.rundir import SweepDir
from harness.slurm import calls
from harness.slurm.calls import Queued
from harness.slurm.endings import GOES_ON, End
from harness.slurm.files import ClusterDir, tries
from harness.slurm.manifest import Element
from harness.slurm.submissions import Submission, jobs_of_elements, submissions
from harness.spec import Sweep

HEADINGS = ("element", "launch", "points", "tries", "state")


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementStatus:
    """How one element stands.

    Attributes:
        points: that it has, as far as is known.
        done: those that have a row.
        tries: jobs and restarts that have begun it.
        state: `done`, `running`, `waiting`, `missing`, `not_started`, a code of ENDINGS, `killed`, or `unknown`.
        says: where it runs and how long it may, why it waits, how it ended.
    """

    element: Element
    points: int
    done: int
    tries: int
    state: str
    says: str


def element_statuses(folder: Path) -> list[ElementStatus]:
    """Every element of a submitted sweep; none for a folder that was not submitted."""
    files = ClusterDir(SweepDir(folder))
    known = submissions(files)
    elements = files.elements()
    sweep = config.load(files.results.lock) if elements else None
    unfinished = [element for element in elements if sweep and element.is_incomplete(sweep, files.results)]
    try:
        jobs, silence = jobs_of_elements(known, calls.queued({one.name for one in known})), None
        by_hand = _jobs_by_hand(files, known, unfinished)
    except ClusterError as error:
        jobs, by_hand, silence = {}, {}, str(error)
    return [
        _status(files, sweep, element, jobs.get(element.number), by_hand.get(element.number), silence)
        for element in elements
        if sweep
    ]


def text(folder: Path) -> str:
    """The same as a table, for a terminal; empty for a folder that was not submitted."""
    statuses = element_statuses(folder)
    if not statuses:
        return ""
    rows = [HEADINGS, *map(_row, statuses)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def cancel(folder: Path) -> list[str]:
    """Cancel every job of a sweep that runs or waits; their numbers.

    Raises:
        ClusterSilent: Slurm does not answer: what runs is not known.
    """
    known = submissions(ClusterDir(SweepDir(folder)))
    jobs = sorted({job.job for job in calls.queued({one.name for one in known}) if job.active})
    for job in jobs:
        calls.run("scancel", job)
    return jobs


def was_submitted(folder: Path) -> bool:
    """Whether Slurm was ever asked to run a sweep."""
    return bool(submissions(ClusterDir(SweepDir(folder))))


def is_active(folder: Path) -> bool:
    """Whether any job of a sweep runs or waits.

    Raises:
        ClusterSilent: Slurm does not answer.
    """
    known = submissions(ClusterDir(SweepDir(folder)))
    return any(job.active for job in calls.queued({one.name for one in known}))


def _jobs_by_hand(
    files: ClusterDir, known: Sequence[Submission], elements: Sequence[Element]
) -> dict[int, tuple[str, str]]:
    """Elements whose last try is of a job that `submit` does not know and Slurm still has: the job's key and state."""
    ours = {one.job for one in known}
    found: dict[int, tuple[str, str]] = {}
    for element in elements:
        made = tries(files.element(element.number))
        key = str(read_json(made[-1].begin)["job"]) if made else ""
        if key and key.partition("_")[0] not in ours:
            state = calls.job_state(key)
            if state is not None and state not in calls.ENDED:
                found[element.number] = (key, state)
    return found


def _status(
    files: ClusterDir,
    sweep: Sweep,
    element: Element,
    job: Queued | None,
    by_hand: tuple[str, str] | None,
    silence: str | None,
) -> ElementStatus:
    points, done = len(element.current_points(sweep, files.results)), element.count_done(sweep, files.results)
    made = tries(files.element(element.number))
    if done == points:
        state, says = "done", ""
    elif silence is not None:
        state, says = "unknown", silence
    elif job is not None and job.active:
        state, says = _in_queue(job)
    elif by_hand is not None:
        key, slurm_says = by_hand
        state, says = "waiting" if slurm_says == "PENDING" else "running", f"as job {key}, which was submitted by hand"
    elif not made:
        state, says = _never_began(job)
    else:
        state, says = _ended(made[-1].read_end())
    return ElementStatus(element=element, points=points, done=done, tries=len(made), state=state, says=says)


def _in_queue(job: Queued) -> tuple[str, str]:
    if job.node:
        return "running", f"on {job.node}, {job.time_left} left"
    starts = "" if job.starts == "N/A" else f", to start {job.starts}"
    return "waiting", f"{job.reason}{starts}"


def _ended(end: End | None) -> tuple[str, str]:
    """How its last try ended, where Slurm has no job of it that runs or may still run."""
    if end is None:
        return "killed", "at once, and said nothing; submit again"
    return end.reason, "was not started again; submit again" if end.reason in GOES_ON else end.says


def _never_began(job: Queued | None) -> tuple[str, str]:
    """Slurm tells by no log that it could not start a job, most often for want of the log's own folder."""
    if job is None or job.state != "FAILED":
        return "missing", "never started; submit again"
    cause = f"Slurm says {job.reason}; is the folder of its log, and mtpbench, there on the node?"
    return "not_started", f"{cause} Then submit again"


def _row(status: ElementStatus) -> Sequence[str]:
    element = status.element
    points = f"{status.done}/{status.points}"
    last = element.launch + element.launches
    launch = str(last) if element.launches == 1 else f"{element.launch + 1}-{last}"
    state = status.state + (f": {status.says}" if status.says else "")
    return (str(element.number), launch, points, str(status.tries), state)

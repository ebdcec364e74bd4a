"""What was asked of sbatch, and which elements Slurm has because of it."""

import os
from collections.abc import Sequence
from typing import Literal

import msgspec

from harness.slurm.calls import Queued
from harness.slurm.files import ClusterDir


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One call of sbatch.

    Attributes:
        name: of the job, and of no other.
        what: `answer` is the job that scores and compares.
        job: Slurm's number; None until it is known, empty where Slurm has no such job.
        first: element that is task 0 of the array.
        elements: numbers in the manifest; none for the answer.
    """

    name: str
    what: Literal["elements", "answer"]
    at: str
    job: str | None = None
    first: int = 0
    elements: tuple[int, ...] = ()


def submissions(files: ClusterDir) -> list[Submission]:
    """Every call of sbatch so far, as it is known now.

    A line that a full disk tore is left out: sbatch is called only after the whole line before is on the disk, and
    without the line after Slurm is asked by name.
    """
    if not files.submissions.exists():
        return []
    whole = filter(None, map(_whole, files.submissions.read_bytes().splitlines()))
    # The later line of a job says more.
    return list({one.name: one for one in whole}.values())


def active_elements(known: Sequence[Submission], queue: Sequence[Queued]) -> dict[int, Queued]:
    """Elements that Slurm runs or may still run, by number."""
    return {element: job for element, job in jobs_of_elements(known, queue).items() if job.active}


def jobs_of_elements(known: Sequence[Submission], queue: Sequence[Queued]) -> dict[int, Queued]:
    """What Slurm has or still remembers of elements, by number: one that may run first, else the newest."""
    by_name = {one.name: one for one in known if one.what == "elements"}
    order = {name: place for place, name in enumerate(by_name)}
    jobs = [job for job in queue if job.task is not None and job.name in by_name]
    jobs.sort(key=lambda job: (job.active, order[job.name]))
    return {by_name[job.name].first + job.task: job for job in jobs if job.task is not None}


def record(files: ClusterDir, submission: Submission) -> None:
    """Write down a call of sbatch: before it is made, and again when its answer is known."""
    with files.submissions.open("a+b") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        torn = file.read() not in (b"", b"\n")
        file.write(b"\n" * torn + msgspec.json.encode(submission) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _whole(line: bytes) -> Submission | None:
    try:
        return msgspec.json.decode(line, type=Submission)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return None

"""What is known of calls of sbatch, also after a write of it that failed half-way."""

import msgspec
import pytest

from harness.rundir import SweepDir
from harness.slurm.files import ClusterDir
from harness.slurm.submissions import Submission, record, submissions


@pytest.fixture
def files(tmp_path):
    (tmp_path / "slurm").mkdir()
    return ClusterDir(SweepDir(tmp_path))


def asked(name: str, job: str | None = None) -> Submission:
    return Submission(name=name, what="elements", at="2026-11-26T00:00:00", job=job)


def tear(files: ClusterDir, submission: Submission) -> None:
    """As a full disk does."""
    with files.submissions.open("ab") as file:
        file.write(msgspec.json.encode(submission)[:-9])


def test_the_later_line_of_a_job_counts(files):
    for job in (None, "12"):
        record(files, asked("a", job))

    assert [asked("a", "12")] == submissions(files)
    assert 2 == len(files.submissions.read_bytes().splitlines())


def test_a_torn_line_hides_no_other_line(files):
    record(files, asked("a", "12"))
    tear(files, asked("b"))
    before = submissions(files)
    record(files, asked("c"))

    assert [asked("a", "12")] == before
    assert [asked("a", "12"), asked("c")] == submissions(files)


def test_a_number_that_was_torn_is_to_be_asked_for_again(files):
    record(files, asked("a"))
    tear(files, asked("a", "12"))

    assert [asked("a")] == submissions(files)


def test_a_line_that_says_something_else_is_not_passed_over(files):
    files.submissions.write_text('{"name": "a", "what": "something new", "at": "x"}\n')

    with pytest.raises(msgspec.ValidationError):
        submissions(files)

"""What is asked of sbatch, which a program stands in for, and what is said of it."""

import os

import pytest

from harness import config
from harness.atomic_files import write_json
from harness.errors import UserError
from harness.rundir import SweepDir
from harness.slurm.files import ClusterDir
from harness.slurm.submissions import Submission, record, submissions
from harness.slurm.submit import Submitted, submit
from harness.spec import AnswerJob

from .conftest import CLUSTER


@pytest.fixture
def sbatch(stand_in):
    """Takes everything but the partition `nowhere`; the file of its calls."""
    stand_in("mtpbench", "")
    stand_in("squeue", "")
    stand_in("scontrol", "echo 'MaxArraySize = 1001'")
    refuses = "case $* in *--partition=nowhere*) echo 'sbatch: error: invalid partition specified' >&2; exit 1;; esac"
    return stand_in("sbatch", f"{refuses}; echo 41")


def again(files: ClusterDir, **site) -> Submitted:
    return submit(config.load(files.results.lock), files.results.path, CLUSTER.model_copy(update=site))


def measured(files: ClusterDir) -> None:
    """A row for every point."""
    for element in files.elements():
        for name in element.points:
            key, _, folder = name.partition("/")
            run = SweepDir(files.results.path).run(key)
            write_json(run.run, {})
            write_json(run.point(folder).point, {})


def test_an_answer_that_slurm_would_never_start_is_said_before_anything_is_submitted(frozen, sbatch):
    with pytest.raises(UserError, match=r"Slurm would never start this: .*invalid partition"):
        again(frozen, answer=AnswerJob(partition="nowhere"))

    assert [] == submissions(frozen)
    assert all("--test-only" in call for call in sbatch.read_text().splitlines())


def test_what_waits_keeps_its_answer_where_the_new_one_can_t_be_submitted(frozen, sbatch, stand_in):
    at = "2026-11-26T00:00:00"
    record(frozen, Submission(name="e", what="elements", at=at, job="41", elements=(0, 1)))
    record(frozen, Submission(name="a", what="answer", at=at, job="42"))
    stand_in("squeue", "printf 'e|41|%s|PENDING|None|5:00||N/A\\n' 0 1; echo 'a|42|N/A|PENDING|Dependency|5:00||N/A'")
    cancelled = stand_in("scancel", "")
    with pytest.raises(UserError, match="would never start"):
        again(frozen, answer=AnswerJob(partition="nowhere"))

    assert not cancelled.exists()


def test_a_sweep_that_is_measured_and_was_never_compared_says_how_to(frozen, sbatch):
    measured(frozen)

    assert f"mtpbench answer {frozen.results.path}" in again(frozen).text(frozen.results.path)
    assert not sbatch.exists()


def test_a_comparison_counts_as_long_as_no_row_is_newer(frozen, sbatch):
    measured(frozen)
    comparison = frozen.results.path / "comparison.md"
    comparison.touch()
    fresh = again(frozen).unanswered
    os.utime(comparison, (0, 0))

    assert (False, True) == (fresh, again(frozen).unanswered)


def test_where_an_answer_still_waits_nobody_is_asked_for_one(frozen, sbatch, stand_in):
    measured(frozen)
    record(frozen, Submission(name="a", what="answer", at="2026-11-26T00:00:00", job="42"))
    stand_in("squeue", "echo 'a|42|N/A|RUNNING|None|5:00|n1|N/A'")

    assert not again(frozen).unanswered

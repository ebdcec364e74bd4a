"""An element's ways to end, without Slurm and without a server."""

import asyncio
import os
import signal
from types import SimpleNamespace

import pytest

from harness.slurm import element
from harness.slurm.element import _end, _is_measured_by_another_job, _named, _stopping_on_signals
from harness.slurm.files import TryDir, tries
from harness.slurm.job import Job
from harness.slurm.manifest import TEARDOWN_S
from harness.slurm.ownership import Ownership


@pytest.mark.parametrize(("number", "notice"), [(signal.SIGTERM, "terminated"), (signal.SIGUSR1, "time_limit")])
def test_a_signal_ends_the_element_though_nothing_can_be_written(tmp_path, number, notice):
    (tmp_path / "12_0-0").write_text("in the way of the try's folder, as a full disk would be")
    short = SimpleNamespace(notice_s=TEARDOWN_S)
    work = SimpleNamespace(notice=None, element=short, try_dir=TryDir(tmp_path / "12_0-0"))

    async def told() -> None:
        measuring = asyncio.create_task(asyncio.Event().wait())
        with _stopping_on_signals(work, measuring):
            os.kill(os.getpid(), number)
            await asyncio.wait_for(measuring, 30.0)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(told())
    assert notice == work.notice


def test_an_end_promises_nothing_before_slurm_has_agreed():
    assert not _end("time_limit").requeued


def job(key: str) -> Job:
    return Job(key=key, task=0, restart=0, nodes="n1")


@pytest.mark.parametrize(
    ("script", "taken"),
    [
        ("echo 'JobId=41 JobState=RUNNING'", True),
        ("echo 'JobId=41 JobState=PENDING'", False),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", False),
    ],
)
def test_a_job_that_was_submitted_by_hand_has_its_element_too(stand_in, tmp_path, script, taken):
    called = stand_in("scontrol", script)
    first, second = (Ownership(tmp_path / "owner.json", job(key)) for key in ("41_0", "42_0"))
    first.claim()

    assert taken == asyncio.run(_is_measured_by_another_job(SimpleNamespace(ownership=second, job=second.job)))
    assert "show job 41_0 --oneliner\n" == called.read_text()


def test_a_folder_that_somebody_keeps_for_himself_is_said_in_the_end(frozen, monkeypatch):
    monkeypatch.setattr(element, "_PATIENCE_S", 0.0)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with frozen.results.held():
        code = asyncio.run(element.run_element(frozen.results.path))
    [made] = tries(frozen.element(0))
    end = made.read_end()

    assert (2, "fault") == (code, end.reason)
    assert "another mtpbench" in end.detail


@pytest.mark.parametrize(
    ("detail", "node"),
    [
        ("GPUs are not free: GPU-1: 21504 MiB filled", "n-1"),
        ("GPUs are not free: n-2: GPU-1: 21504 MiB filled", "n-2"),
        ("GPUs are not free: GPU-1: 9 MiB filled; n-12: GPU-1: 9 MiB filled", "n-12"),
    ],
)
def test_the_node_with_gpus_that_are_held_is_the_one_that_is_named(detail, node):
    assert node == _named(detail, ["n-1", "n-2", "n-12"])

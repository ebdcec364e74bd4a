"""Whole sweeps through a real sbatch, on emulated servers."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import config
from harness.atomic_files import read_json
from harness.errors import ClusterSilent, UserError
from harness.rundir import SweepDir
from harness.slurm import calls, queue
from harness.slurm.logs import log_of, read
from harness.slurm.submissions import active_elements
from harness.slurm.watch import status_screen, watched
from harness.sweep import run_sweep

from .conftest import until

pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def whole(box, tmp_path_factory):
    """A sweep of two arms and two launches, submitted and done."""
    from .conftest import Submittable

    one = Submittable(folder=tmp_path_factory.mktemp("whole"), launches=2)
    one.submit()
    return one.finished()


def test_a_submitted_sweep_ends_with_a_row_for_every_point(whole):
    assert 4 == len(whole.rows())
    assert [["done"], ["done"]] == [whole.reasons(0), whole.reasons(1)]


def test_the_last_job_leaves_the_answer(whole):
    assert whole.files.results.rows.exists()
    assert (whole.folder / "results" / "comparison.md").exists()


def test_arms_of_a_launch_share_a_node_and_take_turns_in_going_first(whole):
    rows = sorted(whole.rows(), key=lambda row: (row["launch"], row["started"]))
    nodes = {(row["launch"], row["node"]) for row in rows}

    assert [0, 3, 3, 0] == [row["draft_tokens"] for row in rows]
    assert 2 == len(nodes)
    assert all(str(node).startswith("h100-") for _, node in nodes)


def test_a_server_is_a_step_that_ends_by_itself_when_asked(whole):
    attempts = [attempt for run in whole.files.results.runs() for attempt in run.attempts()]

    assert ["srun", "--overlap"] == read_json(attempts[0].argv)["argv"][:2]
    assert not any("Killed" in attempt.log.read_text() for attempt in attempts)
    assert () == whole.servers()


def test_a_sweep_that_is_done_submits_nothing_more(whole):
    submitted = whole.submit()

    assert (2, 2, (), None) == (submitted.total, submitted.done, submitted.arrays, submitted.answer)


def test_only_what_is_missing_is_submitted_again(sweep):
    one = sweep(mtp="[off]", launches=2)
    one.submit()
    kept, lost = one.finished().files.results.done()
    measured = kept.requests.stat().st_mtime_ns
    lost.reset()

    submitted = one.submit()
    one.finished()

    assert [(1,)] == [array.elements for array in submitted.arrays]
    assert measured == kept.requests.stat().st_mtime_ns
    assert 2 == one.points()


@pytest.mark.parametrize(
    ("concurrency", "again"), [("[2]", 1), ("{from: 1, to: 2, targets: [249]}", 0)], ids=["steps", "adaptive ladder"]
)
def test_launches_are_added_to_a_sweep_that_is_done(sweep, concurrency, again):
    one = sweep(concurrency=concurrency, window_s=8, speed="")
    one.submit(in_virtual_time=True)
    kept = {done.requests: done.requests.stat().st_mtime_ns for done in one.finished().files.results.done()}
    one = replace(one, launches=2)
    submitted = one.submit(in_virtual_time=True)
    one.finished()

    assert [(again,)] == [array.elements for array in submitted.arrays]
    assert 0 < 2 * len(kept) == one.points()
    assert {0, 1} == {row["launch"] for row in one.rows()}
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def test_what_is_in_the_queue_is_not_submitted_twice(sweep):
    one = sweep(mtp="[off]", launches=2, more=", extra: [--hold]")
    first = one.submit()
    again = one.submit()

    assert [(0, 1)] == [array.elements for array in first.arrays]
    assert ((), 2) == (again.arrays, again.active)
    assert 1 == sum(job.active and job.task is None for job in one.queue()), "one answer waits, not two"


def test_arrays_stay_below_the_largest_index_that_slurm_takes(sweep):
    one = sweep(mtp="[off]", launches=5, more=", extra: [--hold]")
    submitted = one.submit()
    second = submitted.arrays[1]
    calls.run("scontrol", "release", second.job)
    until(lambda: one.points() == 1)

    assert [(0, (0, 1, 2, 3)), (4, (4,))] == [(array.first, array.elements) for array in submitted.arrays]
    assert [4] == [row["launch"] for row in one.rows()]


def test_a_ladder_adds_the_points_on_a_cluster_that_it_adds_here(sweep, tmp_path):
    one = sweep(concurrency="{from: 1, to: 8, targets: [249]}", launches=2, window_s=8, speed="")
    here = tmp_path / "here"
    asyncio.run(run_sweep(config.load(one.sweep_file), here, in_virtual_time=True))
    submitted = one.submit(in_virtual_time=True)
    one.finished()
    [element] = one.files.elements()

    def measured(rows):
        return sorted((row["draft_tokens"], row["launch"], row["concurrency"]) for row in rows)

    assert (1, 2) == (submitted.total, element.launches), "all launches of a pair, for the first one decides"
    assert measured(point.row() for point in SweepDir(here).done()) == measured(one.rows())
    assert len(one.rows()) > 2 * 2 * 3, "points were added to the three steps"
    assert "done" == queue.element_statuses(one.files.results.path)[0].state


def test_an_open_loop_is_measured_on_a_cluster_too(sweep):
    one = sweep(rate="[20, 40]", window_s=2, speed="")
    one.submit()
    rows = one.finished().rows()

    assert [(0, 20), (0, 40), (3, 20), (3, 40)] == sorted((row["draft_tokens"], row["rate"]) for row in rows)
    assert {("poisson", None)} == {(row["arrivals"], row["concurrency"]) for row in rows}
    assert (one.folder / "results" / "comparison.md").exists()


@pytest.mark.parametrize(
    "asked",
    [
        {"more": ", per_node: 9", "tp": 9},
        {"partition": "nowhere"},
        {"more": ", constraint: nothing"},
    ],
    ids=["more GPUs than a node has", "no such partition", "no such feature"],
)
def test_what_slurm_would_never_start_is_said_at_once(sweep, asked):
    one = sweep(**asked)

    with pytest.raises(UserError, match="Slurm would never start this"):
        one.submit()

    assert [] == one.submissions()


def test_a_job_that_slurm_can_t_log_and_so_never_starts_is_told(sweep):
    one = sweep(mtp="[off]", more=", extra: [--output=/no/such/folder/%A_%a.log]")
    one.submit()
    [status] = queue.element_statuses(one.finished().files.results.path)

    assert ("not_started", 0, 0) == (status.state, status.tries, one.points())
    assert "is the folder of its log, and mtpbench, there on the node?" in status.says


def test_the_folder_of_the_logs_is_there_before_slurm_is_asked(sweep):
    one = sweep(mtp="[off]", more=", extra: [--hold]")
    one.submit()
    [array] = [made for made in one.submissions() if made.what == "elements"]

    assert Path(calls.job_facts(f"{array.job}_0")["StdOut"]).parent.is_dir()


def test_an_answer_of_sbatch_that_was_lost_is_no_second_job(sweep, tmp_path, monkeypatch):
    real = calls.run("bash", "-c", "command -v sbatch").strip()
    lossy = tmp_path / "bin" / "sbatch"
    lossy.parent.mkdir()
    lossy.write_text(
        "#!/bin/sh\n"
        f'{real} "$@" > {tmp_path}/said || exit 1\n'
        f'case "$*" in *--test-only*) cat {tmp_path}/said; exit;; esac\n'
        "echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2; exit 1\n"
    )
    lossy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{lossy.parent}{os.pathsep}{os.environ['PATH']}")
    one = sweep(mtp="[off]", more=", extra: [--hold]")
    submitted = one.submit()

    assert [submitted.arrays[0].job] == sorted({job.job for job in one.queue() if job.task is not None})


def test_a_slurm_that_does_not_answer_stops_a_submission_that_can_be_made_again(sweep, tmp_path, monkeypatch):
    conf = tmp_path / "dead.conf"
    text = Path(os.environ["SLURM_CONF"]).read_text()
    conf.write_text("\n".join("SlurmctldPort=9" if "SlurmctldPort" in line else line for line in text.splitlines()))
    one = sweep(mtp="[off]", more=", extra: [--hold]")
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_CONF", str(conf))
        patch.setattr(calls, "PAUSES_S", ())
        with pytest.raises(ClusterSilent):
            one.submit()
    submitted = one.submit()

    assert [(0,)] == [array.elements for array in submitted.arrays]


def test_a_second_job_for_an_element_leaves_it_to_the_first(sweep):
    one = sweep(mtp="[off]", window_s=12)
    one.submit()
    until(lambda: one.files.element(0).joinpath("owner.json").exists())
    [array] = [made for made in one.submissions() if made.what == "elements"]
    facts = calls.job_facts(f"{array.job}_0")
    program = str(Path(sys.executable).with_name("mtpbench"))
    second = calls.run_once(
        "sbatch", "--parsable", "--partition=b200", f"--output={one.folder}/second.log", "--array=0", facts["Command"],
        str(one.files.results.path), env=calls.clean_environment(MTPBENCH=program),
    ).strip()  # fmt: skip
    until(lambda: calls.job_facts(f"{second}_0")["JobState"] in calls.ENDED)
    one.finished()

    assert {"done", "duplicate"} == set(one.reasons())
    assert 1 == one.points()


def test_the_queue_is_seen_element_by_element(sweep):
    one = sweep(mtp="[off]", launches=2, window_s=6, more=", exclude: [h100-2]")
    one.submit()
    folder = one.files.results.path
    until(lambda: "running" in {status.state for status in queue.element_statuses(folder)})
    seen = status_screen(folder)

    assert {"running", "waiting"} == {status.state for status in queue.element_statuses(folder)}
    assert "on h100-1" in seen
    assert {0, 1} == set(active_elements(one.submissions(), one.queue()))


def test_a_sweep_is_watched_and_its_log_followed_to_the_end(sweep):
    one = sweep(mtp="[off]")
    one.submit()
    folder = one.files.results.path
    last = list(watched(folder))[-1]
    until(lambda: list(one.files.path.glob("*_0.log")))
    followed = "".join(read(log_of(folder, "0"), folder, follow=True))

    assert "1 done" in last or "1 invalid" in last
    assert "element 0: done" in followed


def test_the_command_line_submits_and_cancels(sweep):
    one = sweep(mtp="[off]", more=", extra: [--hold]")
    program = Path(sys.executable).with_name("mtpbench")
    folder = str(one.files.results.path)
    asked = [program, "submit", one.sweep_file, "--cluster", one.cluster_file, "-o", folder]
    submitted = subprocess.run(asked, capture_output=True, text=True, check=True)
    cancelled = subprocess.run([program, "cancel", folder], capture_output=True, text=True, check=True)
    until(one.idle)

    assert "1 elements" in submitted.stdout
    assert cancelled.stdout.startswith("cancelled ")

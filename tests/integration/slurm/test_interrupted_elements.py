"""What a cluster does to jobs, done to elements at work: each must tell what happened and lose one point at most."""

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.atomic_files import read_json
from harness.slurm import calls, queue

from .conftest import Submittable, until

pytestmark = pytest.mark.slurm

MANY = "[1, 2, 3, 4, 5, 6, 7, 8]"


def element_of(one: Submittable) -> str:
    return next(job.key for job in one.queue() if job.task == 0)


def take_nodes(one: Submittable) -> None:
    """A job of higher priority wants every node of the kind."""
    options = ("--partition=urgent", f"--gres=gpu:{one.gpu}:8", "--nodes=2", "--exclusive")
    calls.run("sbatch", *options, f"--output={one.folder}/urgent.log", "--wrap=sleep 2", env=calls.clean_environment())


def say_that_time_is_up(one: Submittable) -> None:
    calls.run("scancel", "--batch", "--signal=USR1", element_of(one))


def fail_node(one: Submittable) -> None:
    calls.run("scontrol", "update", f"nodename={one.node()}", "state=DOWN", "reason=a test")


def kill_server(one: Submittable) -> None:
    subprocess.run(["kill", "-KILL", *map(str, one.servers())], check=False)


# Name -> the sweep, and what is done to it after its first point.
FAULTS: dict[str, tuple[dict[str, object], Callable[[Submittable], None]]] = {
    "preempted": ({"gpu": "b200", "partition": "lowprio"}, take_nodes),
    "time_up": ({"gpu": "h100"}, say_that_time_is_up),
    "node_down": ({"gpu": "mi355x"}, fail_node),
    "killed": ({"gpu": "h100"}, kill_server),
}


@pytest.fixture(scope="module")
def ended(box, tmp_path_factory):
    """All faults at once, each on a sweep of its own, and the sweeps when Slurm is done with them."""
    made = {}
    for name, (wanted, _) in FAULTS.items():
        sweep = {"mtp": "[off]", "concurrency": MANY, "window_s": 1.2, **wanted}
        made[name] = Submittable(folder=tmp_path_factory.mktemp(name), **sweep)
        made[name].submit()

    def strike(name: str) -> float:
        until(lambda: made[name].points() >= 1)
        at_s = time.time()
        FAULTS[name][1](made[name])
        return at_s

    with ThreadPoolExecutor() as threads:  # a call of Slurm that takes long holds up no other fault
        done_at = dict(zip(made, threads.map(strike, made), strict=True))
    for name, one in made.items():
        one.finished()
        one.put_down(name, done_at[name])
    for node in set(calls.run("sinfo", "--noheader", "--states=down", "--Node", "--format=%N").split()):
        calls.run("scontrol", "update", f"nodename={node}", "state=RESUME")
    return made


@pytest.mark.parametrize("name", FAULTS)
def test_an_element_that_was_interrupted_is_finished(ended, name):
    one = ended[name]

    assert 8 == one.points(), one.log()
    assert "done" == one.reasons()[-1]


@pytest.mark.parametrize("name", FAULTS)
def test_an_interrupted_element_leaves_nothing_behind(ended, name):
    one = ended[name]

    assert () == one.servers()
    assert [] == list(one.files.results.path.rglob("*.partial"))


def test_preemption_is_told_from_a_crash_and_goes_on(ended):
    assert ["preempted", "done"] == ended["preempted"].reasons()
    assert ended["preempted"].ends()[0].requeued


def test_an_element_whose_time_is_up_goes_on_where_it_was(ended):
    first, last = ended["time_up"].ends()

    assert ("time_limit", True) == (first.reason, first.requeued)
    assert 8 == first.points + last.points


def test_a_node_that_goes_down_is_left_for_another(ended):
    one = ended["node_down"]

    assert ["node_failed", "done"] == one.reasons()
    assert 2 == len({row["node"] for row in one.rows()})


def test_no_row_is_spoilt_by_the_cluster(ended):
    spoilt = {name: [row for row in one.rows() if "server_died" in row["invalid"]] for name, one in ended.items()}

    assert {"preempted": 0, "time_up": 0, "node_down": 0} == {
        name: len(rows) for name, rows in spoilt.items() if name != "killed"
    }


def test_a_server_that_is_killed_costs_a_point_and_is_started_anew(ended):
    one = ended["killed"]
    [run] = one.files.results.runs()

    assert ["done"] == one.reasons()
    assert 2 == len(run.attempts())


def test_each_try_has_a_folder_and_each_server_another(ended):
    one = ended["preempted"]
    [run] = one.files.results.runs()

    assert 2 == len(one.ends())
    assert len(run.attempts()) > 1, (
        "between two points a new server may be tried before Slurm says why the old one died"
    )


def test_an_element_without_progress_is_not_started_for_ever(sweep):
    one = sweep(mtp="[off]", window_s=60)
    one.submit(time_min=1)  # Slurm says half a minute before that it is over
    one.finished()
    one.put_down("time limit of a minute, from its start", one.began_s())

    assert ["no_progress"] == one.reasons()
    assert 0 == one.points()


def test_a_server_that_never_comes_up_fails_its_element_and_no_other(sweep):
    bad, good = sweep(mtp="[off]", args=', "--no-such-flag"'), sweep(mtp="[off]", gpu="b200")
    now_s = time.time()
    bad.submit()
    good.submit()
    bad.finished()
    good.finished()
    bad.put_down("not_ready", now_s, in_flight=False)
    [end] = bad.ends()

    assert ("server_not_ready", False) == (end.reason, end.requeued)
    assert "no-such-flag" in end.detail
    assert ["done"] == good.reasons()
    assert list(bad.files.path.glob("answer-*.log")), "the answer is computed however elements end"


def test_cancelling_a_sweep_leaves_no_process_and_nothing_half_written(sweep):
    one = sweep(launches=3, window_s=60)
    one.submit()
    until(lambda: one.servers(0) and one.servers(1))
    now_s = time.time()
    queue.cancel(one.files.results.path)
    one.finished()
    until(lambda: not one.servers())
    one.put_down("cancelled", now_s)

    assert [] == list(one.files.results.path.rglob("*.partial"))
    assert 0 == one.points()
    assert {"cancelled", "missing"} == {status.state for status in queue.element_statuses(one.files.results.path)}


def test_gpus_are_those_of_the_vendor(sweep):
    one = sweep(mtp="[off]", gpu="mi355x")
    one.submit()
    [attempt] = [attempt for run in one.finished().files.results.runs() for attempt in run.attempts()]
    env = read_json(attempt.argv)["env"]

    assert "0,1,2,3,4,5,6,7" == env["ROCR_VISIBLE_DEVICES"], "a node of its own, with all its GPUs"
    assert "CUDA_VISIBLE_DEVICES" not in env


def test_an_image_is_started_by_the_sites_runtime(sweep):
    one = sweep(
        mtp="[off]",
        engine=", image: /images/engine.sqsh",
        more=", container: {runtime: pyxis, mounts: [/models], args: [--container-writable]}",
        window_s=3,
    )
    one.submit()
    until(one.servers)
    until(lambda: any("PYXIS_STUB_CONTAINER_IMAGE" in environment(pid) for pid in one.servers()))
    seen = next(env for env in map(environment, one.servers()) if "PYXIS_STUB_CONTAINER_IMAGE" in env)
    one.finished()

    assert "/images/engine.sqsh" == seen["PYXIS_STUB_CONTAINER_IMAGE"]
    assert "/models:/models" == seen["PYXIS_STUB_CONTAINER_MOUNTS"]
    assert {"PYXIS_STUB_CONTAINER_WRITABLE", "PYXIS_STUB_NO_CONTAINER_MOUNT_HOME"} <= seen.keys()
    assert 1 == one.points()


def environment(pid: int) -> dict[str, str]:
    try:
        words = Path(f"/proc/{pid}/environ").read_text().split("\0")
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)

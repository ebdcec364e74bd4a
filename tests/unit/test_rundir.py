import json
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from harness import folder_lock
from harness.atomic_files import atomic, write_json, write_text
from harness.errors import LockMismatch, ResultsError, UserError
from harness.rundir import PointDir, SweepDir


def done_point(sweep, key, folder, **row):
    sweep.run(key).path.mkdir(parents=True, exist_ok=True)
    write_json(sweep.run(key).run, {})
    point = sweep.run(key).point(folder)
    point.finish({"run_key": key, **row}, attempt=1)
    return point


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_text(path, "old")

    with pytest.raises(RuntimeError, match="cut"), atomic(path) as partial:
        partial.write_text("half")
        raise RuntimeError("cut")

    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_a_number_that_is_no_number_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "point.json", {"tpot_s": float("nan")})

    assert [] == list(tmp_path.iterdir())


def test_a_point_is_measured_with_its_samples_and_done_with_its_row(tmp_path):
    point = PointDir(tmp_path / "c8-l0")
    stages = [(point.measured, point.done)]
    write_text(point.engine, "")
    stages.append((point.measured, point.done))
    write_text(point.requests, "")
    stages.append((point.measured, point.done))
    point.finish({"x": 1})
    stages.append((point.measured, point.done))

    assert [(False, False), (False, False), (True, False), (True, True)] == stages


def test_a_reset_point_is_to_be_measured_again(tmp_path):
    point = PointDir(tmp_path / "c8-l0")
    write_text(point.requests, "")
    point.finish({"x": 1})
    point.reset()

    assert not point.measured
    assert not point.done


def test_rows_stand_by_run_then_launch_then_concurrency(tmp_path):
    sweep = SweepDir(tmp_path)
    for key, folder in (("b", "c8-l0"), ("a", "c16-l1"), ("a", "c16-l0"), ("a", "c8-l1"), ("a", "c2-l0")):
        done_point(sweep, key, folder, at=folder)
    rows = sweep.rebuild()

    assert [("a", "c2-l0"), ("a", "c16-l0"), ("a", "c8-l1"), ("a", "c16-l1"), ("b", "c8-l0")] == [
        (row["run_key"], row["at"]) for row in rows
    ]
    assert rows == [json.loads(line) for line in sweep.rows.read_text().splitlines()]


def test_a_point_without_its_last_file_has_no_row(tmp_path):
    sweep = SweepDir(tmp_path)
    done_point(sweep, "a", "c8-l0")
    write_text(sweep.run("a").point("c16-l0").requests, "")

    assert 1 == len(sweep.rebuild())


def test_a_spoilt_row_is_named(tmp_path):
    sweep = SweepDir(tmp_path)
    point = done_point(sweep, "a", "c8-l0")
    point.point.write_text("{")

    with pytest.raises(ResultsError, match=r"c8-l0/point.json: not JSON .*; delete the file and run again"):
        sweep.rebuild()


def test_attempts_count_on_and_keep_their_logs(tmp_path):
    run = SweepDir(tmp_path).run("a")
    made = [run.new_attempt() for _ in range(11)]
    made[0].log.write_text("died")

    assert list(range(1, 12)) == [attempt.number for attempt in run.attempts()]
    assert "died" == run.attempt(1).log.read_text()


def test_the_same_sweep_may_claim_its_folder_again(tmp_path):
    sweep = SweepDir(tmp_path / "new")
    sweep.claim("name: a\n")
    sweep.claim("name: a\n")

    assert "name: a\n" == sweep.lock.read_text()


def test_more_launches_of_the_same_sweep_are_added(tmp_path):
    sweep = SweepDir(tmp_path)
    for launches in (2, 3, 12):
        sweep.claim(f"name: a\nlaunches: {launches}\ntp: 1\n")

    assert "name: a\nlaunches: 12\ntp: 1\n" == sweep.lock.read_text()


@pytest.mark.parametrize("asked", ["launches: 2\ntp: 1\n", "launches: 4\ntp: 8\n", "tp: 1\n"])
def test_fewer_launches_and_what_differs_besides_are_refused(tmp_path, asked):
    sweep = SweepDir(tmp_path)
    sweep.claim("launches: 3\ntp: 1\n")

    with pytest.raises(LockMismatch):
        sweep.claim(asked)

    assert "launches: 3\ntp: 1\n" == sweep.lock.read_text()


def test_another_sweep_is_refused_with_the_difference(tmp_path):
    sweep = SweepDir(tmp_path)
    sweep.claim("name: a\ntp: 1\n")

    with pytest.raises(LockMismatch) as caught:
        sweep.claim("name: a\ntp: 8\n")

    assert "-tp: 1\n+tp: 8" in str(caught.value)
    assert "name: a\ntp: 1\n" == sweep.lock.read_text()


def test_two_harnesses_in_one_folder_are_refused(tmp_path):
    with SweepDir(tmp_path).held(), pytest.raises(UserError, match="another mtpbench"), SweepDir(tmp_path).held():
        pass


def test_the_hold_ends_with_the_block(tmp_path):
    with SweepDir(tmp_path).held():
        pass
    with SweepDir(tmp_path).held():
        pass


def test_who_wants_the_folder_alone_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    results, alone = SweepDir(tmp_path), ExitStack()
    alone.enter_context(results.held())
    monkeypatch.setattr(folder_lock.time, "sleep", lambda _: alone.close())
    with results.shared(patience_s=60.0):
        pass

    with results.held(), pytest.raises(UserError, match="another mtpbench"), results.shared(patience_s=0.0):
        pass


def test_half_written_files_of_a_killed_harness_go(tmp_path):
    left = tmp_path / "a" / "c8-l0" / ".requests.parquet.123.partial"
    write_text(left, "half")
    with SweepDir(tmp_path).held():
        assert not left.exists()


WRITER = """
import sys
from pathlib import Path
from harness.rundir import SweepDir
from harness.atomic_files import write_json, write_text
sweep = SweepDir(Path(sys.argv[1]))
with sweep.held():
    sweep.claim("name: crash\\n")
    run = sweep.run("run")
    run.path.mkdir(exist_ok=True)
    write_json(run.run, {"key": "run"})
    print("writing", flush=True)
    number = len(run.points())
    while True:
        point = run.point(f"c{number + 1}-l0")
        point.reset()
        write_text(point.engine, "{}\\n" * 500)
        write_text(point.requests, "PAR1" * 5000 + "end")
        point.finish({"number": number, "filler": "x" * 5000})
        sweep.rebuild()
        number += 1
"""


def test_a_folder_is_whole_wherever_its_writer_is_killed(tmp_path):
    sweep, last = SweepDir(tmp_path), 7
    for round_ in range(last + 1):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        try:
            assert "writing" == writer.stdout.readline().strip()
            deadline = time.monotonic() + 60
            while round_ == last and not sweep.rows.exists() and time.monotonic() < deadline:
                time.sleep(0.01)  # however slowly this disk writes
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=0.01 + 0.013 * round_)
        finally:
            writer.kill()
            writer.communicate()
        listed = [json.loads(line) for line in sweep.rows.read_text().splitlines()] if sweep.rows.exists() else []
        with sweep.held():
            points = sweep.run("run").points()
            rows = sweep.rebuild()

        assert all(point.requests.read_text().endswith("end") for point in points if point.measured)
        assert all(point.measured for point in points if point.done)
        assert len(rows) - len(listed) in (0, 1)
        assert listed == rows[: len(listed)]
        assert not list(tmp_path.rglob("*.partial"))

    assert rows

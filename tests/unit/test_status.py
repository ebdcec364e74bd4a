"""Where a sweep stands, from its files alone: what is done, running, invalid and why, and the time left."""

from pathlib import Path

import msgspec
import pytest

from harness import config, server_note, status
from harness.atomic_files import read_json, write_json
from harness.errors import ResultsError
from harness.progress.grid import Cell
from harness.records import Window
from harness.rundir import SweepDir
from harness.spec import expand
from harness.units import NS_PER_S


@pytest.fixture
def sweep():
    return config.load(Path("quickstart-emulator")).model_copy(update={"launches": 2})


@pytest.fixture
def results(sweep, tmp_path) -> SweepDir:
    found = SweepDir(tmp_path)
    found.claim(config.dump(sweep))
    return found


def finish(results, point, *, invalid=(), warnings=(), window_s=10):
    edges = tuple(block * window_s * NS_PER_S // 10 for block in range(11))
    window = Window(
        start_ns=0,
        end_ns=edges[-1],
        blocks_ns=edges,
        request_time_s=1.0,
        cut_s=2.0,
        looks=1,
        capped=False,
        steady=True,
    )
    files = results.run(point.run.key).point(point.folder)
    files.finish({"invalid": list(invalid), "warnings": list(warnings)}, window=msgspec.to_builtins(window))


def states(found):
    return [each.cell for each in found.points]


def test_a_folder_that_nobody_has_begun_is_all_left_with_a_planned_time(results, tmp_path):
    found = status.read(tmp_path)

    assert {Cell.LEFT} == set(states(found))
    assert 0 < found.left_s.low < found.left_s.high
    assert "nothing is running now" in status.render(found)


def test_points_are_told_apart_by_their_rows(results, sweep, tmp_path):
    good, odd, bad, raw, *_ = expand(sweep)
    finish(results, good)
    finish(results, odd, warnings=["capped"])
    finish(results, bad, invalid=["not_steady"])
    files = results.run(raw.run.key).point(raw.folder)
    files.path.mkdir(parents=True)
    files.requests.touch()
    found = status.read(tmp_path)

    assert [Cell.DONE, Cell.WARNED, Cell.INVALID, Cell.SAVED] == states(found)[:4]
    assert {Cell.LEFT} == set(states(found)[4:])
    said = status.render(found)
    assert f"invalid not_steady: off c{bad.concurrency} launch 1" in said
    assert "warning capped" in said


def test_what_this_process_measures_is_running_until_it_says_otherwise(results, sweep, tmp_path):
    point = expand(sweep)[0]
    attempt = results.run(point.run.key).new_attempt()
    server_note.write_server_note(attempt, point.launch, "measuring", point=point.folder, ready_s=3.0)
    while_it_runs = status.read(tmp_path)
    server_note.write_server_note(attempt, point.launch, "stopped", ready_s=3.0)
    afterwards = status.read(tmp_path)

    assert (Cell.RUNNING, 1) == (states(while_it_runs)[0], len(while_it_runs.servers))
    assert (Cell.LEFT, 0) == (states(afterwards)[0], len(afterwards.servers))


@pytest.mark.parametrize("changed", [{"pid_started": 1}, {"boot": "another"}])
def test_a_note_that_a_killed_harness_left_is_not_believed(results, sweep, tmp_path, changed):
    point = expand(sweep)[0]
    attempt = results.run(point.run.key).new_attempt()
    server_note.write_server_note(attempt, point.launch, "measuring", point=point.folder)
    write_json(attempt.now, read_json(attempt.now) | changed)

    assert Cell.LEFT == states(status.read(tmp_path))[0]


def test_a_note_from_another_machine_is_believed(results, sweep, tmp_path):
    point = expand(sweep)[0]
    attempt = results.run(point.run.key).new_attempt()
    server_note.write_server_note(attempt, point.launch, "measuring", point=point.folder)
    write_json(attempt.now, read_json(attempt.now) | {"host": "elsewhere", "boot": "another"})

    assert Cell.RUNNING == states(status.read(tmp_path))[0]


def test_the_time_left_is_what_the_same_points_took_before(results, sweep, tmp_path):
    *measured, last = expand(sweep)
    for point in measured:
        finish(results, point, window_s=10 if point.concurrency != last.concurrency else 40)
    attempt = results.run(last.run.key).new_attempt()
    server_note.write_server_note(attempt, last.launch, "stopped", ready_s=3.0)
    found = status.read(tmp_path)

    # Cut and two requests, the window, a start.
    assert 2 + 2 + 40 + 3 == pytest.approx(found.left_s.low)
    assert 2 + 2 + 40 + 3 == pytest.approx(found.left_s.high)


def test_a_folder_that_is_none_of_ours_is_said(tmp_path):
    with pytest.raises(ResultsError, match="no results of"):
        status.read(tmp_path)


def test_a_note_that_is_none_of_ours_is_said(results, sweep, tmp_path):
    attempt = results.run(expand(sweep)[0].run.key).new_attempt()
    write_json(attempt.now, {"launch": "one"})

    with pytest.raises(ResultsError, match=r"now\.json"):
        status.read(tmp_path)

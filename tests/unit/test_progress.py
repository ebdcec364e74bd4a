"""What a person sees of a run: a grid of points, current rates, and a drawing process that holds up nothing."""

import logging
import os
import pty
import signal
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from msgspec import structs

from harness import config
from harness.power.stream import encode_line
from harness.progress.grid import Cell, grid, name_of, summary
from harness.progress.live import Progress
from harness.progress.messages import Line, SweepState, UnderWay
from harness.progress.recent import Recent
from harness.progress.screen import LiveView
from harness.records import EngineCounters, Estimate, PointResult
from harness.spec import Arrivals, Point, expand


@pytest.fixture
def points():
    return expand(config.load(Path("quickstart-emulator")))


@contextmanager
def terminal() -> Iterator[list[bytes]]:
    """A terminal for stderr, read all the while; what was written to it is there when the block has ended."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 160))
    kept, stderr = os.dup(2), sys.stderr
    found: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(ours, found))
    reader.start()
    os.dup2(theirs, 2)
    sys.stderr = file = os.fdopen(theirs, "w")
    try:
        yield found
    finally:
        sys.stderr = stderr
        file.close()
        os.dup2(kept, 2)
        os.close(kept)
        reader.join()
        os.close(ours)


def read_all(terminal: int, found: list[bytes]) -> None:
    with suppress(OSError):  # Linux's way to say that a terminal has no writer any more
        while part := os.read(terminal, 65536):
            found.append(part)


def test_the_grid_has_a_line_for_each_launch_and_says_what_its_marks_mean(points):
    cells = [Cell.DONE, Cell.INVALID, Cell.RUNNING, *[Cell.LEFT] * (len(points) - 3)]
    head, off, mtp, legend = grid(zip(points, cells, strict=True))

    assert ["launch", "c1", "c8", "c64"] == head.split()
    assert ["off", "1", "ok", "BAD", "now"] == off.split()
    assert ["mtp3-al3.39", "1", ".", ".", "."] == mtp.split()
    assert "BAD invalid; now under way; . left" == legend


def test_the_grids_columns_of_an_open_loop_go_up_by_rate(points):
    run, workload = points[0].run, points[0].workload
    at_rates = [
        Point(run=run, workload=workload, rate=rate, arrivals=Arrivals(), launch=0) for rate in (10.0, 0.5, 2.0)
    ]

    assert ["launch", "r0.5", "r2", "r10"] == next(grid((point, Cell.LEFT) for point in at_rates)).split()
    assert "off r10 launch 1" == name_of(at_rates[0])


def test_recent_growth_forgets_what_is_older_than_its_span():
    recent = Recent(span_s=5)
    rates = []
    for second in range(20):
        grown = recent.grown(second, 100.0 * min(second, 10))
        rates.append(None if grown is None else grown[1] / grown[0])

    assert [None, 100.0, 100.0] == rates[:3]
    assert 0.0 == rates[-1]


def test_another_points_clock_starts_anew():
    recent = Recent()
    recent.grown(50.0, 9000)

    assert None is recent.grown(0.5, 10)


def test_without_a_terminal_there_are_plain_lines_alone(points, capsys):
    with Progress((point, Cell.LEFT) for point in points) as progress:
        progress.starting(points[0].run, 0)
        progress.begins(points[0], "about 1 min left")
        progress.measuring(points[0], elapsed_s=1, expected_s=9, in_flight=1, finished=0, output_tokens=50)

    assert ["starting emulator, off, launch 1: " + points[0].run.key] == capsys.readouterr().err.splitlines()


def test_on_a_terminal_rates_acceptance_and_the_stamp_are_shown(points, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    point = points[-1]
    with terminal() as shown, Progress((each, Cell.LEFT) for each in points) as progress:
        progress.begins(point, "about 1 min left")
        for second in range(4):
            progress.counters(EngineCounters(t_ns=second * 10**9, drafts=10.0 * second, accepted_tokens=15.0 * second))
            progress.measuring(
                point, elapsed_s=second + 0.1, expected_s=9, in_flight=64, finished=3, output_tokens=6400 * second
            )
    said = text(shown)

    assert "(emulated)  (forced-acceptance)  now 100.0 tok/s for each user  6400 output tok/s/GPU" in said
    assert "acceptance 2.50  64 in flight, 3 done" in said
    assert "about 1 min left" in said


@pytest.mark.parametrize(
    ("faults", "said"),
    [((), "GPUs draw 800 W  0.125 J for each output token"), (("power_w: lost",), "power not read")],
)
def test_power_of_this_moment_is_shown_where_gpus_are_read(points, power_stream, board, tmp_path, faults, said):
    now_s = time.monotonic()
    stream = power_stream((board(), board(gpu="GPU-1")), start_s=now_s - 1.5, end_s=now_s + 30)
    lost = {"power_w": None, "faults": faults} if faults else {}
    samples = [structs.replace(sample, **lost) for sample in stream.samples]
    (tmp_path / "power.jsonl").write_bytes(b"".join(map(encode_line, (stream.header, *samples))) + b"half a li")
    with terminal() as shown, Progress((each, Cell.LEFT) for each in points) as progress:
        progress.ready(points[0].run, 1.0, tmp_path / "power.jsonl")
        progress.begins(points[0], "about 1 min left")
        for second in range(3):
            progress.measuring(
                points[0], elapsed_s=second, expected_s=9, in_flight=1, finished=0, output_tokens=6400 * second
            )

    assert said in text(shown)


def test_a_finished_points_line_has_its_power():
    known = {"power_w_gpu": Estimate(value=412.34), "energy_j_per_tok_output": Estimate(value=0.5678)}

    assert "412 W/GPU  0.568 J/output token" in summary(PointResult(identity={}, estimates=known))
    assert "W/GPU" not in summary(PointResult(identity={}, estimates={"power_w_gpu": Estimate(value=None)}))


def test_lines_and_log_lines_stay_above_the_view():
    with terminal() as shown:
        view = LiveView()
        view.show(SweepState(done=1, total=2, rows=("grid",)))
        view.show(Line("a line that stays"))
        view.write("WARNING something\n")
        view.close()
    said = text(shown)

    assert "a line that stays" in said
    assert "WARNING something" in said


def test_log_handlers_get_their_stream_back():
    with terminal():
        handler = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(handler)
        try:
            view = LiveView()
            streams = [handler.stream]
            view.close()
            streams.append(handler.stream)
            expected = [view, sys.stderr]
        finally:
            logging.getLogger().removeHandler(handler)

    assert expected == streams


def test_a_terminal_that_hangs_holds_up_nothing_and_loses_no_line():
    with terminal() as shown:
        view = LiveView()
        os.kill(view.pid, signal.SIGSTOP)
        for second in range(3000):
            view.show(UnderWay(label="x" * 100, done_s=second, expected_s=9.0))
        view.show(Line("the last line"))
        os.kill(view.pid, signal.SIGCONT)
        view.close()

    assert "the last line" in text(shown)


def text(shown: list[bytes]) -> str:
    return b"".join(shown).decode()

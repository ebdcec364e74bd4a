"""What happens in a sweep -> what is shown of it."""

import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.engines import engine_named
from harness.progress.grid import Cell, grid, name_of, summary
from harness.progress.messages import Line, SweepState, UnderWay
from harness.progress.recent import Recent
from harness.progress.screen import LiveView, PlainLines, Screen
from harness.records import EngineCounters, PointResult
from harness.spec import Point, Run

EVERY_S = 1.0
"""How often what is under way is told."""


class Progress:
    """Lines and a view for one sweep.

    Args:
        points: all of them, and where each stands.
    """

    def __init__(self, points: Iterable[tuple[Point, Cell]]) -> None:
        self._points = _by_name(points)
        self._left = ""
        self._screen: Screen = PlainLines()
        self._tokens, self._drafts = Recent(), Recent()
        self._acceptance: float | None = None
        self._power = ""
        self._next_s = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._screen = LiveView()
        done = self._done
        if done:
            self._line(f"{done} of {len(self._points)} points are done already")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._screen.close()

    @property
    def _done(self) -> int:
        return sum(cell in (Cell.DONE, Cell.WARNED, Cell.INVALID) for _, cell in self._points.values())

    def _line(self, text: str) -> None:
        self._screen.show(Line(text))

    def _show_state(self) -> None:
        rows = tuple(grid(self._points.values()))
        self._screen.show(SweepState(done=self._done, total=len(self._points), rows=rows, left=self._left))

    def _mark(self, point: Point, cell: Cell) -> None:
        self._points[point.run.key, point.folder] = point, cell
        self._show_state()

    def starting(self, run: Run, launch: int) -> None:
        """A server is being started."""
        self._line(f"starting {run.engine.name}, {run.mtp.label}, launch {launch + 1}: {run.key}")
        self._show_state()

    def waiting(self, run: Run, waited_s: float) -> None:
        """The server is not ready yet."""
        label = f"{run.mtp.label}: waiting for the server"
        self._screen.show(UnderWay(label=label, done_s=waited_s, expected_s=run.model.ready_limit_s))

    def ready(self, run: Run, ready_s: float, power: Path | None = None) -> None:
        """The server answers as it should; `power` is the stream that is being written of its GPUs."""
        self._power = str(power or "")
        self._line(f"{run.engine.name}, {run.mtp.label}: ready in {ready_s:.0f} s")

    def begins(self, point: Point, left: str) -> None:
        """A point is about to be measured; `left` says how long the rest will take, if that is known."""
        self._left = left
        self._tokens, self._drafts, self._acceptance, self._next_s = Recent(), Recent(), None, 0.0
        self._mark(point, Cell.RUNNING)

    def counters(self, reading: EngineCounters) -> None:
        """The server's counters were read."""
        if reading.drafts is None or reading.accepted_tokens is None:
            return
        grown = self._drafts.grown(reading.t_ns / 1e9, reading.drafts, reading.accepted_tokens)
        if grown is not None and grown[1] > 0:
            self._acceptance = 1 + grown[2] / grown[1]

    def measuring(
        self, point: Point, *, elapsed_s: float, expected_s: float, in_flight: int, finished: int, output_tokens: int
    ) -> None:
        """A point is being measured; called as often as it pleases."""
        if elapsed_s < self._next_s:
            return
        self._next_s = elapsed_s + EVERY_S
        grown = self._tokens.grown(elapsed_s, output_tokens)
        # First, so that a narrow terminal cuts off anything but them.
        figures = [f"({stamp})" for stamp in engine_named(point.run.engine.name).stamps(point.run)]
        rate = None if grown is None else grown[1] / grown[0]
        if rate is not None:
            if point.concurrency is not None:
                figures += [f"now {rate / point.concurrency:.1f} tok/s for each user"]
            figures += [f"{rate / point.run.parallel.gpus:.0f} output tok/s/GPU"]
        if self._acceptance is not None:
            figures.append(f"acceptance {self._acceptance:.2f}")
        figures += [f"{in_flight} in flight, {finished} done"]
        self._screen.show(
            UnderWay(
                label=name_of(point),
                done_s=elapsed_s,
                expected_s=expected_s,
                figures="  ".join(figures),
                power=self._power,
                output_tok_s=rate,
            )
        )

    def finished(self, point: Point, result: PointResult) -> None:
        """A point is on disk."""
        self._mark(point, Cell.of_row(result.invalid, result.warnings))
        count = f"{self._done:>{len(str(len(self._points)))}}/{len(self._points)}"
        self._line(f"[{count}] {name_of(point):24} {summary(result)}")


def _by_name(points: Iterable[tuple[Point, Cell]]) -> dict[tuple[str, str], tuple[Point, Cell]]:
    return {(point.run.key, point.folder): (point, cell) for point, cell in points}

"""What a person sees while a sweep runs: one plain line a point, and on a terminal a bar for what is running.

Everything goes to stderr. Knows nothing of servers, sockets or files: it is told what happens. Imports rich, but leaves
it alone when stderr is not a terminal.
"""

import sys
from types import TracebackType
from typing import Protocol, Self

from harness.records import Estimate, PointResult
from harness.spec import Point, Run


class Bar(Protocol):
    """Something that shows how far the work at hand is."""

    def update(self, label: str, done_s: float, expected_s: float) -> None:
        """Show `label`, `done_s` seconds into about `expected_s`."""
        ...

    def clear(self) -> None:
        """Take the bar away; a line is about to be printed."""
        ...


class NoBar:
    """Where stderr is a file or a pipe."""

    def update(self, label: str, done_s: float, expected_s: float) -> None:
        """Show nothing."""

    def clear(self) -> None:
        """Nothing to take away."""


class RichBar:
    """A bar on the terminal's last line, redrawn in place."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            # The client shares the cores with this thread: a redraw every half second costs it nothing measurable.
            refresh_per_second=2,
        )
        self._task = self._progress.add_task("", total=None)
        self._shown = False

    def update(self, label: str, done_s: float, expected_s: float) -> None:
        """Move the bar; an overrun holds it just short of full."""
        if not self._shown:
            self._progress.reset(self._task)
            self._progress.start()
            self._shown = True
        self._progress.update(self._task, description=label, total=expected_s, completed=min(done_s, 0.99 * expected_s))

    def clear(self) -> None:
        """Remove the bar until the next update."""
        if self._shown:
            self._progress.stop()
            self._shown = False


class Progress:
    """Lines and a bar for one sweep of `total` points, `done` of which need no measuring any more."""

    def __init__(self, total: int, done: int = 0) -> None:
        self._total = total
        self._done = done
        self._bar: Bar = RichBar() if sys.stderr.isatty() else NoBar()

    def __enter__(self) -> Self:
        if self._done:
            self.line(f"{self._done} of {self._total} points are done already")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.clear()

    def line(self, text: str) -> None:
        """One plain line, above the bar."""
        self._bar.clear()
        print(text, file=sys.stderr, flush=True)

    def starting(self, run: Run, launch: int) -> None:
        """A server is being started."""
        self.line(f"starting {run.engine.name}, {run.mtp.label}, launch {launch + 1}: {run.key}")

    def waiting(self, run: Run, waited_s: float) -> None:
        """The server is not ready yet."""
        self._bar.update(f"{run.mtp.label}: waiting for the server", waited_s, run.model.ready_limit_s)

    def ready(self, run: Run, ready_s: float) -> None:
        """The server answers as it should."""
        self.line(f"{run.engine.name}, {run.mtp.label}: ready in {ready_s:.0f} s")

    def measuring(self, point: Point, done_s: float, expected_s: float, note: str = "") -> None:
        """A point is being measured."""
        self._bar.update(f"{name_of(point)} {note}".rstrip(), done_s, expected_s)

    def finished(self, point: Point, result: PointResult) -> None:
        """A point is on disk."""
        self._done += 1
        self.line(f"[{self._done:>{len(str(self._total))}}/{self._total}] {name_of(point):24} {summary(result)}")


def name_of(point: Point) -> str:
    """`mtp3-al3.39 c8 launch 2`."""
    return f"{point.run.mtp.label} c{point.concurrency} launch {point.launch + 1}"


def summary(result: PointResult) -> str:
    """The row in one line: speed for the user, throughput, acceptance, and what is wrong."""
    figures = [
        _figure(result.estimates.get("interactivity"), "tok/s/user"),
        _figure(result.estimates.get("output_tok_s_gpu"), "output tok/s/GPU"),
    ]
    acceptance = result.estimates.get("acceptance_length")
    if acceptance is not None and acceptance.value is not None:
        figures.append(f"acceptance {acceptance.value:.2f}")
    figures += [f"({stamp})" for stamp in result.stamps]
    figures += [f"INVALID {code}" for code in result.invalid]
    figures += [f"warning {code}" for code in result.warnings]
    return "  ".join(figures)


def _figure(estimate: Estimate | None, unit: str) -> str:
    if estimate is None or estimate.value is None:
        return f"no {unit}"
    if estimate.lo is None or estimate.hi is None:
        return f"{estimate.value:.1f} {unit}"
    return f"{estimate.value:.1f} ± {(estimate.hi - estimate.lo) / 2:.1f} {unit}"

"""The process that draws: messages on stdin, the live view on stderr. `python -m harness.progress.view` starts it.

It ends when stdin does, so it never outlives the harness, and it gives way to everything else on the machine.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.power.live import live_power_w
from harness.progress.messages import Line, Message, SweepState, UnderWay, decode
from harness.units import duration, number

REDRAWS_A_SECOND = 2
BAR = 24


class View:
    """What was told last, as rich draws it."""

    def __init__(self) -> None:
        self._sweep: SweepState | None = None
        self._under_way: UnderWay | None = None
        self._power = ""
        self._received_s = time.monotonic()
        self._started_s = time.monotonic()

    def tell(self, message: SweepState | UnderWay) -> None:
        """Take in what has changed."""
        if isinstance(message, SweepState):
            self._sweep = message
        else:
            self._under_way, self._received_s = message, time.monotonic()
            self._power = _power(message)

    def __rich__(self) -> Group:
        return Group(*self._parts())

    def _parts(self) -> Iterable[Table | Text]:
        bars = Table.grid(padding=(0, 1))
        if self._sweep is not None:
            yield Text()
            yield from map(_line, self._sweep.rows)
            done = f"{self._sweep.done} of {self._sweep.total} points"
            bars.add_row(done, _bar(self._sweep.done, self._sweep.total), self._times())
        if self._under_way is not None:
            # Messages come once a second: in between, and while a server is starting, the clock goes on here.
            done_s = self._under_way.done_s + time.monotonic() - self._received_s
            times = f"{_whole(done_s)} of about {_whole(self._under_way.expected_s)}"
            bars.add_row(self._under_way.label, _bar(done_s, self._under_way.expected_s), times)
        yield bars
        if self._under_way is not None:
            yield _line(self._under_way.figures)
        if self._power:
            yield _line(self._power)

    def _times(self) -> str:
        assert self._sweep is not None
        running = f"{_whole(time.monotonic() - self._started_s)} so far"
        return f"{running}, {self._sweep.left}" if self._sweep.left else running


def _power(under: UnderWay) -> str:
    """What the GPUs draw at this moment, and for each output token of this moment."""
    if not under.power:
        return ""
    watts = live_power_w(Path(under.power))
    if watts is None:
        return "power not read"
    power = f"GPUs draw {number(watts)} W"
    return f"{power}  {number(watts / under.output_tok_s)} J for each output token" if under.output_tok_s else power


def _line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _bar(done: float, total: float) -> ProgressBar:
    """Nothing is over before its line is printed: an overrun stays just short of full."""
    return ProgressBar(total=max(total, 1e-9), completed=min(done, 0.99 * total), width=BAR)


def _whole(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else duration(seconds)


def draw(lines: Iterable[bytes]) -> None:
    """Show what the lines tell until they end."""
    view = View()
    with Live(
        view, console=Console(stderr=True), refresh_per_second=REDRAWS_A_SECOND, transient=True, redirect_stdout=False
    ) as live:
        for line in lines:
            message: Message = decode(line)
            if isinstance(message, Line):
                live.console.print(message.text, markup=False, highlight=False, soft_wrap=True)
            else:
                view.tell(message)


def main() -> None:
    """Until the harness closes the pipe; Ctrl-C is the harness's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(19)
    draw(sys.stdin.buffer)


if __name__ == "__main__":
    main()

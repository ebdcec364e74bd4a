"""Where a sweep stands on one screen: its files, and Slurm's queue where it was submitted; again and again if asked."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness.errors import ClusterSilent
from harness.progress.grid import Cell
from harness.slurm import queue
from harness.status import read, render

PAUSE_S = 5.0
CLEAR = "\x1b[H\x1b[2J"


def status_screen(folder: Path) -> str:
    """Everything that is known now; no line break at the end."""
    return "\n\n".join(filter(None, (render(read(folder)), queue.text(folder))))


def watched(folder: Path) -> Iterator[str]:
    """The status screen every few seconds, until nothing is left to be done, or nobody is left to do it."""
    while True:
        # Asked before the screen is drawn: what is saved in between must not miss the last one.
        more = _goes_on(folder)
        yield (CLEAR if sys.stdout.isatty() else "") + status_screen(folder)
        if not more:
            return
        time.sleep(PAUSE_S)


def _goes_on(folder: Path) -> bool:
    status = read(folder)
    if not status.having(Cell.LEFT, Cell.RUNNING, Cell.SAVED):
        return False
    try:
        return not queue.was_submitted(folder) or queue.is_active(folder)
    except ClusterSilent:
        return True

"""What the jobs and servers of a submitted sweep print, also while they print it."""

import time
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from harness.atomic_files import read_json
from harness.errors import ClusterSilent, UserError
from harness.rundir import SweepDir
from harness.slurm import queue
from harness.slurm.files import ClusterDir, tries

POLL_S = 0.5
"""Between two readings of a log that is followed."""

QUEUE_POLL_S = 5.0
"""Between two questions to Slurm whether anybody still writes."""


def log_of(folder: Path, which: str) -> Path:
    """The newest log of an element (its number), of a Run's server (a glob of its key), or of the `answer`.

    Raises:
        UserError: there is none.
    """
    files = ClusterDir(SweepDir(folder))
    if which.isdigit():
        candidates = [files.path / f"{read_json(one.begin)['job']}.log" for one in tries(files.element(int(which)))]
    elif which == "answer":
        candidates = sorted(files.path.glob("answer-*.log"), key=lambda path: path.stat().st_mtime)
    else:
        runs = [run for run in files.results.runs() if fnmatch(run.path.name, which)]
        logs = (attempt.log for run in runs for attempt in run.attempts() if attempt.log.exists())
        candidates = sorted(logs, key=lambda path: path.stat().st_mtime)
    existing = [path for path in candidates if path.exists()]
    if not existing:
        keys = ", ".join(run.path.name for run in files.results.runs()) or "none has begun"
        raise UserError(
            f"{which}: no log of that yet in {folder}; name an element's number, `answer`, or a run: {keys}"
        )
    return existing[-1]


def read(path: Path, folder: Path, *, follow: bool) -> Iterator[str]:
    """The log's text; with `follow` what is added to it, until no job of the sweep is left."""
    asked_at = time.monotonic()
    with path.open(encoding="utf-8", errors="replace") as file:
        while True:
            if chunk := file.read():
                yield chunk
            elif not follow:
                return
            elif time.monotonic() - asked_at > QUEUE_POLL_S:
                follow, asked_at = _anybody_writes(folder), time.monotonic()
            else:
                time.sleep(POLL_S)


def _anybody_writes(folder: Path) -> bool:
    try:
        return queue.is_active(folder)
    except ClusterSilent:
        return True

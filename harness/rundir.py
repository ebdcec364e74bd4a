"""Where every file of a sweep lies.

    results/<sweep>/
        sweep.lock.yaml                    what was asked, resolved
        points.jsonl                       every point's row, built from the point.json files
        <run key>/run.json
        <run key>/attempt-<n>/             one start of the server: server.log, argv.json, ...
        <run key>/c<N>-l<n>/               one point: engine.jsonl, power.jsonl, requests.parquet, point.json;
                                           in open loop r<rate>-l<n>

A file appears by rename, complete, or not at all. `requests.parquet` is the last raw file of a point and `point.json`
the last of all: a point is measured when the first exists, done when the second does. Knows nothing of what stands
in a file: text and plain data go in, text and plain data come out.
"""

import difflib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.atomic_files import atomic, clear_partial, read_json, write_json, write_text
from harness.errors import LockMismatch, ResultsError
from harness.folder_lock import locked

_HELD = ".held"
_LAUNCHES = re.compile(r"^launches: (\d+)$", re.MULTILINE)
_POINT = re.compile(r"[cr](\d+(?:\.\d+)?)-l(\d+)")
_ATTEMPT = re.compile(r"attempt-(\d+)")


@dataclass(frozen=True, slots=True)
class PointDir:
    """Files of one point."""

    path: Path

    @property
    def engine(self) -> Path:
        """The server's counters, one reading a line."""
        return self.path / "engine.jsonl"

    @property
    def power(self) -> Path:
        """Power readings, one a line."""
        return self.path / "power.jsonl"

    @property
    def requests(self) -> Path:
        """Raw samples: the last raw file to be written."""
        return self.path / "requests.parquet"

    @property
    def point(self) -> Path:
        """The row and how it came about: the last file of all."""
        return self.path / "point.json"

    @property
    def measured(self) -> bool:
        """Whether all raw files are there, so that the point can be scored without a server."""
        return self.requests.exists()

    @property
    def done(self) -> bool:
        """Whether the point is measured and scored."""
        return self.point.exists()

    def finish(self, row: Mapping[str, object], **facts: object) -> None:
        """Write point.json: the point is done.

        Args:
            row: its line of points.jsonl.
            facts: plain data about how the row came about (window, attempt, details of verdicts).
        """
        write_json(self.point, {"row": dict(row), **facts})

    def row(self) -> dict[str, object]:
        """The row of a point that is done.

        Raises:
            ResultsError: point.json is none of ours.
        """
        row = read_json(self.point).get("row")
        if not isinstance(row, dict):
            raise ResultsError(f"{self.point}: has no row; delete the file and run again")
        return row

    def reset(self) -> None:
        """Forget the point, so that it is measured again; point.json goes first."""
        self.point.unlink(missing_ok=True)
        if self.path.is_symlink():  # kept on another disk
            self.path.unlink()
        elif self.path.exists():
            shutil.rmtree(self.path)


@dataclass(frozen=True, slots=True)
class AttemptDir:
    """Files of one start of a server."""

    path: Path

    @property
    def number(self) -> int:
        """Counted from 1."""
        return _number(_ATTEMPT, self.path)

    @property
    def log(self) -> Path:
        """What the server said."""
        return self.path / "server.log"

    @property
    def argv(self) -> Path:
        """Command line and environment, with placeholders."""
        return self.path / "argv.json"

    @property
    def provenance(self) -> Path:
        """Machine, driver, versions."""
        return self.path / "provenance.json"

    @property
    def now(self) -> Path:
        """What it is being used for: written anew whenever that changes."""
        return self.path / "now.json"

    @property
    def power(self) -> Path:
        """Power readings of the whole start, from before the server ran to after it ended."""
        return self.path / "power.jsonl"

    @property
    def idle_bare(self) -> Path:
        """Power readings before the server was started."""
        return self.path / "idle-bare.jsonl"

    @property
    def idle_loaded(self) -> Path:
        """Power readings while it was ready and idle."""
        return self.path / "idle-loaded.jsonl"

    @property
    def power_log(self) -> Path:
        """What the process that reads power said."""
        return self.path / "power.log"

    @property
    def configuration(self) -> Path:
        """What the server reported of itself."""
        return self.path / "configuration.json"

    @property
    def answers(self) -> Path:
        """What it answered to the fixed questions, before its load and after it, one time a line."""
        return self.path / "answers.jsonl"

    @property
    def accuracy(self) -> Path:
        """What came of the task of lm-eval that it was put to; failures included."""
        return self.path / "accuracy.json"


@dataclass(frozen=True, slots=True)
class RunDir:
    """Files of one Run: its starts and its points."""

    path: Path

    @property
    def run(self) -> Path:
        """The Run as it was asked for."""
        return self.path / "run.json"

    def point(self, folder: str) -> PointDir:
        """A point, by `Point.folder`."""
        return PointDir(self.path / folder)

    def points(self) -> list[PointDir]:
        """Points that have a folder, in order of launch, then load."""
        found = [path for path in self.path.glob("[cr]*-l*") if _POINT.fullmatch(path.name)]
        return [PointDir(path) for path in sorted(found, key=_launch_then_load)]

    def attempt(self, number: int) -> AttemptDir:
        """One start of the server."""
        return AttemptDir(self.path / f"attempt-{number}")

    def attempts(self) -> list[AttemptDir]:
        """Starts so far, first to last."""
        found = [AttemptDir(path) for path in self.path.glob("attempt-*") if _ATTEMPT.fullmatch(path.name)]
        return sorted(found, key=lambda attempt: attempt.number)

    def new_attempt(self) -> AttemptDir:
        """A folder for the next start; earlier ones are kept with their logs.

        Several launches of a Run may start at once on several nodes: a number that somebody else has just taken is
        left to them.
        """
        made = self.attempts()
        number = made[-1].number + 1 if made else 1
        while True:
            attempt = self.attempt(number)
            try:
                attempt.path.mkdir(parents=True)
            except FileExistsError:
                number += 1
            else:
                return attempt


@dataclass(frozen=True, slots=True)
class SweepDir:
    """Files of one sweep."""

    path: Path

    @property
    def lock(self) -> Path:
        """The resolved sweep."""
        return self.path / "sweep.lock.yaml"

    @property
    def rows(self) -> Path:
        """All rows, one a line."""
        return self.path / "points.jsonl"

    def run(self, key: str) -> RunDir:
        """A Run, by `Run.key`."""
        return RunDir(self.path / key)

    def runs(self) -> list[RunDir]:
        """Runs that have a folder, by name."""
        return [RunDir(path.parent) for path in sorted(self.path.glob("*/run.json"))]

    def done(self) -> list[PointDir]:
        """Points that are measured and scored, by Run, launch and load."""
        return [point for run in self.runs() for point in run.points() if point.done]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other harnesses out of the folder while the block runs, and clear what a killed one left half-written.

        Raises:
            UserError: another harness is at work in the folder.
        """
        with locked(self.path / _HELD):
            clear_partial(self.path)
            yield

    @contextmanager
    def shared(self, patience_s: float = 0.0) -> Iterator[None]:
        """Measure in the folder beside others who measure other points of it.

        Args:
            patience_s: how long somebody who wants it alone is waited for.

        Raises:
            UserError: somebody is at work who wants it alone.
        """
        with locked(self.path / _HELD, shared=True, patience_s=patience_s):
            yield

    def locked(self) -> Path:
        """The lock of the sweep that was run here.

        Raises:
            ResultsError: nothing was.
        """
        if not self.lock.exists():
            raise ResultsError(
                f"{self.path}: no sweep.lock.yaml, so no results of `mtpbench run`; name its results folder"
            )
        return self.lock

    def claim(self, lock: str) -> None:
        """Make the folder this sweep's, or make sure that it is; more launches of the same sweep are welcome.

        Args:
            lock: text of sweep.lock.yaml.

        Raises:
            LockMismatch: the folder holds another sweep; the message carries the difference.
        """
        if not self.lock.exists():
            write_text(self.lock, lock)
            return
        there = self.lock.read_text(encoding="utf-8")
        if there == lock:
            return
        if not _adds_launches(there, lock):
            raise LockMismatch(
                f"{self.path}: holds the results of another sweep; choose another folder with -o, or undo this "
                f"difference (- there, + asked):\n{_difference(there, lock)}"
            )
        write_text(self.lock, lock)

    def rebuild(self) -> list[dict[str, object]]:
        """Write points.jsonl anew from every point.json, in a fixed order, and give its rows.

        Raises:
            ResultsError: a point.json is no row of ours.
        """
        rows = [point.row() for point in self.done()]
        with atomic(self.rows) as partial, partial.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n" for row in rows)
        return rows


def _adds_launches(there: str, asked: str) -> bool:
    """Whether one lock is the other with a larger number of launches."""
    before, after = _LAUNCHES.search(there), _LAUNCHES.search(asked)
    if before is None or after is None:
        return False
    return int(before[1]) < int(after[1]) and there == asked[: after.start()] + before[0] + asked[after.end() :]


def _difference(there: str, asked: str) -> str:
    lines = difflib.unified_diff(there.splitlines(), asked.splitlines(), "there", "asked", lineterm="", n=1)
    return "\n".join(lines)


def _launch_then_load(path: Path) -> tuple[int, float]:
    match = _POINT.fullmatch(path.name)
    return (int(match[2]), float(match[1])) if match else (0, 0.0)


def _number(pattern: re.Pattern[str], path: Path) -> int:
    match = pattern.fullmatch(path.name)
    return int(match[1]) if match else 0

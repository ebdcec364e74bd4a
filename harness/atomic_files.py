"""Files that appear whole or not at all: written under a temporary name, then renamed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import ResultsError

_PARTIAL = ".partial"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what is written there becomes `path` when the block ends well.

    The bytes are on the disk before the rename, and the rename before this returns: after a power cut the file is
    whole or absent. On an error nothing of it stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}{_PARTIAL}")
    try:
        yield partial
        _sync(partial)
        partial.rename(path)
        with suppress(OSError):  # some network file systems can't sync a folder; the rename is atomic all the same
            _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, atomically."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write plain data, atomically; NaN and infinity are refused, for they are never a result."""
    write_text(path, json.dumps(value, allow_nan=False, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> dict[str, object]:
    """Plain data as `write_json` wrote it.

    Raises:
        ResultsError: it is no JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultsError(f"{path}: not JSON ({error}); delete the file and run again") from error
    if not isinstance(value, dict):
        raise ResultsError(f"{path}: not a JSON object; delete the file and run again")
    return value


def clear_partial(folder: Path) -> None:
    """Remove what a killed process left half-written, at any depth."""
    for partial in folder.rglob(f".*{_PARTIAL}"):
        partial.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

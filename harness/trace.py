"""Recorded times of requests: a JSONL file, one object a line, read for the one key that holds its time.

Whatever else a line says (lengths, prompts) is left alone: what is sent is the workload's.
"""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import UserError

SECONDS = {"s": 1.0, "ms": 1e-3}


class BadTrace(UserError):
    """A line that is no record of a request; `str(error)` is the whole of it.

    Attributes:
        line, column: where, from 1; 0 for the file as a whole.
        says: what is wrong and what to do.
    """

    def __init__(self, file: Path, line: int, column: int, says: str) -> None:
        super().__init__(f"{file}:{line}:{column}: {says}" if line else f"{file}: {says}")
        self.line, self.column, self.says = line, column, says


def read_trace(file: Path, field: str, unit: str) -> NDArray[np.float64]:
    """The times of a trace, seconds, never falling; at least two of them and not all the same.

    Raises:
        BadTrace: the first line that can't be used.
    """
    times: list[float] = []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    times.append(_time(file, number, line, field, times[-1] if times else -math.inf))
    except OSError as error:
        raise BadTrace(file, 0, 0, f"can't be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise BadTrace(file, 0, 0, "not UTF-8 text; save the file as UTF-8") from error
    if len(times) < 2 or times[0] == times[-1]:
        raise BadTrace(file, 0, 0, f"has {len(times)} request(s), all at one time; a rate needs two at different times")
    return np.array(times) * SECONDS[unit]


def digest(times_s: NDArray[np.float64]) -> str:
    """16 hex digits over the times."""
    return hashlib.sha256(times_s.tobytes()).hexdigest()[:16]


def own_rate(times_s: NDArray[np.float64]) -> float:
    """Requests a second as recorded."""
    return (len(times_s) - 1) / float(times_s[-1] - times_s[0])


def _time(file: Path, number: int, line: str, field: str, before: float) -> float:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadTrace(file, number, error.colno, f"not JSON: {error.msg.lower()}") from error
    if not isinstance(record, dict) or field not in record:
        raise BadTrace(file, number, 1, f"no object with '{field}'; name the key that holds the time in trace.field")
    value, column = record[field], line.find(f'"{field}"') + 1
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadTrace(file, number, column, f"{field} must be a finite number, got {json.dumps(value)[:40]}")
    if value < before:
        raise BadTrace(file, number, column, f"{field} falls from {before:g} to {value:g}; sort the lines by time")
    return float(value)

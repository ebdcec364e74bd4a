"""What GPUs draw just now, read off the end of the stream that a sampler is writing; for eyes, never for a row."""

import os
import time
from collections import defaultdict
from pathlib import Path

from harness.power.stream import PowerSample, parse_line
from harness.units import NS_PER_S

SPAN_S = 2.0
_TAIL_BYTES = 256 * 1024
"""Holds over two seconds of sixteen GPUs at 10 Hz."""


def live_power_w(path: Path) -> float | None:
    """Power of all the stream's GPUs together, each one's mean over the last two seconds.

    None where nothing was written so lately, or a GPU's power could not be read: never the sum over the others.
    """
    since_ns = time.monotonic_ns() - int(SPAN_S * NS_PER_S)
    by_gpu: dict[str, list[float | None]] = defaultdict(list)
    for sample in _last_samples(path):
        if sample.t_ns >= since_ns:
            by_gpu[sample.gpu].append(sample.power_w)
    means = [_mean(readings) for readings in by_gpu.values()]
    known = [mean for mean in means if mean is not None]
    return sum(known) if known and len(known) == len(means) else None


def _last_samples(path: Path) -> list[PowerSample]:
    """The readings at the end of the file; a line that is cut off or damaged is left out."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL_BYTES))
            lines = stream.readlines()
    except FileNotFoundError:
        return []
    return [record for text in lines if isinstance(record := parse_line(text), PowerSample)]


def _mean(readings: list[float | None]) -> float | None:
    known = [reading for reading in readings if reading is not None]
    return sum(known) / len(known) if len(known) == len(readings) else None

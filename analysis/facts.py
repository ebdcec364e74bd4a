"""What is known of a row's GPU and model beyond the row: from the sweep that made it, else from configs/ by name."""

from functools import cache
from pathlib import Path

from analysis.rows import Row
from harness import config
from harness.errors import ConfigError
from harness.rundir import SweepDir
from harness.spec import Gpu, Ladder, Sweep


def gpu_of(row: Row) -> Gpu | None:
    """The row's GPU; None when neither its sweep nor configs/ knows it."""
    sweep = _sweep(row.folder)
    if sweep is not None and sweep.gpu.name == row.gpu:
        return sweep.gpu
    return _gpu(row.gpu)


def is_moe(row: Row) -> bool | None:
    """Whether the row's model routes experts; None when neither its sweep nor configs/ knows it."""
    sweep = _sweep(row.folder)
    if sweep is not None and sweep.model.name == row.model:
        return sweep.model.moe
    return config.load_model(row.model).moe if row.model in config.known("model") else None


def targets_asked(row: Row) -> tuple[float, ...] | None:
    """Interactivities that the row's sweep homed in on, tok/s/user; None where it asked for none."""
    sweep = _sweep(row.folder)
    ladder = sweep.concurrency if sweep is not None else None
    return tuple(sorted(ladder.targets)) or None if isinstance(ladder, Ladder) else None


@cache
def _sweep(folder: str | None) -> Sweep | None:
    if folder is None or not (lock := SweepDir(Path(folder)).lock).exists():
        return None
    try:
        return config.load(lock)
    except ConfigError:  # a lock of another version: its rows stand, its facts are looked up by name
        return None


@cache
def _gpu(name: str) -> Gpu | None:
    return config.load_gpu(name) if name in config.known("gpu") else None

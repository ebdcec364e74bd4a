"""A sweep on an emulator whose clock goes faster than ours: over sockets, and in the emulator's own time."""

import asyncio
from pathlib import Path

import pytest

from harness import config
from harness.spec import Sweep
from harness.sweep import run_sweep

SPEED = 5.0


def sweep():
    asked = config.load(Path("quickstart-emulator")).model_dump(by_alias=True)
    asked["workload"] |= {"isl": 256, "osl": 256}
    small = {"concurrency": (4,), "window": {"min_s": 15, "max_s": 60}, "demo": False}
    return Sweep.model_validate(asked | small)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hurried")


def rows_of(folder, **how):
    rows = asyncio.run(run_sweep(sweep(), folder, **how))
    return {(row["draft_tokens"], row["concurrency"]): row for row in rows}


@pytest.fixture(scope="module")
def hurried(folder):
    rows = rows_of(folder / "speed", speed=SPEED)
    for _ in range(2):
        if any(row["invalid"] for row in rows.values()):  # a busy machine has spoilt it
            rows = rows_of(folder / "speed", speed=SPEED, retry_invalid=True)
    return rows


def test_every_row_is_good_and_says_at_what_speed(hurried):
    assert [()] * 2 == [tuple(row["invalid"]) for row in hurried.values()]
    assert all({"emulated", "speed-5"} <= set(row["stamps"]) for row in hurried.values())


def test_figures_are_those_of_virtual_time(hurried, folder):
    virtual = rows_of(folder / "virtual", in_virtual_time=True)
    for key, row in hurried.items():
        for name in ("interactivity", "total_tok_s_gpu", "tpot_s"):
            # What server and client are late by on two shared cores is five times as much here: 0.2 ms of lateness are
            # 15 % of a step. A clock that is not put back is five times off.
            assert row[name] == pytest.approx(virtual[key][name], rel=0.5), (key, name)
    drafted = (3, 4)
    assert hurried[drafted]["acceptance_length"] == pytest.approx(virtual[drafted]["acceptance_length"], rel=0.05)

"""Servers over two nodes: the emulator's ranks meet by the address that Slurm has for the first of them."""

import os
import signal
import time
from pathlib import Path

import pytest

from harness.atomic_files import read_json

from .conftest import until

pytestmark = pytest.mark.slurm

WIDE = {"tp": 16, "mtp": "[off]"}


def ranks(one) -> dict[int, int]:
    """Processes of the server's ranks, by rank; not those of srun and its keeper."""
    found = {}
    for pid in one.servers():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if "--node-rank" in command and "srun" not in command[0]:
            found[int(command[command.index("--node-rank") + 1])] = pid
    return found


def test_a_server_over_two_nodes_is_measured_and_its_rows_name_them(sweep):
    one = sweep(**WIDE)
    one.submit()
    [row] = one.finished().rows()
    [attempt] = [attempt for run in one.files.results.runs() for attempt in run.attempts()]
    said = read_json(attempt.argv)
    [other] = said["other_nodes"]

    assert ("h100-[1-2]", 16) == (row["node"], row["gpus"])
    assert ("0", "1") == tuple(words[words.index("--node-rank") + 1] for words in (said["argv"], other))
    assert "<node-0>" == other[other.index("--master-addr") + 1]


def test_the_ranks_meet_at_the_address_that_slurm_has(sweep):
    one = sweep(**WIDE, window_s=4)
    one.submit()
    until(lambda: len(ranks(one)) == 2)
    command = Path(f"/proc/{ranks(one)[1]}/cmdline").read_text().split("\0")
    one.finished()

    assert "127.0.1.1" == command[command.index("--master-addr") + 1]


def test_one_rank_that_dies_ends_the_server_and_it_is_started_anew(sweep):
    one = sweep(**WIDE, concurrency="[1, 2, 3]", window_s=4)
    one.submit()
    until(lambda: one.measures() == {"c2-l0"})
    time.sleep(1)  # into its load
    now_s = time.time()
    os.kill(ranks(one)[1], signal.SIGKILL)
    one.finished()
    one.put_down("rank_killed", now_s)
    [run] = one.files.results.runs()
    first, _ = run.attempts()
    lost = [row["concurrency"] for row in one.rows() if "server_died" in row["invalid"]]

    assert ["done"] == one.reasons()
    assert 1 == len(lost)
    assert "task 1: Killed" in first.log.read_text()
    assert {1, 2, 3} == {row["concurrency"] for row in one.rows()}

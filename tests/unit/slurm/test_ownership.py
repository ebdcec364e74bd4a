"""Who owns an element, and what its tries leave, by the files alone."""

import os

from harness.slurm.endings import End
from harness.slurm.files import TryDir, tries
from harness.slurm.job import Job
from harness.slurm.ownership import Ownership


def job(key: str, restart: int = 0) -> Job:
    return Job(key=key, task=0, restart=restart, nodes="node-1")


def test_an_element_that_nobody_claimed_has_no_owner(tmp_path):
    ownership = Ownership(tmp_path / "owner.json", job("12_0"))

    assert (None, False) == (ownership.owner(), ownership.is_held)


def test_the_last_to_claim_an_element_holds_it(tmp_path):
    first, second = (Ownership(tmp_path / "owner.json", job(key)) for key in ("12_0", "13_0"))
    first.claim()
    second.claim()

    assert (False, True) == (first.is_held, second.is_held)
    assert "13_0" == first.owner().key


def test_a_job_that_was_put_back_in_the_queue_is_another_owner(tmp_path):
    before, after = (Ownership(tmp_path / "owner.json", job("12_0", restart)) for restart in (0, 1))
    before.claim()

    assert (True, False) == (before.is_held, after.is_held)


def test_tries_are_in_the_order_of_their_beginnings_and_say_how_they_ended(tmp_path):
    for began_s, name in enumerate(("12_0-1", "12_0-0")):
        made = TryDir(tmp_path / name)
        made.path.mkdir()
        made.begin.touch()
        os.utime(made.begin, (began_s, began_s))
    made.write_end(End(reason="done", says="all points are done", points=3))

    assert ["12_0-1", "12_0-0"] == [one.path.name for one in tries(tmp_path)]
    assert [None, 3] == [end and end.points for end in (one.read_end() for one in tries(tmp_path))]

"""What the doctor says of the load generator's own ceiling."""

from pathlib import Path

import pytest

from harness import config
from harness.doctor import Examination, State, client
from harness.doctor.client import load_generator
from harness.load import ceiling
from harness.plan.guess import Guess


def test_nothing_is_measured_unasked():
    assert [] == list(load_generator(Examination()))


def test_the_ceiling_is_this_machines():
    (finding,) = load_generator(Examination(client=True))
    measured = ceiling.measure(chunks=500)

    assert State.GOOD is finding.state
    assert 1e-6 < measured.chunk_s < 1e-2
    assert pytest.approx(1.0) == measured.chunks_s * measured.chunk_s
    assert measured.late_p99_s > 0


@pytest.mark.parametrize(("high", "state"), [(1000.0, State.GOOD), (1e9, State.WARNING), (None, State.NOTE)])
def test_a_sweep_that_needs_more_than_there_is_is_warned_of(monkeypatch, high, state):
    monkeypatch.setattr(client, "chunks_s", lambda *_: Guess(0.0 if high else None, high, "no facts"))
    _, needs = load_generator(Examination(client=True, sweep=config.load(Path("quickstart"))))

    assert state is needs.state

"""How many chunks a second a point may send, and how many processes of the load generator read them."""

import math

from harness.plan.guess import Guess, acceptance_lengths, expected_of
from harness.spec import Point, Sweep

CHUNKS_S = 30_000.0
"""Chunks a second that one process is given: about half of what it can take, so that a read holds one chunk."""


def chunks_s(point: Point, sweep: Sweep) -> Guess:
    """Chunks a second that users receive, one a step: the fast end of a speed has the more tokens in each."""
    few, many = acceptance_lengths(point.run)
    users = point.concurrency
    if users is None:
        tokens_s = (point.rate or 0.0) * point.workload.osl
        return Guess(tokens_s / many, tokens_s / few)
    speed = expected_of(point.run, sweep, users).interactivity
    if speed.low is None or speed.high is None:
        return speed
    ends = (users * speed.low / few, users * speed.high / many)
    return Guess(min(ends), max(ends))


def shards_for(expected: Guess, cores: int | None = None) -> int:
    """Processes for an expected rate; one where nothing is expected.

    Args:
        expected: chunks a second.
        cores: how many there are; all but one may be used. None is as many as it takes.
    """
    if expected.high is None:
        return 1
    wanted = max(1, math.ceil(expected.high / CHUNKS_S))
    return wanted if cores is None else min(wanted, max(1, cores - 1))

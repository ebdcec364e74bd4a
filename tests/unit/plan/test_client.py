import pytest

from harness.plan.client import CHUNKS_S, shards_for
from harness.plan.guess import Guess, unknown


@pytest.mark.parametrize(
    ("high", "cores", "shards"),
    [
        (10.0, 64, 1),
        (CHUNKS_S, 64, 1),
        (CHUNKS_S + 1, 64, 2),
        (1e9, 64, 63),
        (1e9, 2, 1),
        (1e9, 1, 1),
        (4 * CHUNKS_S, None, 4),
    ],
)
def test_each_share_of_the_chunks_that_are_expected_has_a_process(high, cores, shards):
    assert shards == shards_for(Guess(0.0, high), cores)


def test_where_nothing_is_expected_one_process_does():
    assert 1 == shards_for(unknown("no price"), 64)

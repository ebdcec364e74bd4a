"""Slow swings in the blocks of a window, told from noise."""

import numpy as np
import pytest

from harness.load.swing import swings


def blocks(cycles, amplitude, *, count=24, noise=0.0, seed=0):
    at = 2 * np.pi * cycles * (np.arange(count) + 0.5) / count
    return 100 * (1 + amplitude * np.sin(at + 1.0) + noise * np.random.default_rng(seed).standard_normal(count))


@pytest.mark.parametrize("cycles", [0.4, 0.75, 1, 1.6, 2, 3.5])
def test_a_swing_that_fits_under_four_times_is_seen(cycles):
    assert swings(blocks(cycles, 0.1, noise=0.01))


@pytest.mark.parametrize("cycles", [4.5, 6, 10])
def test_a_swing_that_fits_often_is_averaged(cycles):
    assert not swings(blocks(cycles, 0.1, noise=0.01))


def test_a_swing_of_no_matter_is_left_alone():
    assert not swings(blocks(1, 0.01))


@pytest.mark.parametrize("count", [10, 15])
def test_few_blocks_tell_no_swing_from_chance(count):
    assert not swings(blocks(1, 0.1, count=count))


@pytest.mark.parametrize("rates", [np.zeros(24), np.full(24, 5.0), np.array([])], ids=["none", "constant", "empty"])
def test_nothing_to_see_is_no_swing(rates):
    assert not swings(rates)


def test_noise_is_hardly_ever_taken_for_one():
    assert 0 == sum(swings(blocks(1, 0.0, noise=0.1, seed=seed)) for seed in range(200))

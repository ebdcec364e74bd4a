"""Intervals of 95 % hold the truth in about 95 % of seeded repetitions, at the block counts that points have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import stats

REPEATS = 400


def share_covered(interval_of, truth):
    hits = 0
    for seed in range(REPEATS):
        lo, hi = interval_of(np.random.default_rng(seed))
        hits += lo <= truth <= hi
    return hits / REPEATS


@pytest.mark.parametrize("blocks", [3, 10, 30])
def test_a_mean_of_blocks_is_covered(blocks):
    covered = share_covered(lambda rng: stats.mean_interval(rng.normal(100, 5, blocks)), 100)

    assert 0.92 <= covered <= 0.99


@pytest.mark.parametrize(("lasts", "student"), [(1, 2.07), (2, 2.20), (4, 2.57)])
def test_noise_that_outlasts_a_block_is_covered(lasts, student):
    half_widths = []

    def interval(rng):
        lo, hi = stats.mean_interval(np.repeat(rng.normal(100, 5, 24 // lasts), lasts) + rng.normal(0, 0.5, 24))
        half_widths.append((hi - lo) / 2)
        return lo, hi

    assert 0.92 <= share_covered(interval, 100)
    # The half-width of one who is told how long the noise lasts; not being told costs less than three times as much.
    assert np.median(half_widths) < 3 * student * 5 / (24 // lasts) ** 0.5


@pytest.mark.parametrize(("r", "at_least"), [(0.3, 0.92), (0.6, 0.88), (0.8, 0.84)])
@pytest.mark.parametrize("blocks", [10, 20])
def test_noise_that_fades_slowly_is_covered(blocks, r, at_least):
    def interval(rng):
        values = [rng.normal(0, 1)]
        while len(values) < blocks:
            values.append(r * values[-1] + rng.normal(0, (1 - r * r) ** 0.5))
        return stats.mean_interval(values)

    assert at_least <= share_covered(interval, 0) <= 0.99


@pytest.mark.parametrize("blocks", [10, 30])
def test_a_median_of_requests_is_covered(blocks):
    def interval(rng):
        # Each block shifts its requests: requests of one block are alike, which only blocks can show.
        values = (rng.lognormal(0, 0.3, (blocks, 20)) * rng.lognormal(0, 0.1, (blocks, 1))).ravel()
        block = np.repeat(np.arange(blocks), 20)
        draws = stats.quantile_draws(values, block, stats.resampled(blocks, draws=1000), 0.5)
        by_block = np.median(values.reshape(blocks, 20), axis=1)
        return stats.t_interval(float(np.median(values)), draws, blocks, stats.effective(by_block))

    assert 0.92 <= share_covered(interval, 1.0) <= 0.99


def test_a_ratio_of_sums_is_covered():
    def interval(rng):
        drafts = rng.poisson(300, 10)
        accepted = rng.binomial(3 * drafts, 0.6)
        counts = stats.resampled(10)
        draws = (counts @ accepted) / (counts @ drafts)
        return stats.t_interval(accepted.sum() / drafts.sum(), draws, 10, stats.effective(accepted / drafts))

    assert 0.92 <= share_covered(interval, 1.8) <= 0.99


@pytest.mark.parametrize("apart", [0, 15])
@pytest.mark.parametrize("launches", [2, 3, 5])
def test_a_mean_over_launches_is_covered_however_far_they_are_apart(launches, apart):
    def interval(rng):
        # Blocks of one launch differ by 3 %.
        means = np.array([rng.normal(100 + rng.normal(0, apart), 3, 12).mean() for _ in range(launches)])
        draws = stats.resampled(launches, draws=500) @ means / launches
        return stats.t_interval(float(means.mean()), draws, launches, launches)

    assert 0.92 <= share_covered(interval, 100) <= 0.985


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), st.floats(0.1, 100), st.floats(-1e5, 1e5))
def test_an_interval_moves_and_scales_with_its_values(values, scale, shift):
    lo, hi = stats.mean_interval(values)
    moved = stats.mean_interval([scale * value + shift for value in values])

    assert (scale * lo + shift, scale * hi + shift) == pytest.approx(moved, rel=1e-6, abs=1e-3)


@given(st.lists(st.floats(0.001, 1e3), min_size=1, max_size=50), st.randoms())
def test_a_quantiles_draws_ignore_the_order_of_requests(values, random):
    block = np.arange(len(values)) % 3
    order = list(range(len(values)))
    random.shuffle(order)
    counts = stats.resampled(3, draws=20)
    one = stats.quantile_draws(np.array(values), block, counts, 0.9)
    other = stats.quantile_draws(np.array(values)[order], block[order], counts, 0.9)

    assert one.tolist() == pytest.approx(other.tolist(), nan_ok=True)

import numpy as np
import pytest

from harness import stats


@pytest.mark.parametrize(
    ("dof", "t"),
    # NIST/SEMATECH e-Handbook of Statistical Methods, table 1.3.6.7.2, column 0.975
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (10, 2.228), (29, 2.045), (30, 2.042)],
)
def test_t_quantiles_are_the_tables(dof, t):
    assert t == pytest.approx(stats.t_quantile(0.975, dof), abs=5e-4)
    assert -t == pytest.approx(stats.t_quantile(0.025, dof), abs=5e-4)


def test_t_tends_to_the_normal():
    assert 1.95996 == pytest.approx(stats.t_quantile(0.975, 100_000), abs=1e-4)


def test_t_quantiles_between_whole_degrees_of_freedom_lie_between():
    assert stats.t_quantile(0.975, 4) == stats.t_quantile(0.975, 4.0)
    assert stats.t_quantile(0.975, 5) < stats.t_quantile(0.975, 4.5) < stats.t_quantile(0.975, 4)
    # The density integrated numerically gives 2.6589 at 4.5 degrees of freedom.
    assert 2.6589 == pytest.approx(stats.t_quantile(0.975, 4.5), rel=0.002)


def test_the_interval_of_a_mean_is_students():
    # mean 3, sd sqrt(2.5), standard error sqrt(0.5), t(4) = 2.776445; no value is like its neighbour
    interval = stats.mean_interval([1.0, 5.0, 3.0, 2.0, 4.0])

    assert (3 - 1.963243, 3 + 1.963243) == pytest.approx(interval, abs=1e-6)


def test_neighbours_that_are_alike_are_worth_less():
    rng = np.random.default_rng(0)
    series = [rng.normal()]
    for _ in range(50_000):
        series.append(0.5 * series[-1] + rng.normal())

    # A third of as many, for r = 0.5.
    assert 50_000 / 3 == pytest.approx(stats.effective(series), rel=0.05)


def test_values_are_never_worth_more_than_they_are():
    assert 10 == stats.effective([1.0, 2.0] * 5)
    assert 10 == stats.effective([3.0] * 10)
    assert 3 == stats.effective(list(range(10)))
    assert 2 == stats.effective([1.0, 2.0])


def test_an_interval_widens_where_neighbours_are_alike():
    apart = stats.mean_interval([1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0])
    alike = stats.mean_interval([1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0])

    assert alike.hi - alike.lo > 2 * (apart.hi - apart.lo)


def test_one_block_has_no_interval():
    assert stats.mean_interval([1.0]) is None
    assert stats.t_interval(1.0, np.ones(10), 1, 1) is None


def test_draws_that_are_all_undefined_have_no_interval():
    assert stats.t_interval(1.0, np.full(10, np.nan), 10, 10) is None


def test_the_t_interval_of_a_bootstrapped_mean_is_students():
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    draws = stats.resampled(5, draws=200_000, seed=1) @ values / 5
    interval = stats.t_interval(3.0, draws, 5, 5)

    assert (3 - 1.9632, 3 + 1.9632) == pytest.approx(interval, abs=0.01)


def test_every_resample_has_as_many_blocks_as_there_are():
    counts = stats.resampled(7, draws=50, seed=3)

    assert (50, 7) == counts.shape
    assert {7} == set(counts.sum(axis=1))


def test_a_seed_gives_the_same_draws():
    assert stats.resampled(7, 50, seed=3).tolist() == stats.resampled(7, 50, seed=3).tolist()
    assert stats.resampled(7, 50, seed=3).tolist() != stats.resampled(7, 50, seed=4).tolist()


def test_median_draws_are_medians_of_the_drawn_blocks():
    values = np.array([1.0, 2.0, 3.0, 10.0, 20.0])
    block = np.array([0, 0, 0, 1, 1])
    counts = np.array([[1, 1], [2, 0], [0, 2], [0, 0]])
    draws = stats.quantile_draws(values, block, counts, 0.5)

    assert [3.0, 2.0, 15.0] == draws[:3].tolist()
    assert np.isnan(draws[3])


def test_grouped_ranks_miss_a_large_samples_median_by_under_a_four_thousandth():
    values = np.random.default_rng(0).permutation(100_000).astype(float)
    draws = stats.quantile_draws(values, np.zeros(100_000, np.int64), np.array([[1]]), 0.5)

    assert 49_999.5 == pytest.approx(draws[0], abs=100_000 / 4096)


def test_a_histograms_quantile_lies_between_the_two_middle_ranks():
    centres = np.array([1.0, 2.0, 4.0])

    assert 3.0 == stats.weighted_quantile(centres, np.array([1.0, 1.0, 2.0]), 0.5)
    assert 4.0 == stats.weighted_quantile(centres, np.array([1.0, 1.0, 8.0]), 0.5)
    assert stats.weighted_quantile(centres, np.zeros(3), 0.5) is None
    assert stats.weighted_quantile(np.empty(0), np.empty(0), 0.5) is None


def noisy(level, rng, scale=1.0):
    return level + rng.normal(0, scale, len(level))


def test_mser_drops_a_start_up_transient():
    rng = np.random.default_rng(0)
    ramp = np.concatenate([np.linspace(0, 100, 30), np.full(170, 100.0)])
    cut = stats.mser5(noisy(ramp, rng))

    assert cut.settled
    assert 25 <= cut.at <= 60


def test_mser_finds_the_end_of_an_exponential_start():
    rng = np.random.default_rng(1)
    level = 100 * (1 - np.exp(-np.arange(300) / 20))
    cut = stats.mser5(noisy(level, rng))

    # After 4 time constants 1.8 % of the gap is left, about the size of the noise.
    assert cut.settled
    assert 50 <= cut.at <= 120


def test_mser_keeps_all_of_a_steady_series_nearly_always():
    cuts = [stats.mser5(np.random.default_rng(seed).normal(100, 5, 200)) for seed in range(200)]

    assert 198 <= sum(cut.settled for cut in cuts)
    assert 150 <= sum(cut.at <= 40 for cut in cuts)


def test_mser_of_a_constant_series_drops_nothing():
    assert (0, True) == stats.mser5(np.full(60, 1e6 / 3))


def test_a_trend_to_the_end_is_not_settled():
    rng = np.random.default_rng(2)

    assert not stats.mser5(noisy(np.linspace(100, 200, 200), rng)).settled


def test_a_fall_that_slows_down_is_not_settled():
    level = 440 / (1 + np.arange(145) / 20)  # steps that take longer and longer

    assert not stats.mser5(level).settled


def test_a_step_in_the_last_half_is_not_settled():
    rng = np.random.default_rng(3)
    level = np.concatenate([np.full(140, 100.0), np.full(60, 80.0)])

    assert not stats.mser5(noisy(level, rng)).settled


def test_a_step_too_small_to_matter_is_settled():
    level = np.concatenate([np.full(140, 100.0), np.full(60, 99.5)])

    assert stats.mser5(level).settled


@pytest.mark.parametrize("length", [0, 1, 4, 9])
def test_too_short_a_series_is_not_cut(length):
    assert (0, True) == stats.mser5(np.arange(length, dtype=float))

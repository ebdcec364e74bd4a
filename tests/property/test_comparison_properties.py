"""Whatever two arms deliver: a comparison mirrors, scales, and holds the truth as often as it says."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import mirrored

from analysis.assumptions import Assumptions, assumptions, parse_prices
from analysis.compare import Options, compare_table
from analysis.comparison import compare
from analysis.diff import Diff
from analysis.pairing import find_pairs
from analysis.rows import table
from analysis.targets import same_concurrency

NOTHING_ASSUMED = Assumptions(None, "", None, "")
REPEATS = 120


def arms(synthetic):
    return st.builds(
        synthetic.Arm,
        draft_tokens=st.just(3),
        tokens_per_step=st.floats(1.2, 4.0),
        step_s=st.floats(0.008, 0.03),
        step_s_per_user=st.floats(0.0001, 0.002),
    )


@pytest.fixture(scope="session")
def sweeps(synthetic):
    return st.builds(
        lambda mtp, **more: synthetic.Sweep(arms=(synthetic.OFF, mtp), **more),
        arms(synthetic),
        launches=st.integers(1, 4),
        blocks=st.integers(1, 12),
        seed=st.integers(0, 99),
    )


def rows_of(sweep):
    return table((row, None) for row in sweep.rows())


def pair_of(sweep):
    (asked,), _ = find_pairs(rows_of(sweep))
    return asked.matched[0]


def compared(pair, prices=NOTHING_ASSUMED):
    return compare(pair, Diff((), read=True), prices)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_swapping_the_arms_mirrors_the_comparison(sweeps, data):
    pair = pair_of(data.draw(sweeps))

    one, other = compared(pair), compared(replace(pair, off=pair.mtp, mtp=pair.off))

    assert one.overlap == other.overlap
    for mine, theirs in zip(
        (*one.targets, *one.same_concurrency), (*other.targets, *other.same_concurrency), strict=True
    ):
        assert 1 / mine.ratio.value == pytest.approx(theirs.ratio.value)
        assert mirrored(mine.ratio.verdict()) == theirs.ratio.verdict()
        if mine.ratio.lo is not None:
            assert (1 / mine.ratio.hi, 1 / mine.ratio.lo) == pytest.approx((theirs.ratio.lo, theirs.ratio.hi))
    assert [x.at for x in one.crossovers] == pytest.approx([x.at for x in other.crossovers])
    assert [not x.mtp_better_above for x in one.crossovers] == [x.mtp_better_above for x in other.crossovers]


@settings(max_examples=15, deadline=None)
@given(data=st.data(), price=st.floats(0.1, 50))
def test_scaling_the_price_scales_cost_and_nothing_else(sweeps, data, price):
    pair = pair_of(data.draw(sweeps))

    one, other = (
        compared(pair, assumptions("x", None, replace(parse_prices(None), usd_per_gpu_hour=p))) for p in (1.0, price)
    )

    for mine, theirs in zip(one.targets, other.targets, strict=True):
        assert mine.ratio == theirs.ratio
        for arm in ("mtp", "off"):
            cheap, dear = getattr(mine, arm), getattr(theirs, arm)
            assert price * cheap.cost_per_mtok == pytest.approx(dear.cost_per_mtok)
            assert replace(cheap, cost_per_mtok=0, cost_per_mtok_output=0) == replace(
                dear, cost_per_mtok=0, cost_per_mtok_output=0
            )


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_the_order_of_rows_does_not_matter(sweeps, data):
    rows = rows_of(data.draw(sweeps)).rows
    shuffled = data.draw(st.permutations(rows))

    one, other = (
        compare_table(table((row.cells, None) for row in order), Options()).comparisons[0] for order in (rows, shuffled)
    )

    assert (one.targets, one.same_concurrency, one.crossovers) == (
        other.targets,
        other.same_concurrency,
        other.crossovers,
    )
    assert one.verdict == other.verdict


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_targets_lie_inside_the_overlap_and_ratios_inside_their_intervals(sweeps, data):
    comparison = compared(pair_of(data.draw(sweeps)))

    for target in comparison.targets:
        assert comparison.overlap[0] < target.at < comparison.overlap[1]
        assert () == target.clamped
        if target.ratio.lo is not None:
            assert target.ratio.lo <= target.ratio.value <= target.ratio.hi


@settings(max_examples=15, deadline=None)
@given(data=st.data(), at=st.floats(0.01, 5000))
def test_nothing_is_ever_extrapolated(sweeps, data, at):
    comparison = compare(pair_of(data.draw(sweeps)), Diff((), read=True), NOTHING_ASSUMED, at=(at,))

    (target,) = comparison.targets

    for reading, arm in ((target.mtp, comparison.mtp), (target.off, comparison.off)):
        low, high = arm.curve.span
        assert reading.clamped == (not low <= at <= high)
        values = [level.mean("total_tok_s_gpu") for level in arm.curve.knots]
        assert min(values) * (1 - 1e-9) <= reading.total_tok_s_gpu <= max(values) * (1 + 1e-9)
    assert (target.ratio is None) == bool(target.clamped)


@pytest.mark.parametrize(
    ("launches", "noise"), [(2, (0.02, 0.01)), (3, (0.02, 0.01)), (5, (0.02, 0.01)), (1, (0, 0.02))]
)
def test_intervals_hold_the_truth(synthetic, launches, noise):
    truth = synthetic.MTP.interactivity(16) / synthetic.OFF.interactivity(16)
    hits = 0
    for seed in range(REPEATS):
        sweep = synthetic.Sweep(
            concurrencies=(16,), launches=launches, launch_noise=noise[0], block_noise=noise[1], seed=seed
        )
        (level,) = same_concurrency(pair_of(sweep), NOTHING_ASSUMED, within_launch=launches == 1)
        hits += level.ratio.lo <= truth <= level.ratio.hi

    # Two standard errors below 95 % at so many repeats; above, resampling both levels is known to be wide.
    assert 0.91 <= hits / REPEATS

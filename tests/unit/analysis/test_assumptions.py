"""Prices and power: whose, from when, and what is said where there are none."""

import pytest

from analysis.assumptions import assumptions, parse_prices
from harness import config
from harness.errors import UserError


def h100(prices=None):
    return assumptions("h100", config.load_gpu("h100"), parse_prices(prices))


def test_a_day_takes_the_prices_that_held_on_it():
    assert (1.30, 1.73) == (h100("2026-07-13").usd_per_gpu_hour, h100("2026-07-13").all_in_kw)
    assert (1.30, 1.37) == (h100("2026-07-14").usd_per_gpu_hour, h100("2026-07-14").all_in_kw)


def test_a_tier_and_a_day_go_together():
    assert 1.69 == h100("2026-07-13,neocloud").usd_per_gpu_hour


def test_the_users_own_figures_win():
    own = h100("usd=2.5,kw=1.1")

    assert (2.5, "your own", 1.1, "your own") == (own.usd_per_gpu_hour, own.usd_from, own.all_in_kw, own.kw_from)


def test_what_is_not_known_is_none_with_its_reason():
    nowhere = assumptions("abacus", None, parse_prices(None))

    assert (None, "configs/gpus has no abacus") == (nowhere.usd_per_gpu_hour, nowhere.usd_from)
    assert (None, None) == (nowhere.cost_per_mtok(100.0), nowhere.tok_s_mw(100.0))
    assert "2020-01-01" in h100("2020-01-01").usd_from


def test_cost_is_price_over_throughput():
    # 1.30 $ an hour at 1000 tok/s: 3.6 million tokens an hour.
    assert 1.30 / 3.6 == pytest.approx(h100("2026-07-13").cost_per_mtok(1000.0))
    assert 1000 / 0.00173 == pytest.approx(h100("2026-07-13").tok_s_mw(1000.0))


@pytest.mark.parametrize("text", ["tomorrow", "usd=cheap", "usd=0", "2026-7-1", "usd=-1", "kw="])
def test_anything_else_is_refused_with_what_there_is(text):
    with pytest.raises(UserError, match="hyperscaler"):
        parse_prices(text)

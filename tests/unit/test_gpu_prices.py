"""Prices and power of GPUs are facts with a first day and a source."""

from datetime import date

import pytest

from harness import config

GPUS = {name: gpu for name, gpu in config.load_gpus().items() if gpu.vendor != "cpu"}


def test_every_gpu_of_the_public_tables_is_there():
    assert {"h100", "h200", "b200", "b300", "gb200", "gb300", "mi300x", "mi325x", "mi355x"} <= GPUS.keys()


@pytest.mark.parametrize("name", sorted(GPUS))
def test_prices_ascend_by_day_and_each_has_a_source(name):
    days = [prices.since for prices in GPUS[name].prices]

    assert days == sorted(set(days), key=date.fromisoformat)
    assert all(prices.source and prices.usd_per_gpu_hour and prices.all_in_kw for prices in GPUS[name].prices)


def test_prices_of_a_day_are_the_newest_stated_by_then():
    h100 = GPUS["h100"]
    held = {
        day: (prices.usd_per_gpu_hour["hyperscaler"], prices.all_in_kw)
        for day in ("2026-07-13", "2026-07-14", "2026-08-14")
        if (prices := h100.prices_on(day))
    }

    assert {"2026-07-13": (1.30, 1.73), "2026-07-14": (1.30, 1.37), "2026-08-14": (1.17, 1.37)} == held


def test_before_its_first_price_a_gpu_has_none():
    assert GPUS["rtx6000pro"].prices_on("2026-07-13") is None


def test_a_tier_that_a_source_drops_is_absent_not_carried_on():
    newest = GPUS["b200"].prices_on("2026-12-31")

    assert {"hyperscaler", "rental"} == newest.usd_per_gpu_hour.keys()

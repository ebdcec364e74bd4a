"""Sentences that can't be misread."""

from dataclasses import replace

import pytest

from analysis.choices import Best
from analysis.crossovers import Crossover
from analysis.pairs import Arm
from analysis.prose import choice, crossover, more_or_less, paragraph


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1.94, "94 % more"),
        (1 / 1.94, "48.5 % less"),
        (2.0, "100 % more"),
        (0.5, "50 % less"),
        (1.004, "the same within 0.5 %"),
        (0.9785, "2.1 % less"),
        (4.99, "399 % more"),
        (14.2, "14.2 times as much"),
    ],
)
def test_more_and_less_mean_what_a_reader_takes_them_to_mean(ratio, words):
    assert words == more_or_less(ratio)


def test_cost_falls_by_less_than_throughput_rises(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(concurrencies=(1, 2, 4, 8, 16, 32, 64)), at=(60.0,), prices="2026-07-13")
    ratio = comparison.targets[0].ratio.value

    text = paragraph(comparison)

    assert f"{100 * (ratio - 1):.3g} % more" in text
    assert f"A million tokens cost {100 * (1 - 1 / ratio):.3g} % less with MTP at 60.0 tok/s/user" in text


def test_stamps_come_first(synthetic, comparison_of):
    emulated = synthetic.Sweep(emulated=True, arms=(synthetic.OFF, replace(synthetic.MTP, forced=2.4)))

    assert paragraph(comparison_of(emulated)).startswith("[emulated, forced-acceptance] ")


def test_a_demo_says_that_it_has_no_verdict(synthetic, comparison_of):
    assert "Measured for show (demo): no verdict." in paragraph(comparison_of(synthetic.Sweep(demo=True)))


def test_a_difference_between_deployments_is_never_worded_as_mtps(synthetic, report_of):
    off = synthetic.Sweep(arms=(synthetic.OFF,), tp=4)
    mtp = synthetic.Sweep(arms=(synthetic.MTP,), name="mtp")

    (comparison,) = report_of(off, mtp).comparisons
    text = paragraph(comparison)

    assert "not an effect of MTP" in text
    assert "MTP delivers" not in text
    assert "with MTP at" not in text


def test_a_crossing_says_on_which_side_mtp_wins():
    text = crossover(Crossover(at=40.0, lo=38.0, hi=None, mtp_better_above=True))

    assert (
        "the curves cross at 40.0 tok/s/user (95 % interval 38.0 to beyond the overlap): above it MTP delivers more "
        "per GPU, below it Off"
    ) == text


def test_a_crossing_without_an_interval_says_so():
    assert "no interval is known" in crossover(Crossover(at=40.0, lo=None, hi=None, mtp_better_above=False))


def test_a_choice_names_what_is_tied():
    best = Best(16, {Arm(1): 400.0, Arm(3): 399.0}, Arm(1), (Arm(3),))

    assert "concurrency 16.0: MTP 1 (400 tok/s/GPU, tied with MTP 3)" == choice(best, "concurrency")

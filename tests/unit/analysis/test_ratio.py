"""Ratios, intervals and what may be said."""

import math

import pytest
from toys import mirrored

from analysis.ratio import Ratio, Verdict, ratio, verdict_of_several
from analysis.spread import Error


@pytest.mark.parametrize(
    ("lo", "hi", "verdict"),
    [
        (1.05, 1.20, Verdict.MTP_BETTER),
        (0.80, 0.95, Verdict.OFF_BETTER),
        (0.985, 1.015, Verdict.TIED),
        (0.99, 1.10, Verdict.NOT_RESOLVED),
        (0.90, 1.01, Verdict.NOT_RESOLVED),
        (None, None, Verdict.UNKNOWN),
    ],
)
def test_the_interval_decides(lo, hi, verdict):
    assert verdict == Ratio(1.0, lo, hi).verdict()


def test_the_margin_of_a_tie_is_the_users():
    assert Verdict.TIED == Ratio(1.0, 0.96, 1.04).verdict(margin=0.05)


def test_one_launch_resolves_nothing():
    found = Ratio(1.5, 1.4, 1.6, within_launch=True)

    assert (Verdict.NOT_RESOLVED, Verdict.MTP_BETTER) == (found.verdict(), found.verdict_within_launch())


def test_a_third_of_what_a_point_fewer_changes_widens_the_interval():
    assert Verdict.MTP_BETTER == Ratio(1.1, 1.05, 1.15, interpolation=0.14).verdict()
    assert Verdict.NOT_RESOLVED == Ratio(1.1, 1.05, 1.15, interpolation=0.17).verdict()
    assert Verdict.NOT_RESOLVED == Ratio(1.1, 1.05, 1.15, interpolation=None).verdict()


def test_equal_errors_of_three_launches_each_have_four_degrees_of_freedom():
    found = ratio(0.0, 0.0, (Error(0.01, 3), Error(0.01, 3)))

    # 2.776 is Student's 97.5 % quantile for four degrees of freedom.
    assert math.exp(2.776 * math.sqrt(2) * 0.01) == pytest.approx(found.hi, rel=1e-5)


def test_an_exact_arm_leaves_the_other_its_own_degrees_of_freedom():
    found = ratio(0.0, 0.0, (Error(0.01, 3), Error(1e-12, 30)))

    # 4.303 for two.
    assert math.exp(4.303 * 0.01) == pytest.approx(found.hi, rel=1e-4)


def test_without_errors_there_is_a_ratio_and_no_interval():
    found = ratio(math.log(3), math.log(2), (Error(0.01, 3), None))

    assert (pytest.approx(1.5), None, None) == (found.value, found.lo, found.hi)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ("mtp better, mtp better", "mtp better"),
        ("mtp better, off better, tied", "depends on the interactivity"),
        ("mtp better, not resolved", "mtp better in places"),
        ("mtp better, tied", "mtp better in places"),
        ("tied, unknown, off better", "off better in places"),
        ("tied, not resolved", "not resolved"),
        ("not resolved, unknown", "not resolved"),
        ("unknown", "unknown"),
    ],
)
def test_it_depends_only_where_each_arm_is_better_somewhere(found, verdict):
    several = [Verdict(word) for word in found.split(", ")]

    assert verdict == verdict_of_several(several)
    assert mirrored(Verdict(verdict)) == verdict_of_several([mirrored(word) for word in several])

"""The dashboard's computation holds together whatever the rows."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analysis.assumptions import Assumptions
from analysis.published import words
from analysis.published.maths import pages_of
from harness.front import front

QUICK = settings(max_examples=150, deadline=None)
rates = st.floats(0.1, 1e5)
points = st.lists(st.tuples(rates, rates, st.integers(1, 4096)), min_size=1, max_size=8)


def rows_of(mtp, off):
    lead = {"model": "m", "gpu": "g", "precision": "fp8", "engine": "e", "isl": 1, "osl": 1, "invalid": []}
    return [
        lead | {"draft_tokens": arm, "interactivity": x, "total_tok_s_gpu": y, "concurrency": c}
        for arm, side in ((None, mtp), (0, off))
        for x, y, c in side
    ]


def page_of(mtp, off, usd=3.6):
    (page,) = pages_of(rows_of(mtp, off), lambda _: Assumptions(usd, "made up", 2.0, "made up"))
    return page


@QUICK
@given(mtp=points, off=points)
def test_cells_stay_inside_what_the_front_measured(mtp, off):
    for target in page_of(mtp, off).targets:
        for cells, side in ((target.mtp, mtp), (target.off, off)):
            x, y, c = (np.array(column, float) for column in zip(*side, strict=True))
            kept = front(x, y)
            assert y[kept].min() <= cells.tok_s_gpu <= y[kept].max()
            assert c[kept].min() <= cells.concurrency <= c[kept].max()


@QUICK
@given(mtp=points, off=points)
def test_swapping_arms_mirrors_the_page(mtp, off):
    one, other = page_of(mtp, off), page_of(off, mtp)

    assert one.band == other.band
    assert [(t.at, t.mtp, t.off) for t in one.targets] == [(t.at, t.off, t.mtp) for t in other.targets]


@QUICK
@given(mtp=points, off=points)
def test_scaling_the_price_scales_cost_and_nothing_else(mtp, off):
    for one, other in zip(page_of(mtp, off).targets, page_of(mtp, off, usd=7.2).targets, strict=True):
        assert one.mtp.tok_s_gpu == other.mtp.tok_s_gpu
        assert 2 * one.mtp.usd_per_mtok == pytest.approx(other.mtp.usd_per_mtok)


@QUICK
@given(mtp=points, off=points)
def test_order_of_rows_does_not_matter_where_none_coincide(mtp, off):
    assume(all(len({point[:2] for point in side}) == len(side) for side in (mtp, off)))

    assert page_of(mtp, off).targets == page_of(mtp[::-1], off[::-1]).targets


@QUICK
@given(mtp=points, off=points)
def test_every_page_has_words(mtp, off):
    page = page_of(mtp, off)
    for target in page.targets:
        assert words.verdict(target).endswith(".")
        assert words.band_word(target.at, page.band) in {"low end", "middle", "upper edge"}
        assert all(math.isfinite(float(digits)) for digits in words.table_cells(target.mtp).values())

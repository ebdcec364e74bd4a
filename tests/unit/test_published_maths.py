"""The dashboard's computation, piece by piece, on numbers that can be checked by hand."""

import math

import pytest

from analysis.assumptions import Assumptions
from analysis.published import words
from analysis.published.maths import Cells, Target, js_round, pages_of

RATES = Assumptions(usd_per_gpu_hour=3.6, usd_from="made up", all_in_kw=2.0, kw_from="made up")
UNKNOWN = Assumptions(usd_per_gpu_hour=None, usd_from="nobody knows", all_in_kw=None, kw_from="nobody knows")


def row(x, throughput, concurrency, *, off=False, **more):
    return {
        "model": "m",
        "gpu": "h100",
        "precision": "fp8",
        "engine": "sglang",
        "isl": 1024,
        "osl": 1024,
        "draft_tokens": 0 if off else None,
        "interactivity": x,
        "total_tok_s_gpu": throughput,
        "concurrency": concurrency,
        "invalid": [],
    } | more


def page(rows, rates=RATES, **options):
    (only,) = pages_of(rows, lambda _: rates, **options)
    return only


MTP = [row(100.0, 100.0, 1), row(80.0, 300.0, 8), row(40.0, 500.0, 32)]
OFF = [row(90.0, 80.0, 1, off=True), row(60.0, 200.0, 8, off=True), row(20.0, 400.0, 32, off=True)]


def test_band_is_the_overlap_and_targets_its_quarters():
    found = page(MTP + OFF)

    assert (40, 90) == found.band
    assert [53, 65, 78] == [target.at for target in found.targets]


def test_band_is_over_all_points_not_only_the_front():
    beaten = row(20.5, 10.0, 64)

    assert (21, 90) == page([*MTP, beaten, *OFF]).band


def test_arms_that_do_not_overlap_take_the_union():
    assert (20, 100) == page([MTP[0], row(90.0, 90.0, 1), *OFF[2:]]).band


def test_one_shared_interactivity_gives_one_target():
    found = page([row(50.2, 100.0, 4), row(50.2, 90.0, 4, off=True)])

    assert [50] == [target.at for target in found.targets]


def test_a_target_beyond_a_front_shows_the_edge():
    found = page(MTP + OFF, at=[41])

    assert pytest.approx(500.0, rel=0.05) == found.targets[0].mtp.tok_s_gpu
    assert 100.0 == page([row(100.0, 100.0, 1), *OFF], at=[70]).targets[0].mtp.tok_s_gpu


def test_targets_asked_for_are_rounded_and_moved_into_the_band():
    assert [40, 51, 90] == [target.at for target in page(MTP + OFF, at=[1, 50.5, 1000]).targets]


def test_a_knot_is_met_exactly_and_a_beaten_point_is_not_seen():
    found = page([*MTP, row(79.0, 200.0, 7), *OFF], at=[80])

    assert Cells(300.0, 3.6e6 / (3600 * 300.0), 1000 * 300.0 / 2.0, 8.0) == found.targets[0].mtp


def test_two_knots_bend_the_line_as_the_page_does():
    # Slopes 1.5 and 0.75 times the secant: at the middle the cubic lies (1.5 - 0.75) / 8 of the rise off the line.
    found = page([row(40.0, 500.0, 32), row(80.0, 300.0, 8), *OFF], at=[60])

    assert 500.0 - 200.0 * (0.5 + 0.75 / 8) == pytest.approx(found.targets[0].mtp.tok_s_gpu)


def test_cost_is_splined_by_itself_and_so_disagrees_with_throughput():
    cells = page(MTP + OFF, at=[60]).targets[0].mtp

    assert not math.isclose(cells.usd_per_mtok, 3.6e6 / (3600 * cells.tok_s_gpu), rel_tol=0.01)


def test_without_prices_the_rest_of_a_page_stands():
    with_prices, without = page(MTP).targets[0].mtp, page(MTP, UNKNOWN).targets[0].mtp

    assert (None, None) == (without.usd_per_mtok, without.tok_s_mw)
    assert (with_prices.tok_s_gpu, with_prices.concurrency) == (without.tok_s_gpu, without.concurrency)


def test_invalid_rows_take_no_part():
    assert page(MTP) == page([*MTP, row(500.0, 5000.0, 1, invalid=["superseded"])])


def test_an_arm_alone_has_a_page_without_a_verdict():
    found = page(MTP)

    assert (3, 0) == (found.mtp_rows, found.off_rows)
    assert [None, None, None] == [target.off for target in found.targets]
    assert words.verdict(found.targets[0]) is None


def test_pairs_are_apart_by_every_part_of_their_name():
    rows = [
        MTP[0],
        *(MTP[1] | {name: value} for name, value in {"isl": 8192, "gpu": "b200", "precision": "fp4"}.items()),
    ]

    assert 4 == len(pages_of(rows, lambda _: UNKNOWN))


@pytest.mark.parametrize(
    ("value", "rounded"), [(0.5, 1), (1.5, 2), (2.4999, 2), (0.49999999999999994, 0), (108.5, 109)]
)
def test_js_round_rounds_halves_up(value, rounded):
    assert rounded == js_round(value)


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(1.005, 2, "1.00"), (0.125, 2, "0.13"), (2.5, 0, "3"), (1e21, 0, "1" + "0" * 21)]
)
def test_digits_are_those_of_the_exact_binary_value(value, digits, text):
    assert text == words.to_fixed(value, digits)


def target(mtp, off, mtp_usd=1.0, off_usd=1.0):
    return Target(50, Cells(mtp, mtp_usd, None, 8), Cells(off, off_usd, None, 8))


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (target(100.9, 100.0), "Cost per token is essentially tied; throughput per GPU is essentially tied."),
        (target(101.0, 100.0), "Cost per token is essentially tied; MTP delivers 1% more tok/s/GPU."),
        (target(100, 250, 1.94, 1.0), "Off is 94% cheaper per token; Off delivers 150% more tok/s/GPU."),
        (target(100, 100, 1.0, 3.0), "MTP is 200% cheaper per token; throughput per GPU is essentially tied."),
        (target(200, 100, None, None), "MTP delivers 100% more tok/s/GPU."),
    ],
)
def test_verdict_is_the_ratio_minus_one(made, said):
    assert said == words.verdict(made)


def test_prose_drops_cents_from_ten_dollars_on():
    figures = [words.prose_figures(Cells(77.46, usd, None, 8.0)) for usd in (1.755, 9.99, 10.04)]

    assert ["77", "77", "77"] == [f["tok_s_gpu"] for f in figures]
    assert ["1.75", "9.99", "10.0"] == [f["usd_per_mtok"] for f in figures]


@pytest.mark.parametrize(
    ("at", "word"), [(60, "low end"), (92, "low end"), (93, "middle"), (124, "middle"), (125, "upper edge")]
)
def test_band_words_are_by_thirds_of_the_printed_band(at, word):
    assert word == words.band_word(at, (60, 157))


def test_a_band_of_one_point_is_its_middle():
    assert "middle" == words.band_word(50, (50, 50))

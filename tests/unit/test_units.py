import pytest

from harness import units


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 3, "\N{EN DASH}"),
        (0, 3, "0"),
        (0.012345, 3, "0.0123"),
        (1.2345, 3, "1.23"),
        (9.996, 3, "10.0"),
        (99.96, 3, "100"),
        (0.09996, 3, "0.100"),
        (123.4, 3, "123"),
        (12345.6, 3, "12,346"),
        (-1.2345, 3, "-1.23"),
        (1e-9, 2, "0.0000000010"),
    ],
)
def test_numbers_keep_their_significant_digits(value, digits, text):
    assert text == units.number(value, digits)


def test_cost_follows_price_and_throughput():
    # One GPU at 3.60 $ an hour makes 3.6e6 tokens in it at 1000 tok/s: a dollar a million.
    assert 1.0 == pytest.approx(units.usd_per_mtok(3.60, 1000.0))


def test_a_megawatt_is_a_thousand_kilowatts():
    assert 500_000.0 == pytest.approx(units.tok_s_mw(1000.0, 2.0))


def test_an_interval_without_ends_is_empty():
    assert "" == units.between(None, 2.0)
    assert "1.20 to 1.31" == units.between(1.2, 1.31)


def test_shares_read_as_per_cent():
    assert "3.4 %" == units.percent(0.034)


def test_the_last_bits_of_a_sum_are_no_digits():
    assert ("0 %", "under 0.001 %", "0.0010 %") == tuple(units.percent(share) for share in (0.0, 3.8e-15, 1e-5))


def test_a_wide_interval_of_a_logarithm_is_told_by_how_far_it_reaches_each_way():
    said = [units.plus_minus(half_width) for half_width in (0.034, 3.8e-15, 0.199, 0.25, 2.6, 9.0, 1e6)]

    assert ["\N{PLUS-MINUS SIGN} 3.4 %", "\N{PLUS-MINUS SIGN} under 0.001 %", "\N{PLUS-MINUS SIGN} 20 %"] == said[:3]
    assert ["(+25 %, -20 %)", "(+260 %, -72 %)", "(+900 %, -90 %)"] == said[3:6]
    assert "(to over 10 times as much or as little)" == said[6]


def test_durations_are_said_as_people_say_them():
    said = [units.duration(seconds) for seconds in (0.85, 12.34, 320, 7500)]

    assert ["850 ms", "12.3 s", "5 min 20 s", "2 h 05 min"] == said

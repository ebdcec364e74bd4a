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


def test_durations_are_said_as_people_say_them():
    said = [units.duration(seconds) for seconds in (0.85, 12.34, 320, 7500)]

    assert ["850 ms", "12.3 s", "5 min 20 s", "2 h 05 min"] == said

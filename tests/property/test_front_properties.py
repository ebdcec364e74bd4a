"""Whatever the points: fronts hold nothing beaten, splines never leave their neighbours, nothing extrapolates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.front import beaten_by, falling, front, slopes, spline, where_falling

numbers = st.floats(0.1, 1e4)
points = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12)
series = st.lists(numbers, min_size=2, max_size=10)
steps = st.lists(st.floats(0.05, 3), min_size=1, max_size=9)


def ascending(gaps):
    return np.concatenate([[0.0], np.cumsum(gaps)])


@given(points)
def test_a_front_holds_no_beaten_point_and_leaves_none_unbeaten(cloud):
    x, y = np.array(cloud).T

    kept = front(x, y)

    for i in range(len(cloud)):
        others = [j for j in range(len(cloud)) if (x[j], y[j]) != (x[i], y[i])]
        beaten = any(x[j] >= x[i] and y[j] >= y[i] for j in others)
        assert beaten == (i not in kept) or (x[i], y[i]) in {(x[k], y[k]) for k in kept}


@given(points)
def test_a_front_climbs_to_the_left(cloud):
    x, y = np.array(cloud).T

    kept = front(x, y)

    assert np.all(np.diff(x[kept]) > 0)
    assert np.all(np.diff(y[kept]) < 0)


@given(points)
def test_points_beaten_by_a_margin_are_never_on_the_front(cloud):
    x, y = np.array(cloud).T

    by = beaten_by(x, y, 0.02)

    assert set(np.flatnonzero(by >= 0)).isdisjoint(front(x, y))
    assert all(x[j] > x[i] * 1.02 and y[j] > y[i] * 1.02 for i, j in enumerate(by) if j >= 0)


@given(steps, st.data())
def test_a_spline_passes_through_every_knot(gaps, data):
    x = ascending(gaps)
    y = data.draw(st.lists(numbers, min_size=len(x), max_size=len(x)))

    assert spline(x, y, x).tolist() == y


@given(steps, st.data(), st.floats(0, 1))
def test_a_spline_stays_between_its_neighbours(gaps, data, part):
    x = ascending(gaps)
    y = np.array(data.draw(st.lists(numbers, min_size=len(x), max_size=len(x))))

    between = spline(x, y, x[:-1] + part * np.diff(x))

    slack = 1e-9 * y.max()
    assert np.all(between >= np.minimum(y[:-1], y[1:]) - slack)
    assert np.all(between <= np.maximum(y[:-1], y[1:]) + slack)


@given(steps, st.data())
def test_a_spline_is_monotone_between_monotone_knots(gaps, data):
    x = ascending(gaps)
    y = np.sort(data.draw(st.lists(numbers, min_size=len(x), max_size=len(x))))

    fine = spline(x, y, np.linspace(0, x[-1], 200).clip(0, x[-1]))

    assert np.all(np.diff(fine) >= -1e-9 * y.max())


@given(steps, st.floats(1e-6, 10))
def test_a_spline_never_extrapolates(gaps, beyond):
    x = ascending(gaps)

    assert np.all(np.isnan(spline(x, x, [x[0] - beyond, x[-1] + beyond])))


@given(steps, st.data(), st.floats(0, 1))
def test_the_inverse_finds_the_level(gaps, data, part):
    x = ascending(gaps)
    y = np.sort(data.draw(st.lists(numbers, min_size=len(x), max_size=len(x), unique=True)))[::-1]
    level = y[-1] + part * (y[0] - y[-1])

    place = where_falling(x, y, [level])

    assert level == pytest.approx(spline(x, y, place)[0], rel=1e-6)


@given(steps, st.floats(1e-3, 10))
def test_the_inverse_knows_what_is_never_reached(gaps, beyond):
    x = ascending(gaps)

    assert np.all(np.isnan(where_falling(x, -x, [beyond, -x[-1] - beyond])))


@given(series)
def test_falling_leaves_a_falling_series_alone(values):
    falls = sorted(values, reverse=True)

    assert falls == pytest.approx(falling(falls).tolist())


@given(series)
def test_falling_falls_and_keeps_the_mean(values):
    fitted = falling(values)

    assert np.all(np.diff(fitted) <= 1e-9 * max(values))
    assert np.mean(values) == pytest.approx(fitted.mean())


@given(steps, st.data())
def test_many_rows_are_the_same_as_one_at_a_time(gaps, data):
    x = ascending(gaps)
    rows = np.array([data.draw(st.lists(numbers, min_size=len(x), max_size=len(x), unique=True)) for _ in range(3)])
    fitted = falling(rows)
    at = np.linspace(x[0], x[-1], 5).clip(x[0], x[-1])
    level = fitted[:, :1] * 0.7 + fitted[:, -1:] * 0.3

    assert [falling(row).tolist() for row in rows] == fitted.tolist()
    assert [slopes(x, row).tolist() for row in rows] == slopes(x, rows).tolist()
    assert [spline(x, row, at).tolist() for row in rows] == spline(x, rows, at).tolist()
    one_by_one = [where_falling(x, row, one).tolist() for row, one in zip(fitted, level, strict=True)]
    np.testing.assert_allclose(where_falling(x, fitted, level), one_by_one, rtol=1e-9, atol=1e-9)

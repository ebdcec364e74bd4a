"""A curve through levels: exact at points, honest between them, silent outside."""

import numpy as np
import pytest

from analysis.curve import curve, overlap
from analysis.pairs import BEST, MATCHED, MeasuredLoad
from analysis.rows import Row
from analysis.topology import Topology
from harness.spec import Load


def level(concurrency, x, y, *, tp=8, **more):
    row = Row(
        model="m",
        gpu="h100",
        gpus=tp,
        precision="fp8",
        engine="vllm",
        isl=1024,
        osl=1024,
        concurrency=concurrency,
        draft_tokens=0,
        run_key="r",
        pair_key=f"r{tp}",
        tp=tp,
        cells={"interactivity": x, "total_tok_s_gpu": y, **more},
    )
    return MeasuredLoad(Topology(gpus=tp, tp=tp, pp=1, ep=1, dp=1), Load(concurrency), (row,))


FALLING = [level(1, 100.0, 25.0), level(4, 90.0, 90.0), level(16, 60.0, 240.0), level(64, 25.0, 400.0)]


def test_a_point_is_met_exactly():
    line = curve(FALLING, MATCHED)

    for each in FALLING:
        place = line.where(np.array([each.mean("interactivity")]))
        assert each.mean("total_tok_s_gpu") == pytest.approx(np.exp(line.logs(place)["total_tok_s_gpu"])[0])
        assert each.concurrency == pytest.approx(np.exp(line.logs(place)["concurrency"])[0])


def test_between_points_concurrency_and_throughput_belong_together():
    # x = 100 c^-0.25 and y = 25 c^0.75 are straight lines in logarithms of c: the spline must find them.
    line = curve([level(c, 100 * c**-0.25, 25 * c**0.75) for c in (1, 2, 8, 64)], MATCHED)

    place = line.where(np.array([100 * 20**-0.25]))

    assert 20 == pytest.approx(np.exp(line.logs(place)["concurrency"])[0])
    assert 25 * 20**0.75 == pytest.approx(np.exp(line.logs(place)["total_tok_s_gpu"])[0])


def test_outside_there_is_nothing():
    line = curve(FALLING, MATCHED)

    assert np.isnan(line.log("total_tok_s_gpu", np.array([24.9, 100.1]))).all()


def test_a_column_that_one_knot_lacks_is_not_read():
    line = curve([level(1, 100.0, 25.0, ttft_s=0.1), level(4, 90.0, 90.0)], MATCHED)

    assert "ttft_s" not in line.logs(np.array([0.5]))


def test_a_point_that_another_beats_is_listed_and_kept():
    hidden = level(32, 42.0, 294.0)
    line = curve([level(16, 68.0, 260.0), hidden, level(64, 53.5, 754.0), level(128, 39.6, 1100.0)], MATCHED)

    assert [hidden] == [outlier.level for outlier in line.outliers]
    assert hidden in line.knots
    assert "c32" in str(line.outliers[0])


def test_noise_makes_no_outlier():
    line = curve([level(16, 68.0, 260.0), level(32, 67.0, 257.0), level(64, 30.0, 300.0)], MATCHED)

    assert () == line.outliers


def test_interactivity_never_rises_along_a_curve():
    line = curve([level(16, 68.0, 260.0), level(32, 42.0, 294.0), level(64, 53.5, 754.0)], MATCHED)

    assert np.all(np.diff(line.log_x) <= 0)


def test_the_best_of_topologies_goes_through_the_front_alone():
    line = curve([*FALLING, level(8, 80.0, 200.0, tp=4), level(2, 50.0, 100.0, tp=4)], BEST)

    assert ["tp8 c1", "tp8 c4", "tp4 c8", "tp8 c16", "tp8 c64"] == [knot.label for knot in line.knots]


def test_at_a_point_nothing_is_interpolated():
    line = curve(FALLING, MATCHED)

    assert 0.0 == line.interpolation_change(60.0)
    assert line.interpolation_change(75.0) > 0


def test_what_two_points_hide_is_not_known():
    assert curve(FALLING[:2], MATCHED).interpolation_change(95.0) is None


def test_curves_that_do_not_meet_have_no_overlap():
    slow, fast = curve(FALLING, MATCHED), curve([level(1, 300.0, 1.0), level(2, 200.0, 2.0)], MATCHED)

    assert overlap(slow, fast) is None
    assert (60.0, 100.0) == pytest.approx(overlap(slow, curve(FALLING[:3], MATCHED)))

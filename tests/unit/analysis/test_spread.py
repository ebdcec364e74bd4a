"""How far a level's numbers would move: its launches whole, or one launch's blocks."""

import math

import numpy as np
import pytest

from analysis.launch_spread import SERIES
from analysis.pairs import MeasuredLoad
from analysis.rows import OUTPUT, Row, X, Y
from analysis.spread import level_draws, level_errors
from harness.stats import effective, mean_interval, t_quantile


def row(launch, number, blocks=()):
    cells = {X: number, Y: 2 * number, f"blocks_{X}": list(blocks), f"blocks_{Y}": [2 * block for block in blocks]}
    cells |= {OUTPUT: number, f"blocks_{OUTPUT}": list(blocks)}
    return Row(
        model="m",
        gpu="h100",
        gpus=1,
        precision="bf16",
        engine="vllm",
        isl=1,
        osl=1,
        concurrency=4,
        draft_tokens=0,
        run_key="off",
        pair_key="off",
        launch=launch,
        cells=cells,
    )


def level(*rows):
    return MeasuredLoad(rows[0].topology, rows[0].load, rows)


@pytest.mark.parametrize("numbers", [[99, 101], [100, 102, 98]])
def test_launches_have_students_interval_whatever_their_blocks_scatter(numbers):
    noise = np.random.default_rng(0).normal(0, 30, (len(numbers), 12))
    errors = level_errors(level(*(row(i, number, number + noise[i]) for i, number in enumerate(numbers))))
    half = math.log1p(errors[X].half_width)

    students = t_quantile(0.975, len(numbers) - 1) * np.std(numbers, ddof=1) / math.sqrt(len(numbers)) / 100
    assert students == pytest.approx(half, rel=0.05)
    assert errors[X].log == pytest.approx(errors[Y].log)


def test_one_launch_has_the_interval_of_its_blocks_alike_neighbours_included():
    blocks = 100 + np.repeat([1.0, -2.0, 0.5, 1.5, -1.0], 4)
    errors = level_errors(level(row(0, 100.0, blocks)))
    lo, hi = mean_interval(blocks)

    assert effective(blocks) < 10
    assert (hi - lo) / 2 / 100 == pytest.approx(math.log1p(errors[Y].half_width), rel=0.05)


def test_launches_ten_times_apart_lose_no_draw():
    draws = level_draws(level(row(0, 10.0), row(1, 100.0)))

    assert np.isfinite(draws[:, : len(SERIES)]).all()


def test_one_launch_without_blocks_has_no_error():
    assert {None} == set(level_errors(level(row(0, 100.0))).values())

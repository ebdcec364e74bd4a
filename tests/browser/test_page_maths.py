"""What the page's script computes is what Python computes: splines and inverses, targets with ratios and verdicts."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from analysis.assumptions import PriceChoice, assumptions
from analysis.compare import Options, Report, compare_paths, compare_table
from analysis.published import pages_of
from analysis.report import page, page_as_published
from analysis.rows import load_table
from analysis.targets import targets
from harness import config
from harness.front import slopes, spline, where_falling
from harness.stats import t_quantile

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "results" / "published"
CURVES = 400
PLACES = 12
NEAR = 1e-9

NOTHING = Report((), (), (), ())
"""A page with no comparison has the same script."""

INTERVALS_NEAR = 0.03
"""Between the interactivities whose errors a page carries, the width of an interval lies on straight lines."""

READ = """(number, at) => {
  const pair = state.data.pairs[number];
  const metrics = ["total_tok_s_gpu", "output_tok_s_gpu", "cost_per_mtok", "tok_s_mw_provisioned",
    "energy_j_per_tok_output", "tok_s_mw_measured"]
    .map((name) => state.data.metrics.find((metric) => metric.name === name));
  const arm = ({ value, half, clamped, columns }) => ({ value, half, clamped, columns });
  return at.map((x) => metrics.map((metric) => {
    const { ratio, verdict, mtp, off } = reading.target(pair, x, metric, pair.rates);
    return { ratio, verdict, mtp: arm(mtp), off: arm(off) };
  }));
}"""
"""What the page says of a pair at some places, by metric."""


def curves(rng: np.random.Generator) -> list[dict[str, list[float]]]:
    """Falling curves of 2 to 12 knots, some flat in places; and where to read them, beyond the ends too."""
    found = []
    for _ in range(CURVES):
        count = int(rng.integers(2, 13))
        x = np.cumsum(rng.uniform(0.05, 2, count))
        steps = rng.exponential(1, count) * (rng.uniform(size=count) > 0.15)
        y = rng.uniform(-3, 9) - np.cumsum(steps)
        at = np.concatenate([rng.uniform(x[0] - 0.1, x[-1] + 0.1, PLACES), x])
        level = np.concatenate([rng.uniform(y[-1] - 0.1, y[0] + 0.1, PLACES), y[[0, -1]]])
        found.append({"x": x.tolist(), "y": y.tolist(), "at": at.tolist(), "level": level.tolist()})
    return found


def same(expected, found) -> None:
    """Equal to 1e-9, relative to the larger of the number and 1; None in the page where Python has NaN."""
    expected, found = np.asarray(expected, float), np.array([math.nan if v is None else v for v in found], float)
    np.testing.assert_allclose(found, expected, rtol=NEAR, atol=NEAR)


@pytest.fixture
def reports(synthetic, tmp_path):
    """Comparisons of many shapes: one launch and three, drafts that pay and that don't, a demo, public rows."""
    sweeps = [
        synthetic.Sweep(name="three"),
        synthetic.Sweep(name="one", launches=1),
        synthetic.Sweep(name="noisy", launch_noise=0.06, block_noise=0.05, seed=3),
        synthetic.Sweep(name="demo", demo=True),
        synthetic.Sweep(name="worse", arms=(synthetic.OFF, synthetic.Arm(draft_tokens=1, tokens_per_step=1.02))),
        synthetic.Sweep(name="dense", concurrencies=(1, 2, 4, 8, 16, 32, 64, 128), seed=9),
    ]
    tables = [load_table([sweep.write(tmp_path / sweep.name)]) for sweep in sweeps]
    return [
        *(compare_table(table, Options()) for table in tables),
        compare_paths([PUBLISHED]),
        compare_paths([with_power(synthetic.Sweep(name="metered", seed=4), tmp_path / "metered")]),
    ]


def with_power(sweep, folder) -> Path:
    """A sweep whose GPUs drew more with more users, and not quite the same in each launch."""
    sweep.write(folder)
    rows = []
    for row in sweep.rows():
        watts = 300 + 40 * math.log2(row["concurrency"]) + 5 * row["launch"] + 20 * bool(row["draft_tokens"])
        drawn = {
            "power_scope": "gpu-board",
            "energy_j_per_tok_output": watts / row["output_tok_s_gpu"],
            "tok_s_mw_measured": 1e6 * row["total_tok_s_gpu"] / watts,
        }
        rows.append(row | drawn)
    (folder / "points.jsonl").write_text(sweep.lines(rows))
    return folder


async def test_splines_and_inverses_are_those_of_python(tab, written):
    await tab.open(written(page(NOTHING)))
    asked = curves(np.random.default_rng(0))

    splined, inverse = await tab.run(
        f"""(curves => [curves.map(c => c.at.map(at => maths.spline(c.x, c.y, at))),
            curves.map(c => c.level.map(level => maths.whereFalling(c.x, c.y, level)))])({json.dumps(asked)})"""
    )

    for curve, values, places in zip(asked, splined, inverse, strict=True):
        same(spline(curve["x"], curve["y"], curve["at"]), values)
        # Where a curve is flat its inverse is not one number: what counts is that it gives the level.
        reached = np.array([math.nan if place is None else place for place in places])
        expected = where_falling(curve["x"], curve["y"], curve["level"])
        assert np.array_equal(np.isnan(expected), np.isnan(reached))
        same(spline(curve["x"], curve["y"], expected), spline(curve["x"], curve["y"], reached).tolist())


async def test_slopes_and_quantiles_are_those_of_python(tab, written):
    await tab.open(written(page(NOTHING)))
    asked, degrees = curves(np.random.default_rng(1)), [1, 1.5, 2, 2.7, 3, 7.25, 11, 29.5, 200]

    tangents = await tab.run(f"({json.dumps(asked)}).map(c => maths.slopes(c.x, c.y))")
    quantiles = await tab.run(f"({degrees}).map(dof => maths.tQuantile(0.975, dof))")

    for curve, found in zip(asked, tangents, strict=True):
        same(slopes(np.array(curve["x"]), np.array(curve["y"])), found)
    same([t_quantile(0.975, dof) for dof in degrees], quantiles)


async def test_targets_anywhere_are_those_of_python(tab, written, reports):
    rng = np.random.default_rng(2)
    for report in reports:
        await tab.open(written(page(report)))
        for number, comparison in enumerate(report.comparisons):
            low, high = comparison.overlap
            at = [low, high, *rng.uniform(0.9 * low, 1.1 * high, PLACES), *(target.at for target in comparison.targets)]
            expected = targets(
                comparison.mtp, comparison.off, at, comparison.assumptions, within_launch=comparison.within_launch
            )

            found = await tab.run(f"({READ})({number}, {json.dumps([float(place) for place in at])})")

            for target, (total, output, cost, per_mw, *drawn) in zip(expected, found, strict=True):
                said_of_target(comparison, target, total, output, cost, per_mw)
                said_of_power(target, *drawn)


def said_of_target(comparison, target, total, output, cost, per_mw) -> None:
    for name, arm in (("mtp", target.mtp), ("off", target.off)):
        same([arm.total_tok_s_gpu, arm.output_tok_s_gpu], [total[name]["value"], output[name]["value"]])
        same(
            [math.nan if v is None else v for v in (arm.cost_per_mtok, arm.tok_s_mw_provisioned)],
            [cost[name]["value"], per_mw[name]["value"]],
        )
        same([arm.concurrency], [total[name]["columns"]["concurrency"]])
        assert arm.clamped == total[name]["clamped"]
        assert (arm.half_width is None) == (total[name]["half"] is None)
        if arm.half_width is not None:
            near(math.log1p(arm.half_width), math.log1p(total[name]["half"]))
    said_of_ratio(target.ratio, total["ratio"])
    said_of_ratio(target.output_ratio, output["ratio"])
    if target.at in {each.at for each in comparison.targets}:
        verdict = comparison.verdict_at(target)
        assert ("" if verdict is None else verdict) == total["verdict"]


def said_of_power(target, energy, per_mw) -> None:
    for name, arm in (("mtp", target.mtp), ("off", target.off)):
        same(
            [math.nan if v is None else v for v in (arm.energy_j_per_tok_output, arm.tok_s_mw_measured)],
            [energy[name]["value"], per_mw[name]["value"]],
        )
    said_of_ratio(target.energy_ratio, energy["ratio"])
    said_of_ratio(target.tok_s_mw_ratio, per_mw["ratio"])


def said_of_ratio(expected, found) -> None:
    if expected is None:
        assert found is None
        return
    same([expected.value], [found["value"]])
    same([math.nan if expected.interpolation is None else expected.interpolation], [found["interpolation"]])
    assert (expected.lo is None) == (found["lo"] is None)
    if expected.lo is not None:
        near(math.log(expected.hi / expected.lo), math.log(found["hi"] / found["lo"]))


def near(expected, found) -> None:
    """The logarithm of a factor: known where Python knows it, and within 3 % of it."""
    assert expected == pytest.approx(found, rel=INTERVALS_NEAR)


async def test_pages_as_published_are_those_of_python(tab, written):
    text, _ = page_as_published([PUBLISHED], Options())
    await tab.open(written(text))
    rows = [row.cells for row in load_table([PUBLISHED]).rows]
    gpus = config.load_gpus()
    at = [float(place) for place in range(20, 160, 7)]

    recomputed = pages_of(rows, lambda gpu: assumptions(gpu, gpus[gpu], PriceChoice(day="2026-07-13")), at=at)
    for number, expected in enumerate(recomputed):
        found = await tab.run(
            f"""(at => {{
              const pair = state.data.pairs[{number}], [low, high] = pair.overlap;
              return at.map((x) => reading.target(pair, Math.min(Math.max(Math.round(x), low), high),
                state.data.metrics[0], pair.rates)).map((t) => [t.mtp, t.off].map((side) => side && side.columns));
            }})({json.dumps(at)})"""
        )

        for target, arms in zip(expected.targets, found, strict=True):
            for cells, columns in zip((target.mtp, target.off), arms, strict=True):
                assert (cells is None) == (columns is None)
                if cells is not None:
                    names = ("total_tok_s_gpu", "cost_per_mtok", "tok_s_mw_provisioned", "concurrency")
                    same(
                        [cells.tok_s_gpu, cells.usd_per_mtok, cells.tok_s_mw, cells.concurrency],
                        [columns[name] for name in names],
                    )

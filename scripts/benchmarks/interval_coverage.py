"""How often 95 % intervals hold the truth, for noise that outlasts a block and for launches that differ.

    python scripts/benchmarks/interval_coverage.py [figures.json] [repeats]

A point has 10 to 30 blocks. Their noise is first-order autoregressive, each block's being `r` times the last one's plus
something new, or comes in runs of several blocks; launches differ by 2 %, by as much as their blocks' means do, or not
at all. Goal: 90 to 99 %. Beside it stands what Student's interval of the same blocks would cover, had their order been
taken for nothing.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from harness import stats
from harness.stats import Floats, Interval

TRUTH, SD = 100.0, 3.0
GOAL = (0.90, 0.99)
Draw = Callable[[np.random.Generator], Floats]


def autoregressive(r: float, blocks: int) -> Draw:
    def draw(rng: np.random.Generator) -> Floats:
        fresh = rng.standard_normal(blocks)
        values = np.empty(blocks)
        values[0] = fresh[0]
        for place in range(1, blocks):
            values[place] = r * values[place - 1] + math.sqrt(1 - r * r) * fresh[place]
        return TRUTH + SD * values

    return draw


def in_runs(lasts: int, blocks: int) -> Draw:
    def draw(rng: np.random.Generator) -> Floats:
        runs = rng.standard_normal(blocks // lasts + 2)
        # Runs begin anywhere: a window knows nothing of them.
        values = np.repeat(runs, lasts)[int(rng.integers(lasts)) :][:blocks]
        return TRUTH + SD * values

    return draw


def plain(values: Floats) -> Interval:
    """Student's interval of independent values."""
    half = stats.t_quantile(0.975, len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Interval(float(values.mean()) - half, float(values.mean()) + half)


def held(interval: Interval | None) -> bool:
    return interval is not None and interval.lo <= TRUTH <= interval.hi


def of_points(repeats: int) -> Iterator[dict[str, object]]:
    """The mean of one window's blocks."""
    cases = {f"AR(1), r = {r:g}": (autoregressive, r) for r in (0.0, 0.3, 0.6, 0.8)}
    cases |= {f"runs of {lasts} blocks": (in_runs, lasts) for lasts in (2, 4)}  # type: ignore[dict-item]
    for noise, (kind, how) in cases.items():
        for blocks in (10, 20, 30):
            draw = kind(how, blocks)
            drawn = [draw(np.random.default_rng([seed, blocks])) for seed in range(repeats)]
            yield {
                "of": "one window",
                "noise": noise,
                "units": f"{blocks} blocks",
                "covered": float(np.mean([held(stats.mean_interval(values)) for values in drawn])),
                "covered_by_student": float(np.mean([held(plain(values)) for values in drawn])),
            }


def of_launches(repeats: int) -> Iterator[dict[str, object]]:
    """The mean over launches of windows of 12 blocks, as a comparison resamples it."""
    for launch_sd in (0.0, SD / math.sqrt(12), 2.0):
        for r in (0.0, 0.6):
            for launches in (2, 3, 5):
                draw = autoregressive(r, 12)
                hits = []
                for seed in range(repeats):
                    rng = np.random.default_rng([seed, launches])
                    means = np.array([(draw(rng) + launch_sd * rng.standard_normal()).mean() for _ in range(launches)])
                    draws = stats.resampled(launches) @ means / launches
                    hits.append(held(stats.t_interval(float(means.mean()), draws, launches, launches)))
                yield {
                    "of": f"launches, {launch_sd:.2g} % apart",
                    "noise": f"AR(1), r = {r:g}",
                    "units": f"{launches} launches",
                    "covered": float(np.mean(hits)),
                    "covered_by_student": None,
                }


def main() -> None:
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    rows = [*of_points(repeats), *of_launches(repeats // 2)]
    print("of                      noise             units        covered  Student's  goal 90 to 99 %")
    for row in rows:
        covered, student = float(str(row["covered"])), row["covered_by_student"]
        beside = "" if student is None else f"{float(str(student)):.1%}"
        met = "met" if GOAL[0] <= covered <= GOAL[1] else "missed"
        print(f"{row['of']:<22}  {row['noise']:<16}  {row['units']:<11}  {covered:7.1%}  {beside:>9}  {met}")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps({"repeats": repeats, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How often the comparison's 95 % intervals hold the truth, over seeded repeats on the emulator in virtual time.

    python scripts/benchmarks/comparison_coverage.py [figures.json] [repeats] [rows.jsonl]

Each repeat measures both arms anew (three launches of each, with noise on the emulated server's step times that lasts
two seconds at a time) and compares them with one, two and all three of its launches, with and without a speed of each
launch's own; a single launch also with a spread recorded from six launches of other repeats. The truth is the same
curve through long runs without noise: what is tested is the interval, not the interpolation. Goal: 90 to 99 %.

What was simulated is kept in `rows.jsonl` and never simulated again, so an interrupted run goes on, and a change of the
statistics is judged on the same rows in a few minutes.
"""

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

from analysis.assumptions import assumptions, parse_prices
from analysis.comparison import compare
from analysis.curve import curve, overlap
from analysis.diff import diff
from analysis.launch_spread import SERIES, launch_spread
from analysis.pairing import find_pairs
from analysis.pairs import MATCHED
from analysis.ratio import Ratio
from analysis.rows import table
from analysis.targets import default_targets
from harness import metrics
from harness.config import load, load_file, packaged_configs
from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.profile import Noise, Profile
from harness.emulator.virtual_load import closed_loop
from harness.load.steady import StopRule, find_window
from harness.records import PointResult, Window
from harness.spec import Point, WindowSpec, Workload

CONCURRENCIES = (1, 4, 16)
ACCEPTANCE = 2.0
LAUNCHES = 3
LAUNCH_SD = 0.02
NOISE = Noise(block_sd=0.02, block_s=2.0)
WINDOW = WindowSpec(min_s=4, max_s=60)
LONG_S = 2000
"""Of virtual time, shared by a point's users: what they draw, not how long it takes, makes a mean exact."""
WORKLOAD = Workload(name="32x32", isl=32, osl=32)
GOAL = (0.90, 0.99)

Flat = dict[str, object]


@cache
def profile() -> Profile:
    return load_file(packaged_configs() / "emulator" / "cpu-like.yaml", Profile)


@cache
def points() -> tuple[Point, ...]:
    """One of each arm and concurrency."""
    sweep = load(packaged_configs() / "sweeps" / "quickstart-emulator.yaml")
    runs = sweep.all_runs()
    return tuple(Point(run=run, workload=WORKLOAD, concurrency=c, launch=0) for run in runs for c in CONCURRENCIES)


def measured(point: Point, launch: int, *, window: WindowSpec, noise: Noise | None, seed: int) -> Flat:
    """The row of a point as a perfect client would have measured it."""
    concurrency, drafts = point.concurrency, point.run.mtp.draft_tokens
    seen = closed_loop(
        profile(),
        concurrency=concurrency,
        isl=WORKLOAD.isl,
        osl=WORKLOAD.osl,
        duration_s=2 * window.max_s,
        speculation=Speculation.of_length(drafts, ACCEPTANCE) if drafts else OFF,
        noise=noise,
        stop=StopRule(concurrency, window).look,
        seed=seed,
    )
    found = find_window(lambda: iter([seen.samples]), concurrency=concurrency, spec=window)
    assert isinstance(found, Window), found.text
    score = metrics.score(point, lambda: iter([seen.samples]), seen.counters, found, names=SERIES)
    return PointResult(identity=identity(point, launch), estimates=score.estimates, blocks=score.blocks).row()


def identity(point: Point, launch: int) -> Flat:
    """What the row says of itself."""
    run = point.run
    return {
        "sweep": "study",
        "run_key": run.key,
        "pair_key": run.baseline.key,
        "workload": WORKLOAD.name,
        "model": run.model.name,
        "gpu": run.gpu.name,
        "gpus": run.parallel.gpus,
        "precision": run.precision,
        "engine": run.engine.name,
        "draft_tokens": run.mtp.draft_tokens,
        "isl": WORKLOAD.isl,
        "osl": WORKLOAD.osl,
        "concurrency": point.concurrency,
        "launch": launch,
        "started": f"2026-01-01T{launch:02d}:00:00+00:00",
        "emulated": True,
    }


def repeat(number: int) -> list[Flat]:
    """All rows of one repeat."""
    return [
        measured(point, launch, window=WINDOW, noise=NOISE, seed=1000 * (number * LAUNCHES + launch) + index)
        for launch in range(LAUNCHES)
        for index, point in enumerate(points())
    ]


def slowed(rows: Sequence[Flat], seed: int, sd: float) -> list[Flat]:
    """The same rows had each launch of each arm its own speed: a factor on every step's time divides every rate."""
    rng = np.random.default_rng(seed)
    factors: dict[tuple[object, object], float] = defaultdict(lambda: float(np.exp(sd * rng.standard_normal())))
    return [_divided(row, factors[row["run_key"], row["launch"]]) for row in rows]


def _divided(row: Flat, factor: float) -> Flat:
    names = [name for series in SERIES for name in (series, f"blocks_{series}")]
    return row | {name: (np.array(row[name]) / factor).tolist() for name in names}


def ratios(rows: Sequence[Flat], at: Sequence[float], recorded: Sequence[Flat] = ()) -> dict[str, Ratio]:
    """The comparison's ratios of tok/s/GPU, by place: matched interactivities, then equal concurrencies."""
    (asked,), _ = find_pairs(table((row, None) for row in rows))
    (pair,) = asked.matched
    priced = assumptions(pair.question.gpu, None, parse_prices(None))
    known = launch_spread(table((row, None) for row in recorded).rows, pair.question)
    found = compare(pair, diff(pair), priced, at=at, recorded=known)
    said = {f"{target.at:g} tok/s/user": target.ratio for target in found.targets}
    said |= {level.load.words: level.ratio for level in found.same_concurrency}
    return {place: ratio for place, ratio in said.items() if ratio is not None}


def truth(point: Point) -> Flat:
    """A point measured for long, without noise."""
    length_s = max(200.0, LONG_S / point.concurrency)
    return measured(point, 0, window=WindowSpec(min_s=length_s, max_s=2 * length_s), noise=None, seed=7)


def asked_at(rows: Sequence[Flat]) -> tuple[float, ...]:
    """A quarter, half and three quarters of the true curves' overlap."""
    (asked,), _ = find_pairs(table((row, None) for row in rows))
    shared = overlap(*(curve(side.levels, MATCHED) for side in (asked.matched[0].mtp, asked.matched[0].off)))
    assert shared is not None
    return default_targets(shared)


def launches_of(rows: Sequence[Flat], launches: int, first: int = 0) -> list[Flat]:
    """Rows of the first few launches, counted from `first`."""
    kept = [row for row in rows if int(str(row["launch"])) < launches]
    return [row | {"launch": first + int(str(row["launch"]))} for row in kept]


def coverage(repeats: Sequence[Sequence[Flat]], true: Mapping[str, Ratio], at: Sequence[float]) -> list[Flat]:
    """For each kind of repeat and each place: the share of intervals that hold the truth, and their usual width."""
    found = []
    for sd in (0.0, LAUNCH_SD):
        moved = [slowed(rows, seed, sd) for seed, rows in enumerate(repeats)]
        for launches in range(1, LAUNCHES + 1):
            said = [ratios(launches_of(rows, launches), at) for rows in moved]
            found += [_held(sd, f"{launches}", place, truth.value, said) for place, truth in true.items()]
        earlier = [
            launches_of(moved[seed - 1], LAUNCHES) + launches_of(moved[seed - 2], LAUNCHES, LAUNCHES)
            for seed in range(len(moved))
        ]
        said = [ratios(launches_of(rows, 1), at, known) for rows, known in zip(moved, earlier, strict=True)]
        found += [_held(sd, "1, recorded", place, truth.value, said) for place, truth in true.items()]
    return found


def _held(sd: float, launches: str, place: str, truth: float, said: Sequence[Mapping[str, Ratio]]) -> Flat:
    intervals = [(each[place].lo, each[place].hi) for each in said if place in each]
    known = [(lo, hi) for lo, hi in intervals if lo is not None and hi is not None]
    return {
        "launch_sd": sd,
        "launches": launches,
        "place": place,
        "truth": round(truth, 4),
        "intervals": len(known),
        "covered": round(float(np.mean([lo <= truth <= hi for lo, hi in known])), 4),
        "half_width": round(float(np.median([np.sqrt(hi / lo) - 1 for lo, hi in known])), 4),
    }


def simulated(count: int, kept: Path | None) -> Iterator[list[Flat]]:
    """The truth's rows, then those of each repeat; what is not kept yet is simulated and kept."""
    known = kept.read_text().splitlines() if kept is not None and kept.exists() else []
    yield from map(json.loads, known[: count + 1])
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        if not known:
            yield _keep(list(pool.map(truth, points())), kept)
        for rows in pool.map(repeat, range(max(0, len(known) - 1), count)):
            yield _keep(rows, kept)


def _keep(rows: list[Flat], kept: Path | None) -> list[Flat]:
    if kept is not None:
        with kept.open("a") as file:
            file.write(json.dumps(rows) + "\n")
    return rows


def main() -> None:
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    true_rows, *repeats = simulated(count, Path(sys.argv[3]) if len(sys.argv) > 3 else None)
    at = asked_at(true_rows)
    found = coverage(repeats, ratios(true_rows, at), at)
    print("launch sd  launches     place              truth   covered  half-width  goal 90 to 99 %")
    for row in found:
        met = "met" if GOAL[0] <= float(str(row["covered"])) <= GOAL[1] else "missed"
        print(
            f"{row['launch_sd']:<9}  {row['launches']:<11}  {row['place']:<17}  {row['truth']:<6}  "
            f"{row['covered']:7.1%}  {row['half_width']:10.2%}  {met}"
        )
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps({"repeats": count, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""How often the 95 % interval of a point that stopped itself at a precision holds the truth, on the emulator.

    python scripts/benchmarks/stop_rule_coverage.py [figures.json] [repeats]

A rule that looks again and again, and stops when an interval happens to be narrow, finds precision by luck; ours looks
ten times at most, at lengths in geometric progression. Each repeat is a point in virtual time whose server's steps vary
by 4 % for half a second or for two at a time (a block of the window is a request, 0.3 s: the latter outlasts it). It is
asked for a half-width of 2 % (4 % in open loop, where Poisson arrivals scatter by themselves) and stopped by the
rule, or by the cap. Beside it stands the same point at the shortest window, where nothing is looked at. The truth is
the same server for ten minutes. Goal: 90 to 99 %.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness import metrics
from harness.arrivals import due_s
from harness.config import load, load_file, packaged_configs
from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.profile import Limits, Noise, Profile
from harness.emulator.virtual_load import Observed, StopCheck, closed_loop, open_loop
from harness.load.steady import StopRule, find_window
from harness.records import Estimate, Window
from harness.spec import Arrivals, Point, WindowSpec, Workload

WORKLOAD = Workload(name="32x32", isl=32, osl=32)
USERS, RATE = 8, 60.0
ACCEPTANCE = 2.0
TARGET_PCT = {"closed": 2.0, "open": 4.0}
SPEC = WindowSpec(min_s=4, max_s=60)
LONG = WindowSpec(min_s=600, max_s=4000)
SERIES = ("output_tok_s_gpu", "interactivity")
GOAL = (0.90, 0.99)


class Case(NamedTuple):
    """A load on an arm, and how its server's speed varies."""

    loop: str
    drafts: int
    lasts_s: float

    @property
    def point(self) -> Point:
        run = runs()[self.drafts]
        load = {"concurrency": USERS} if self.loop == "closed" else {"rate": RATE, "arrivals": Arrivals()}
        return Point.model_validate({"run": run, "workload": WORKLOAD, "launch": 0, **load})

    def __str__(self) -> str:
        load = f"{USERS} users" if self.loop == "closed" else f"{RATE:g} requests/s"
        return f"{'MTP' if self.drafts else 'Off'}, {load}, {self.lasts_s:g} s"


CASES = (Case("closed", 0, 0.5), Case("closed", 0, 2.0), Case("closed", 3, 0.5), Case("open", 0, 0.5))


class Found(NamedTuple):
    """What a point says.

    Attributes:
        estimates: of SERIES, in their order.
        seconds: length of its window.
        looks: how often its precision was looked at; it was stopped by the cap where it is not precise.
    """

    estimates: tuple[Estimate, ...]
    seconds: float
    looks: int
    capped: bool


@cache
def runs() -> Mapping[int, object]:
    return {
        run.mtp.draft_tokens: run for run in load(packaged_configs() / "sweeps" / "quickstart-emulator.yaml").all_runs()
    }


@cache
def profile() -> Profile:
    return load_file(packaged_configs() / "emulator" / "h100-like.yaml", Profile)


def seen(case: Case, stop: StopCheck, seed: int, limit_s: float) -> Observed:
    """The point in virtual time."""
    drafts = case.drafts
    loop: Callable[..., Observed] = (
        partial(closed_loop, concurrency=USERS)
        if case.loop == "closed"
        else partial(
            open_loop,
            due_s=due_s(Arrivals(), RATE, np.random.default_rng((seed, 9))),
            limits=Limits(max_running_requests=1000, context=WORKLOAD.isl + WORKLOAD.osl + drafts),
        )
    )
    return loop(
        profile(),
        isl=WORKLOAD.isl,
        osl=WORKLOAD.osl,
        duration_s=limit_s,
        speculation=Speculation.of_length(drafts, ACCEPTANCE) if drafts else OFF,
        noise=Noise(block_sd=0.04, block_s=case.lasts_s),
        stop=stop,
        seed=seed,
    )


def measured(case: Case, seed: int, target_pct: float | None, spec: WindowSpec = SPEC) -> Found:
    """The point, stopped by its rule and scored as any."""
    point = case.point
    rule = StopRule(point.concurrency, spec, target_pct, rate=point.rate)
    observed = seen(case, rule.look, seed, 3 * spec.max_s)
    batches = lambda: iter([observed.samples])  # noqa: E731
    window = find_window(batches, concurrency=point.concurrency, rate=point.rate, spec=spec, target_pct=target_pct)
    assert isinstance(window, Window), window.text
    score = metrics.score(point, batches, observed.counters, window, names=SERIES)
    return Found(tuple(score.estimates[name] for name in SERIES), window.duration_s, window.looks, window.capped)


def truth(case: Case) -> Found:
    return measured(case, 10**6, None, LONG)


def stopped(job: tuple[Case, int]) -> Found:
    return measured(*job, TARGET_PCT[job[0].loop])


def shortest(job: tuple[Case, int]) -> Found:
    return measured(*job, None)


def holds(estimate: Estimate, true: Estimate) -> bool:
    assert estimate.lo is not None
    assert estimate.hi is not None
    assert true.value is not None
    return estimate.lo <= true.value <= estimate.hi


def row(case: Case, true: Found, found: Sequence[Found], at_once: Sequence[Found]) -> dict[str, object]:
    """Shares of intervals that hold the truth: stopped by precision, by that or the cap, and at the shortest window."""

    def covered(points: Sequence[Found]) -> list[float | None]:
        shares = [[holds(point.estimates[i], true.estimates[i]) for point in points] for i in range(len(SERIES))]
        return [round(float(np.mean(share)), 4) if share else None for share in shares]

    precise = [point for point in found if not point.capped]
    return {
        "case": str(case),
        "series": list(SERIES),
        "covered": covered(precise),
        "covered_capped_too": covered(found),
        "covered_at_shortest": covered(at_once),
        "stopped_by_precision": round(len(precise) / len(found), 4),
        "looks": round(float(np.mean([point.looks for point in precise])), 2) if precise else None,
        "seconds": round(float(np.mean([point.seconds for point in found])), 1),
    }


def _percents(shares: object) -> str:
    assert isinstance(shares, list)
    return "  ".join("none" if share is None else f"{share:6.1%}" for share in shares)


def main() -> None:
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    jobs = [(case, seed) for case in CASES for seed in range(1, repeats + 1)]
    with ProcessPoolExecutor() as pool:
        true = dict(zip(CASES, pool.map(truth, CASES), strict=True))
        found = dict(zip(jobs, pool.map(stopped, jobs, chunksize=10), strict=True))
        at_once = dict(zip(jobs, pool.map(shortest, jobs, chunksize=10), strict=True))
    rows = [
        row(case, true[case], *([each[case, seed] for seed in range(1, repeats + 1)] for each in (found, at_once)))
        for case in CASES
    ]
    print("point, noise lasts             by precision  looks  seconds  tok/s, tok/s/user     at the shortest window")
    for each in rows:
        shares, short = (_percents(each[name]) for name in ("covered", "covered_at_shortest"))
        looks = "" if each["looks"] is None else f"{each['looks']:.1f}"
        print(
            f"{each['case']:<30} {each['stopped_by_precision']:12.0%}  {looks:>5}  {each['seconds']:7}  {shares:<20}  "
            f"{short}"
        )
    if len(sys.argv) > 1:
        figures = {"repeats": repeats, "target_pct": TARGET_PCT, "goal": GOAL, "rows": rows}
        Path(sys.argv[1]).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What a sweep costs until it is as precise, on an emulated H100-like server in virtual time: ours and two protocols.

    python scripts/benchmarks/sweep_cost.py [figures.json] [repeats]

One GPU, 1024 tokens in and out, concurrency 1 to 16 by doubling, Off and MTP; launches of the server differ by 1 % and
ten-second stretches of one launch by 2 %. Each protocol's GPU-seconds run from the start of its servers to their end.

- mtpbench: one server an arm, each point until its window is ten request times long.
- mtpbench, targets: the same, homing in on one interactivity instead of walking the whole ladder.
- InferenceX: a cold server for each concurrency, 2 N requests to warm up, then 10 N, all of it in the figure
  (https://github.com/SemiAnalysisAI/InferenceX, benchmarks/benchmark_lib.sh).
- vllm bench sweep: one server an arm, three runs of each point, its default (vllm/benchmarks/sweep/serve.py of vLLM
  0.32); 10 N requests a run, since its default of 1000 would take hours at concurrency 1.

Passes are repeated until half of the 95 % interval of throughput and of interactivity is 1 % at every concurrency:
as many as the scatter of a pass over seeds asks for. What a protocol is off by on average no repetition mends; it
stands beside. How long a server takes to start is not the emulator's to know: three cases. Goal: under a third of
InferenceX's cost.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness import ladder, metrics
from harness.config import load, load_file, packaged_configs
from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.model import EngineModel
from harness.emulator.profile import Limits, Noise, Profile
from harness.emulator.virtual_load import closed_loop
from harness.load.steady import StopRule, find_window
from harness.records import Window
from harness.spec import Point, WindowSpec, Workload

USERS = (1, 2, 4, 8, 16)
TARGET = 135.0
WORKLOAD = Workload(name="1k1k", isl=1024, osl=1024)
ACCEPTANCE = 1.5
NOISE = Noise(launch_sd=0.01, block_sd=0.02, block_s=10.0)
WINDOW = WindowSpec(min_s=30, max_s=600)
START_S = (60.0, 180.0, 600.0)
HALF_WIDTH = 0.01
GOAL = 1 / 3
SERIES = ("interactivity", "output_tok_s_gpu")


class Found(NamedTuple):
    """One point by one protocol: seconds of load, and what it says."""

    load_s: float
    interactivity: float
    output_tok_s: float


Protocol = Callable[[int, int, int], Found]
"""Drafts, users, and the seed of the launch -> what is found."""


@cache
def profile() -> Profile:
    return load_file(packaged_configs() / "emulator" / "h100-like.yaml", Profile)


def speculation(drafts: int) -> Speculation:
    return Speculation.of_length(drafts, ACCEPTANCE) if drafts else OFF


@cache
def runs_by_drafts() -> Mapping[int, Point]:
    sweep = load(packaged_configs() / "sweeps" / "quickstart-emulator.yaml")
    return {
        run.mtp.draft_tokens: Point(run=run, workload=WORKLOAD, concurrency=1, launch=0) for run in sweep.all_runs()
    }


def ours(drafts: int, users: int, seed: int, noise: Noise | None = NOISE, window: WindowSpec = WINDOW) -> Found:
    """A point of ours: its window, found and scored as any."""
    seen = closed_loop(
        profile(),
        concurrency=users,
        isl=WORKLOAD.isl,
        osl=WORKLOAD.osl,
        duration_s=2 * window.max_s,
        speculation=speculation(drafts),
        noise=noise,
        stop=StopRule(users, window).look,
        seed=seed,
    )
    found = find_window(lambda: iter([seen.samples]), concurrency=users, spec=window)
    assert isinstance(found, Window), found.text
    point = runs_by_drafts()[drafts].model_copy(update={"concurrency": users})
    score = metrics.score(point, lambda: iter([seen.samples]), seen.counters, found, names=SERIES)
    x, y = (score.estimates[name].value for name in SERIES)
    assert x is not None
    assert y is not None
    return Found((seen.counters[-1].t_ns - seen.counters[0].t_ns) / 1e9, x, y)


def counted(drafts: int, users: int, seed: int, *, warm_up: int, runs: int) -> Found:
    """`runs` runs of 10 N requests, all users at once, each drained; the means over runs."""
    limits = Limits(max_running_requests=users, context=WORKLOAD.isl + WORKLOAD.osl + drafts)
    model = EngineModel(profile(), limits, speculation(drafts), seed=seed, slowness=NOISE.slowness(seed))
    names = count()
    if warm_up:
        _drained(model, users, warm_up * users, names)
    found = [_drained(model, users, 10 * users, names) for _ in range(runs)]
    return Found(model.now_s, *(float(np.mean([run[i] for run in found])) for i in (0, 1)))


def _drained(model: EngineModel, users: int, requests: int, names: "count[int]") -> tuple[float, float]:
    """Median interactivity and output tok/s of so many requests, from the first send to the last token."""
    start_s = model.now_s
    first: dict[int, tuple[float, int]] = {}
    tokens_of: dict[int, int] = {}
    speeds = []
    left = requests - users
    for _ in range(users):
        model.submit(next(names), WORKLOAD.isl, WORKLOAD.osl, model.now_s)
    while (deliveries := model.step()) is not None:
        for name, tokens, done in deliveries:
            tokens_of[name] = tokens_of.get(name, 0) + tokens
            first.setdefault(name, (model.now_s, tokens))
            if done:
                speeds.append((WORKLOAD.osl - first[name][1]) / (model.now_s - first[name][0]))
                if left:
                    left -= 1
                    model.submit(next(names), WORKLOAD.isl, WORKLOAD.osl, model.now_s)
    return float(np.median(speeds)), requests * WORKLOAD.osl / (model.now_s - start_s)


def inferencex(drafts: int, users: int, seed: int) -> Found:
    """Its own server for each concurrency, hence its own launch."""
    return counted(drafts, users, 100 * seed + users, warm_up=2, runs=1)


def vllm_sweep(drafts: int, users: int, seed: int) -> Found:
    return counted(drafts, users, seed, warm_up=0, runs=3)


PROTOCOLS: Mapping[str, Protocol] = {"mtpbench": ours, "InferenceX": inferencex, "vllm bench sweep": vllm_sweep}


def one(job: tuple[str, int, int, int]) -> Found:
    name, drafts, users, seed = job
    return PROTOCOLS[name](drafts, users, seed)


def true(job: tuple[int, int]) -> Found:
    """Without noise, for long."""
    drafts, users = job
    return ours(drafts, users, 7, None, WindowSpec(min_s=max(150.0, 2000.0 / users), max_s=4000))


def main() -> None:
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    arms = tuple(runs_by_drafts())
    places = [(drafts, users) for drafts in arms for users in USERS]
    jobs = [(name, *place, seed) for name in PROTOCOLS for place in places for seed in range(1, repeats + 1)]
    with ProcessPoolExecutor() as pool:
        truth = dict(zip(places, pool.map(true, places), strict=True))
        found = dict(zip(jobs, pool.map(one, jobs), strict=True))
    rows = [summary(name, places, truth, found, repeats) for name in PROTOCOLS]
    rows.insert(1, homing(rows[0], truth))
    base = next(row for row in rows if row["protocol"] == "InferenceX")
    print("server start  protocol           servers  points  GPU-s a pass  passes  GPU-s  of InferenceX  bias of tok/s")
    for start_s in START_S:
        for row in rows:
            row[f"gpu_s_at_start_{start_s:g}"] = round(cost(row, start_s))
            share = cost(row, start_s) / cost(base, start_s)
            met = "" if row is base else "  met" if share < GOAL else "  missed"
            print(
                f"{start_s:10.0f} s  {row['protocol']:<18} {row['servers']:>7}  {row['points']:>6}  "
                f"{a_pass(row, start_s):12.0f}  {row['passes']:6.2f}  {cost(row, start_s):5.0f}  {share:13.2f}  "
                f"{row['bias']:+13.1%}{met}"
            )
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps({"repeats": repeats, "rows": rows}, indent=1) + "\n")


def summary(
    name: str,
    places: Sequence[tuple[int, int]],
    truth: Mapping[tuple[int, int], Found],
    found: Mapping[tuple[str, int, int, int], Found],
    repeats: int,
) -> dict[str, object]:
    """Load of one pass over both arms, scatter of a pass pooled over places, and what it is off by."""
    apart = np.array(
        [
            [[np.log(found[name, *place, seed][i] / truth[place][i]) for i in (1, 2)] for seed in range(1, repeats + 1)]
            for place in places
        ]
    )
    scatter = float(np.sqrt(apart.var(axis=1, ddof=1).mean(axis=0)).max())
    load_s = sum(found[name, *place, seed].load_s for place in places for seed in range(1, repeats + 1)) / repeats
    return {
        "protocol": name,
        "servers": len(places) if name == "InferenceX" else len({drafts for drafts, _ in places}),
        "points": len(places),
        "load_s": round(load_s, 1),
        "scatter": round(scatter, 5),
        "passes": round(max(1.0, (1.96 * scatter / HALF_WIDTH) ** 2), 3),
        "bias": round(float(apart[..., 1].mean()), 4),
        "bias_interactivity": round(float(apart[..., 0].mean()), 4),
    }


def homing(whole: Mapping[str, object], truth: Mapping[tuple[int, int], Found]) -> dict[str, object]:
    """Our own cost where only the points beside one target are asked for, by the ladder's rule on the true curves."""
    places = []
    for drafts in {drafts for drafts, _ in truth}:
        steps = [USERS[0], USERS[2], USERS[4]]
        knots = {users: ladder.Knot(truth[drafts, users][1], truth[drafts, users][2], 0.0) for users in steps}
        added = [users for users in ladder.near(knots, [TARGET]) if users not in steps]
        places += [(drafts, users) for users in (*steps, *added)]
    share = len(places) / len(truth)
    load_s = float(str(whole["load_s"])) * share
    return {**whole, "protocol": "mtpbench, target", "points": len(places), "load_s": round(load_s, 1)}


def a_pass(row: Mapping[str, object], start_s: float) -> float:
    return float(str(row["load_s"])) + float(str(row["servers"])) * start_s


def cost(row: Mapping[str, object], start_s: float) -> float:
    return a_pass(row, start_s) * float(str(row["passes"]))


if __name__ == "__main__":
    main()

"""Find the Window of a big point and score it: how long, and how much memory at most?

    python scripts/benchmarks/score_memory.py                       # 100,000 requests of 100 chunks
    python scripts/benchmarks/score_memory.py --requests 1000000    # the goal: under 2 GiB

The samples are made in one process and written as a sweep writes them; another one reads and scores them, and states
its own peak. Times depend on what else the machine does, the peak does not: 0.33 GiB for 100,000 requests, 0.40 GiB for
1,000,000, CPython 3.11 with numpy 2.4 and pyarrow 26.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from harness import metrics, samplefile
from harness.load import steady
from harness.records import Samples
from harness.spec import EngineSpec, Gpu, Model, Mtp, Parallel, Point, Run, ServerSettings, Vendor, WindowSpec, Workload

USERS = 1000
CHUNKS = 100
TOKENS = 3
GOAL_GIB = 2.0


def samples(requests: int) -> Samples:
    """Users out of step, each request about 10 s long: 0.1 s to the first of a hundred chunks of three tokens."""
    rng = np.random.default_rng(0)
    rounds = requests // USERS
    gaps = rng.integers(90_000_000, 110_000_000, (rounds, USERS, CHUNKS)).astype(np.int64)
    gaps[0, :, 0] += np.arange(USERS) * 10_000_000
    ends = np.cumsum(gaps.sum(axis=2), axis=0) + 1_000_000_000_000
    sent = ends - gaps.sum(axis=2)
    count = rounds * USERS
    ones = np.ones(count, np.int32)
    return Samples(
        index=np.arange(count) - USERS,
        slot=np.tile(np.arange(USERS, dtype=np.int32), rounds),
        starter=np.arange(count) < USERS,
        prompt_hash=np.array([f"{index:016x}" for index in range(count)], object),
        isl=1000 * ones,
        osl=CHUNKS * TOKENS * ones,
        sent_ns=sent.ravel(),
        end_ns=ends.ravel(),
        chunk_ns=(sent[..., None] + np.cumsum(gaps, axis=2)).ravel(),
        chunk_tokens=np.tile(np.arange(1, CHUNKS + 1, dtype=np.int32) * TOKENS, count),
        offsets=np.arange(count + 1) * CHUNKS,
        prompt_tokens=1000 * ones,
        completion_tokens=CHUNKS * TOKENS * ones,
        eos_at=-ones,
        due_ns=np.full(count, -1, np.int64),
        drafts=-ones,
        accepted_drafts=-ones,
        finish_reason=np.full(count, "length", object),
        error=np.full(count, "", object),
        error_text=np.full(count, "", object),
        reconnected=np.zeros(count, np.bool_),
    )


def point() -> Point:
    """What was measured, as far as scoring asks."""
    model = Model(
        name="m",
        label="M",
        weights="/m",
        context=4096,
        layers=1,
        parameters_b=1.0,
        active_b=1.0,
        mtp_modules=1,
        source="-",
    )
    run = Run(
        model=model,
        gpu=Gpu(name="g", label="G", vendor=Vendor.CPU, arch="-", memory_gb=1.0, source="-"),
        precision="fp8",
        engine=EngineSpec(name="emulator"),
        parallel=Parallel(),
        settings=ServerSettings(max_running_requests=USERS, context=4096),
        mtp=Mtp(draft_tokens=3),
    )
    return Point(run=run, workload=Workload(name="w", isl=1000, osl=CHUNKS * TOKENS), concurrency=USERS, launch=0)


def peak_gib() -> float:
    """Largest resident size of this process so far; getrusage would give the parent's, from before the exec."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 2**20


def score(path: Path) -> bool:
    """Score a file as a sweep does; whether the goal was kept."""
    batches = partial(samplefile.sample_batches, path)
    print(f"imported:     {peak_gib():.2f} GiB")
    start = time.perf_counter()
    window = steady.find_window(batches, concurrency=USERS, spec=WindowSpec(), target_pct=1.0)
    print(f"find:   {time.perf_counter() - start:5.1f} s {peak_gib():.2f} GiB")
    start = time.perf_counter()
    scored = metrics.score(point(), batches, (), window)
    print(f"score:  {time.perf_counter() - start:5.1f} s {peak_gib():.2f} GiB")
    print(f"{scored.counts.cohort} requests in the window, TPOT {scored.estimates['tpot_s'].value:.6f} s")
    return peak_gib() < GOAL_GIB


def main() -> int:
    """Make a file, score it in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--score", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.score:
        return 0 if score(asked.score) else 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "requests.parquet")
        samplefile.write_samples(path, samples(asked.requests))
        chunks = asked.requests * CHUNKS
        print(
            f"{asked.requests} requests, {chunks} chunks: {path.stat().st_size / chunks:.2f} bytes a chunk", flush=True
        )
        return subprocess.run([sys.executable, __file__, "--score", str(path)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

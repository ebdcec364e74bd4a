"""Compare every pair of a big public file, against importing pandas and reading that file, in the same run.

    python scripts/benchmarks/compare_history.py results/published/history.parquet [repeats]

Each side is a process of its own, started in turn; the best of each counts, for other work on the machine only ever
adds. Processor time is shown beside wall time because a busy machine spoils it less. The goal is a ratio of 3 or less.
"""

import os
import resource
import subprocess
import sys
import time
from typing import NamedTuple

READ = "import sys, pandas; pandas.read_parquet(sys.argv[1])"
COMPARE = """
import sys
from pathlib import Path
from analysis.compare import compare_paths
report = compare_paths([Path(sys.argv[1])])
print(len(report.comparisons), len(report.refused), len(report.unusable))
"""
GOAL = 3.0


class Took(NamedTuple):
    """One run of a program."""

    wall_s: float
    cpu_s: float
    said: str


def took(program: str, file: str) -> Took:
    """A fresh interpreter with the program."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program, file], check=True, capture_output=True, text=True)
    wall_s, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(wall_s, cpu_s, done.stdout.strip())


def main() -> None:
    file = sys.argv[1]
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    runs = [(took(READ, file), took(COMPARE, file)) for _ in range(repeats)]
    pairs, refused, unusable = runs[0][1].said.split()
    print(f"{pairs} comparisons, {refused} pairs refused, {unusable} rows not used; best of {repeats} runs, ", end="")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for kind in ("wall_s", "cpu_s"):
        reading, comparing = (min(getattr(run[side], kind) for run in runs) for side in (0, 1))
        ratio = comparing / reading
        verdict = "met" if ratio <= GOAL else "missed"
        print(
            f"{kind:6}  pandas import and read {reading:.2f}  mtpbench import, read and compare {comparing:.2f}  ",
            end="",
        )
        print(f"ratio {ratio:.2f}, goal {GOAL:g} {verdict}")


if __name__ == "__main__":
    main()

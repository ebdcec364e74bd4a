"""Does the emulator say in real time, over sockets, what it says in virtual time? Cross-check of the coverage study.

    python scripts/benchmarks/comparison_real_time.py [figures.json]

comparison_coverage.py repeats a comparison in virtual time, with a perfect client. Here one such comparison is made
twice by the harness itself: by its load generator against servers in processes of their own, in real time (about four
minutes), and in virtual time. Both arms at 1, 4 and 16 users, three launches. Goal: MTP / Off of both agree within
their 95 % intervals at every concurrency and at every matched interactivity.
"""

import asyncio
import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from analysis.compare import Options, compare_paths
from analysis.comparison import Comparison
from analysis.contrast import Ratio
from harness.config import load, packaged_configs
from harness.spec import EngineSpec, Sweep, WindowSpec, Workload
from harness.sweep import run_sweep


def sweep() -> Sweep:
    """The quickstart's, slow enough that a busy machine does not change it, three launches of it."""
    return load(packaged_configs() / "sweeps" / "quickstart-emulator.yaml").model_copy(
        update={
            "engine": EngineSpec(name="emulator", args=("--profile", "cpu-like")),
            "workload": Workload(name="32x16", isl=32, osl=16),
            "concurrency": (1, 4, 16),
            "window": WindowSpec(min_s=4, max_s=60),
            "launches": 3,
        }
    )


def compared(folder: Path, at: tuple[float, ...] | None, *, in_virtual_time: bool) -> Comparison:
    asyncio.run(run_sweep(sweep(), folder, in_virtual_time=in_virtual_time))
    (found,) = compare_paths([folder], Options(at=at)).comparisons
    return found


def ratios(found: Comparison) -> dict[str, Ratio]:
    """MTP / Off in total tok/s/GPU, by place."""
    said = {f"{target.at:g} tok/s/user": target.ratio for target in found.targets}
    said |= {f"concurrency {level.load.amount:g}": level.ratio for level in found.same_concurrency}
    return {place: ratio for place, ratio in said.items() if ratio is not None}


def line(place: str, real: Ratio, virtual: Ratio) -> Mapping[str, object]:
    halves = [math.log1p(half) for ratio in (real, virtual) if (half := ratio.half_width) is not None]
    apart = math.log(real.value / virtual.value)
    return {
        "place": place,
        **{
            name: [None if value is None else round(value, 4) for value in (ratio.value, ratio.lo, ratio.hi)]
            for name, ratio in (("real", real), ("virtual", virtual))
        },
        "real_over_virtual": round(math.exp(apart), 4),
        "agree": len(halves) == 2 and abs(apart) <= math.hypot(*halves),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        virtual = compared(Path(folder) / "virtual", None, in_virtual_time=True)
        at = tuple(target.at for target in virtual.targets)
        real = compared(Path(folder) / "real", at, in_virtual_time=False)
    of_real, of_virtual = ratios(real), ratios(virtual)
    rows = [line(place, of_real[place], ratio) for place, ratio in of_virtual.items() if place in of_real]
    for row in rows:
        said = "agree" if row["agree"] else "MISSED"
        print(f"{row['place']!s:<18} real {row['real']}  virtual {row['virtual']}  {said}")
    load_average = round(os.getloadavg()[0], 1)
    print(f"{sum(bool(row['agree']) for row in rows)} of {len(of_virtual)} agree; load average {load_average}")
    if len(sys.argv) > 1:
        told = {"places": len(of_virtual), "load_average": load_average, "rows": rows}
        Path(sys.argv[1]).write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""One sweep twice, on the emulator in virtual time and over real sockets in real time: do they cost and say the same?

    python scripts/benchmarks/real_time_check.py [figures.json]

What sweep_cost.py counts is counted in virtual time, with a perfect client and no network. Here the same command
line serves the same sweep as a process, and the load generator measures it through HTTP: both arms at 1, 4 and 16 users
in closed loop, 128 tokens in and 384 out, H100-like; it takes three minutes.
Of each point: GPU-seconds of load, interactivity and output tok/s, real over virtual. Goal: GPU-seconds of the sweep
within 5 %, interactivity and output tok/s of every point within 2 %.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.config import load, packaged_configs
from harness.records import Samples
from harness.rundir import SweepDir
from harness.samplefile import read_samples
from harness.spec import Sweep, WindowSpec, Workload
from harness.sweep import run_sweep
from harness.units import NS_PER_S

SERIES = ("interactivity", "output_tok_s_gpu")
GOAL_COST, GOAL_METRIC = 0.05, 0.02

Row = Mapping[str, object]
Place = tuple[str, str]


def sweep() -> Sweep:
    """The quickstart's, with longer requests: what HTTP adds to each is milliseconds, however long it is."""
    return load(packaged_configs() / "sweeps" / "quickstart-emulator.yaml").model_copy(
        update={
            "workload": Workload(name="128x384", isl=128, osl=384),
            "concurrency": (1, 4, 16),
            "window": WindowSpec(min_s=15, max_s=60),
        }
    )


def measured(folder: Path, *, in_virtual_time: bool) -> dict[Place, tuple[float, Row]]:
    """Seconds of load and the row of each point."""
    asyncio.run(run_sweep(sweep(), folder, in_virtual_time=in_virtual_time))
    return {
        (run.path.name, files.path.name): (_load_s(read_samples(files.requests)), files.row())
        for run in SweepDir(folder).runs()
        for files in run.points()
    }


def _load_s(samples: Samples) -> float:
    return float(samples.end_ns.max() - samples.sent_ns.min()) / NS_PER_S


def compared(
    real: Mapping[Place, tuple[float, Row]], virtual: Mapping[Place, tuple[float, Row]]
) -> list[dict[str, object]]:
    """A line for each point: what it says of itself, and real over virtual."""
    return [
        {
            "draft_tokens": row["draft_tokens"],
            "concurrency": row["concurrency"],
            "load_s": [round(virtual[place][0], 2), round(load_s, 2)],
            "load": round(load_s / virtual[place][0], 4),
            **{name: round(float(str(row[name])) / float(str(virtual[place][1][name])), 4) for name in SERIES},
            "invalid": row["invalid"],
        }
        for place, (load_s, row) in real.items()
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        virtual = measured(Path(folder) / "virtual", in_virtual_time=True)
        real = measured(Path(folder) / "real", in_virtual_time=False)
    rows = compared(real, virtual)
    cost = sum(load_s for load_s, _ in real.values()) / sum(load_s for load_s, _ in virtual.values())
    worst = {name: max((float(str(row[name])) - 1 for row in rows), key=abs) for name in SERIES}
    print("drafts  users  virtual s  real s  real/virtual: load  interactivity  output tok/s")
    for row in rows:
        one, other = row["load_s"]  # type: ignore[misc]
        print(
            f"{row['draft_tokens']:6}  {row['concurrency']:5}  {one:9.1f}  {other:6.1f}  {row['load']:18.3f}  "
            f"{row['interactivity']:13.4f}  {row['output_tok_s_gpu']:12.4f}  {' '.join(row['invalid'])}"  # type: ignore[arg-type]
        )
    met = abs(cost - 1) <= GOAL_COST and all(abs(value) <= GOAL_METRIC for value in worst.values())
    said = ", ".join(f"{name} {value:+.2%} at worst" for name, value in worst.items())
    print(f"GPU-seconds of load {cost - 1:+.1%}; {said}: goal {'met' if met else 'missed'}")
    if len(sys.argv) > 1:
        figures = {"gpu_seconds": round(cost, 4), "worst": worst, "rows": rows}
        Path(sys.argv[1]).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""A big campaign on a cluster: what planning, submitting and measuring it costs the head node and the shared files.

    python scripts/benchmarks/cluster_scale.py [figures.json] [--sample SWEEPS]

5 systems x 4 workloads x 2 engines are 40 sweeps; each has Off and MTP, 10 concurrencies and 3 launches: 120 elements,
2,400 points. All are planned and submitted, held, to a real Slurm on this machine (scripts/slurm_box; the emulator
stands in for both engines). Then the elements of the first few sweeps run through it in virtual time, the first one of
each under strace, and what all would take is their figures times all over sampled, in a table of its own.

Files, opens and bytes are counted by strace (openat, read, write, pread64, pwrite64 by the path of the file; reading
by mmap is not seen), Slurm's programs by wrappers in front of them on PATH. Windows are short, so that raw samples,
which grow with the window, are smaller than in earnest: `requests.parquet` stands apart.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from emulated_error import SYSTEMS

from harness import config
from harness.rundir import SweepDir
from harness.slurm import calls
from harness.slurm.files import ClusterDir
from harness.slurm.manifest import Manner
from harness.slurm.queue import cancel
from harness.slurm.submissions import submissions
from harness.slurm.submit import commands, submit
from harness.spec import Cluster, GpuNodes, Sweep, WindowSpec, Workload

BOX = Path(__file__).parents[1] / "slurm_box"
WORKLOADS = ((128, 128), (1024, 128), (128, 1024), (1024, 1024))
ENGINES = ("sglang", "vllm")
USERS = tuple(2**power for power in range(10))
LAUNCHES = 3
FLEET = "h100:2:8:nvidia b300:2:8:nvidia mi325x:2:8:amd b200:2:8:nvidia mi355x:2:8:amd"
PROGRAMS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
TRACED = "openat,read,write,pread64,pwrite64"
LIMIT_S = 1800.0
_CALL = re.compile(
    r"(?P<call>openat|p?read(?:64)?|p?write(?:64)?)\((?P<words>.*)\) = (?P<result>\d+)(?:<(?P<path>.*)>)?$"
)


def sweeps() -> Iterator[Sweep]:
    """The campaign; windows are short, and tell nothing of the systems."""
    for system in SYSTEMS:
        base = config.load(config.packaged_configs() / "sweeps" / f"{system}.yaml", engine="emulator")
        for isl, osl in WORKLOADS:
            for engine in ENGINES:
                changes = {
                    "name": f"{system.rpartition('-')[0]}-{isl}-{osl}-{engine}",
                    "workload": Workload(name=f"{isl}-{osl}", isl=isl, osl=osl),
                    "concurrency": USERS,
                    "max_running_requests": USERS[-1],
                    "max_graph_requests": None,
                    "launches": LAUNCHES,
                    "window": WindowSpec(min_s=2.0, max_s=2.0),
                    "target_half_width_pct": None,
                    "demo": True,
                }
                yield base.model_copy(update=changes)


def site(*extra: str) -> Cluster:
    """The box, with further options of sbatch."""
    kinds = {kind.partition(":")[0] for kind in FLEET.split()}
    gpus = {kind: GpuNodes(partition=kind, type=kind, extra=extra) for kind in kinds}
    return Cluster(name="box", label="box", gpus=gpus, source="this benchmark")


@contextmanager
def slurm(folder: Path) -> Iterator[Path]:
    """A box, and wrappers in front of Slurm's programs; gives the file that every call is a line of."""
    called, wrappers = folder / "calls", folder / "bin"
    wrappers.mkdir()
    os.environ["SLURM_BOX_FLEET"] = FLEET
    up = subprocess.run([BOX / "up", folder / "box"], check=True, capture_output=True, text=True)
    os.environ["SLURM_CONF"] = up.stdout.removeprefix("export SLURM_CONF=").strip()
    for program in PROGRAMS:
        real = subprocess.run(["which", program], check=True, capture_output=True, text=True).stdout.strip()
        (wrappers / program).write_text(f'#!/bin/sh\necho {program} >>{called}\nexec {real} "$@"\n')
        (wrappers / program).chmod(0o755)
    os.environ["PATH"] = f"{wrappers}{os.pathsep}{os.environ['PATH']}"
    try:
        yield called
    finally:
        subprocess.run([BOX / "down", folder / "box"], check=True)


def counted(called: Path) -> dict[str, int]:
    """Calls of Slurm's programs since the last time."""
    found = Counter(called.read_text().split()) if called.exists() else Counter()
    called.unlink(missing_ok=True)
    return dict(sorted(found.items()))


def traced(program: str, folder: Path) -> Path:
    """A program that runs another one under strace, a file for each of its jobs."""
    wrapper = folder / "traced"
    wrapper.write_text(
        f"#!/bin/sh\nexec strace -f -qq -y -s 0 --seccomp-bpf -e trace={TRACED} "
        f'-o {folder}/trace.$SLURM_ARRAY_JOB_ID {program} "$@"\n'
    )
    wrapper.chmod(0o755)
    return wrapper


def seen(trace: Path, results: Path) -> dict[str, dict[str, int]]:
    """What a trace shows of the results, of raw samples among them, and of the environment that programs run from."""
    found: dict[str, Counter[str]] = {"results": Counter(), "requests.parquet": Counter(), "environment": Counter()}
    with trace.open(errors="replace") as lines:
        for line in lines:
            if (call := _CALL.search(line)) is None:
                continue
            path = call["path"] if call["call"] == "openat" else (re.search(r"<([^>]*)>", call["words"]) or [""] * 2)[1]
            kind = "opens" if call["call"] == "openat" else "read_bytes" if "read" in call["call"] else "written_bytes"
            for place in _places(path or "", results):
                found[place][kind] += 1 if kind == "opens" else int(call["result"])
    return {place: dict(sorted(counts.items())) for place, counts in found.items()}


def _places(path: str, results: Path) -> Iterator[str]:
    if path.startswith(str(results)):
        yield "results"
        if "requests.parquet" in path:
            yield "requests.parquet"
    elif path.startswith((sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]))):
        yield "environment"


def files_under(folder: Path) -> dict[str, int]:
    """Files and their bytes."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return {"files": len(sizes), "bytes": sum(sizes)}


def until_idle(files: ClusterDir) -> None:
    """Wait until Slurm has nothing of a sweep any more."""
    deadline = time.monotonic() + LIMIT_S
    while any(job.active for job in calls.queued({one.name for one in submissions(files)})):
        assert time.monotonic() < deadline, f"{files.path}: not done in {LIMIT_S:.0f} s"
        time.sleep(2)


def run_traced(sweep: Sweep, folder: Path, called: Path) -> dict[str, object]:
    """Run a sweep's elements: the first under strace, the others as they are."""
    files, manner = ClusterDir(SweepDir(folder / sweep.name)), Manner(in_virtual_time=True)
    cancel(files.results.path)
    until_idle(files)
    program = str(Path(sys.executable).with_name("mtpbench"))
    [line, _] = commands(sweep, files.results.path, site(), manner)
    first = re.sub(r"--array=\S+", "--array=0 --wait", line)
    counted(called)
    began_s = time.monotonic()
    subprocess.run(["bash", "-c", first.replace(program, str(traced(program, folder)), 1)], check=True)
    under_strace_s = time.monotonic() - began_s
    of_one = counted(called)
    began_s = time.monotonic()
    submit(sweep, files.results.path, site(), manner)
    until_idle(files)
    [trace] = folder.glob("trace.*")
    at = seen(trace, files.results.path)
    trace.unlink()
    return {
        "element_under_strace_s": round(under_strace_s, 1),
        "elements_and_answer_s": round(time.monotonic() - began_s, 1),
        "slurm_calls_of_an_element": of_one,
        "an_element": at,
        "sweep": files_under(files.results.path),
        "points": len(files.results.done()),
    }


def whole(sampled: Sequence[dict[str, object]], sweep_count: int) -> dict[str, object]:
    """What the campaign would take: means of the sample, times all."""
    elements = sweep_count * LAUNCHES

    def mean(*names: str) -> float:
        values = []
        for one in sampled:
            value: object = one
            for name in names:
                value = value.get(name, 0) if isinstance(value, dict) else value
            values.append(float(str(value)))
        return sum(values) / len(values)

    return {
        "elements": elements,
        "files": round(mean("sweep", "files") * sweep_count),
        "bytes": round(mean("sweep", "bytes") * sweep_count),
        "results_opens": round(mean("an_element", "results", "opens") * elements),
        "results_read_bytes": round(mean("an_element", "results", "read_bytes") * elements),
        "results_written_bytes": round(mean("an_element", "results", "written_bytes") * elements),
        "environment_opens": round(mean("an_element", "environment", "opens") * elements),
        "scontrol_calls": round(mean("slurm_calls_of_an_element", "scontrol") * elements),
    }


def main() -> None:
    """Plan, submit, sample."""
    asked = argparse.ArgumentParser()
    asked.add_argument("figures", nargs="?", type=Path)
    asked.add_argument("--sample", type=int, default=1, help="sweeps whose elements run")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as at, slurm(Path(at)) as called:
        folder, campaign = Path(at) / "results", list(sweeps())
        folder.mkdir()
        counted(called)
        began_s = time.monotonic()
        submitted = [
            submit(sweep, folder / sweep.name, site("--hold"), Manner(in_virtual_time=True)) for sweep in campaign
        ]
        took_s = time.monotonic() - began_s
        figures: dict[str, object] = {
            "sweeps": len(campaign),
            "elements": sum(one.total for one in submitted),
            "points": len(campaign) * 2 * len(USERS) * LAUNCHES,
            "planned_and_submitted_s": round(took_s, 1),
            "slurm_calls": counted(called),
            "after_submitting": files_under(folder),
        }
        sampled = [run_traced(sweep, folder, called) for sweep in campaign[: options.sample]]
    figures |= {"sampled": sampled, "extrapolated": whole(sampled, len(campaign))}
    text = json.dumps(figures, indent=1)
    print(text)
    if options.figures:
        options.figures.write_text(text + "\n")


if __name__ == "__main__":
    main()

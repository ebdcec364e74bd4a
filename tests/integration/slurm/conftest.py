"""A real Slurm for the tests that drive it: scripts/slurm_box, started once."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from harness import config
from harness.atomic_files import read_json
from harness.launch import processes
from harness.rundir import PointDir, SweepDir
from harness.server_note import read_server_note
from harness.slurm import calls
from harness.slurm.endings import End
from harness.slurm.files import ClusterDir, tries
from harness.slurm.manifest import Manner
from harness.slurm.step import MARK
from harness.slurm.submissions import Submission, submissions
from harness.slurm.submit import Submitted, submit

SCRIPTS = Path(__file__).parents[3] / "scripts" / "slurm_box"
LIMIT_S = 240.0
LARGEST_ARRAY = 4

SWEEP = """
model: mimo-163m
gpu: {gpu}
precision: bf16
engine: {{name: emulator, args: [--profile, h100-like{speed}{args}]{engine}}}
max_running_requests: 8
tp: {tp}
mtp: {mtp}
acceptance: 2.5
workload: 32x32
{load}
launches: {launches}
window: {{min_s: {window_s}, max_s: {longest_s}}}
idle_power_s: 4
demo: true
"""

CLUSTER = """
label: the box
gpus:
  {gpu}: {{partition: {partition}, type: {gpu}{more}}}
answer: {{partition: all}}
source: a test
"""


FIGURES_OF_POWER = ("power_w_gpu", "idle_power_w_gpu", "idle_bare_power_w_gpu", "inferencex_power_w_gpu")

FIGURES = "MTPBENCH_FAULT_FIGURES"
"""A file to which what each fault did is added: for the table in slurm/README.md."""


def until(happened: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline, f"waited {limit_s} s"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def node_clocks(tmp_path_factory):
    """A library that gives nodes that share a machine clocks of their own, built from tests/fakes/clock.c."""
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).parents[2] / "fakes" / "clock.c"
    flags = ["-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, "-o", str(library), str(source), "-ldl"], check=True)
    return library


def queue(known: Sequence[Submission]) -> list[calls.Queued]:
    return calls.queued({one.name for one in known})


def idle(known: Sequence[Submission]) -> bool:
    return not any(job.active for job in queue(known))


@dataclass(frozen=True, kw_only=True)
class Submittable:
    """A sweep, its cluster and its folder, as a person would have them."""

    folder: Path
    gpu: str = "h100"
    partition: str = ""
    mtp: str = "[off, 3]"
    concurrency: str = "[2]"
    rate: str = ""
    launches: int = 1
    tp: int = 1
    window_s: float = 0.3
    speed: str = ', --speed, "20"'
    args: str = ""
    engine: str = ""
    more: str = ""

    @property
    def files(self) -> ClusterDir:
        return ClusterDir(SweepDir(self.folder / "results"))

    @property
    def sweep_file(self) -> Path:
        path = self.folder / "sweep.yaml"
        # Room for a start-up transient that is long on a busy machine.
        load = f"rate: {self.rate}" if self.rate else f"concurrency: {self.concurrency}"
        path.write_text(SWEEP.format(**vars(self), load=load, longest_s=3 * self.window_s))
        return path

    @property
    def cluster_file(self) -> Path:
        path = self.folder / "cluster.yaml"
        path.write_text(CLUSTER.format(**{**vars(self), "partition": self.partition or self.gpu}))
        return path

    def submit(self, **asked) -> Submitted:
        sweep = config.load(self.sweep_file)
        cluster = config.load_cluster(str(self.cluster_file), self.sweep_file)
        return submit(sweep, self.files.results.path, cluster, Manner(**{"time_min": 5, **asked}))

    def submissions(self) -> list[Submission]:
        return submissions(self.files)

    def queue(self) -> list[calls.Queued]:
        return queue(self.submissions())

    def idle(self) -> bool:
        return idle(self.submissions())

    def finished(self) -> "Submittable":
        until(self.idle)
        return self

    def points(self) -> int:
        return len(self.files.results.done())

    def rows(self) -> list[dict[str, object]]:
        return [point.row() for point in self.files.results.done()]

    def ends(self, element: int = 0) -> list[End | None]:
        return [made.read_end() for made in tries(self.files.element(element))]

    def reasons(self, element: int = 0) -> list[str | None]:
        return [end and end.reason for end in self.ends(element)]

    def node(self, element: int = 0) -> str:
        return str(read_json(tries(self.files.element(element))[-1].begin)["nodes"])

    def began_s(self) -> float:
        """When Slurm started its first element, unix time."""
        [array] = [made for made in self.submissions() if made.what == "elements"]
        return datetime.fromisoformat(calls.job_facts(f"{array.job}_0")["StartTime"]).timestamp()

    def servers(self, *elements: int) -> tuple[int, ...]:
        """Processes of its servers that run, of these elements or of all."""
        folders = (str(self.files.element(of)) for of in elements or [one.number for one in self.files.elements()])
        return tuple(pid for folder in folders for pid in processes.with_variable(MARK, folder))

    def measures(self) -> set[str]:
        """Points that are being measured, by folder."""
        notes = (read_server_note(attempt) for run in self.files.results.runs() for attempt in run.attempts())
        return {note.point for note in notes if note is not None and note.point is not None and note.lasts}

    def put_down(self, fault: str, at_s: float, *, in_flight: bool = True) -> None:
        """Add to the figures what a fault, done at a unix time while a point was in flight or not, did to this sweep.

        It has ended by now.
        """
        if FIGURES not in os.environ:
            return
        ends = [made for element in self.files.elements() for made in tries(self.files.element(element.number))]
        spoilt = [done.requests for done in self.files.results.done() if "server_died" in done.row()["invalid"]]
        told = [path.stat().st_mtime for path in (*(made.end for made in ends), *spoilt) if path.exists()]
        saved = [done.requests for done in self.files.results.done() if done.requests not in spoilt]
        first = min(at for at in told if at > at_s)
        said = [end.reason for end in (made.read_end() for made in ends) if end is not None]
        survived = any(at_s < path.stat().st_mtime <= first for path in saved)
        figures = {
            "fault": fault,
            "told_s": round(first - at_s, 1),
            "points_lost": int(in_flight and not survived),
            "processes_left": len(self.servers()),
            "end.json": said,
        }
        with Path(os.environ[FIGURES]).open("a") as file:
            file.write(json.dumps(figures) + "\n")

    def spoilt(self) -> list[PointDir]:
        """Points without all figures of power: a machine that stalls for 3 s does that, and verdicts are for it."""
        return [done for done in self.files.results.done() if None in map(done.row().get, FIGURES_OF_POWER)]

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.files.path.glob("*.log")))


@contextmanager
def slurm(folder: Path, **settings: str) -> Iterator[str]:
    """SLURM_CONF of a box that lives as long as the block, and leaves nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(f"SLURM_BOX_{name.upper()}", value)
        try:
            started = subprocess.run([SCRIPTS / "up", folder], capture_output=True, text=True, check=False)
            assert started.returncode == 0, started.stderr
            conf = started.stdout.removeprefix("export SLURM_CONF=").strip()
            patch.setenv("SLURM_CONF", conf)
            yield conf
        finally:
            subprocess.run([SCRIPTS / "down", folder], check=True)
    assert not folder.exists()


@pytest.fixture(scope="session")
def box(tmp_path_factory):
    """The box that most tests share."""
    with slurm(tmp_path_factory.mktemp("box") / "b", max_array=str(LARGEST_ARRAY)) as conf:
        yield conf


@pytest.fixture
def sweep(box, tmp_path):
    """Makes sweeps in this test's folder; what is left of them is cancelled."""
    made: list[Submittable] = []

    def make(**wanted) -> Submittable:
        folder = tmp_path / f"sweep-{len(made)}"
        folder.mkdir()
        made.append(Submittable(folder=folder, **wanted))
        return made[-1]

    yield make
    for one in made:
        for job in {job.job for job in one.queue() if job.active}:
            calls.run("scancel", job)
        one.finished()

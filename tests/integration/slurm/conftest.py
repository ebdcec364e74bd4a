"""A real Slurm for the tests that drive it: scripts/slurm_box, started once."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import config
from harness.launch import processes
from harness.rundir import SweepDir, read_json
from harness.slurm import calls
from harness.slurm.endings import End, tries
from harness.slurm.manifest import ClusterDir
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
engine: {{name: emulator, args: [--profile, h100-like, --speed, "20"{args}]{engine}}}
max_running_requests: 8
tp: {tp}
mtp: {mtp}
acceptance: 2.5
workload: 32x32
concurrency: {concurrency}
launches: {launches}
window: {{min_s: {window_s}, max_s: {window_s}}}
demo: true
"""

CLUSTER = """
label: the box
gpus:
  {gpu}: {{partition: {partition}, type: {gpu}{more}}}
answer: {{partition: all}}
source: a test
"""


def until(happened: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline, f"waited {limit_s} s"
        time.sleep(0.1)


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
    launches: int = 1
    tp: int = 1
    window_s: float = 0.3
    args: str = ""
    engine: str = ""
    more: str = ""

    @property
    def files(self) -> ClusterDir:
        return ClusterDir(SweepDir(self.folder / "results"))

    @property
    def sweep_file(self) -> Path:
        path = self.folder / "sweep.yaml"
        path.write_text(SWEEP.format(**vars(self)))
        return path

    @property
    def cluster_file(self) -> Path:
        path = self.folder / "cluster.yaml"
        path.write_text(CLUSTER.format(**{**vars(self), "partition": self.partition or self.gpu}))
        return path

    def submit(self, **asked) -> Submitted:
        sweep = config.load(self.sweep_file)
        cluster = config.load_cluster(str(self.cluster_file), self.sweep_file)
        return submit(sweep, self.files.results.path, cluster, time_min=5, **asked)

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

    def servers(self) -> tuple[int, ...]:
        """Processes of its servers that run."""
        folders = (str(self.files.element(element.number)) for element in self.files.elements())
        return tuple(pid for folder in folders for pid in processes.with_variable(MARK, folder))

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.files.path.glob("*.log")))


@pytest.fixture(scope="session")
def box(tmp_path_factory):
    """SLURM_CONF of a box that lives as long as the tests, and leaves nothing."""
    folder = tmp_path_factory.mktemp("box") / "b"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_BOX_MAX_ARRAY", str(LARGEST_ARRAY))
        try:
            started = subprocess.run([SCRIPTS / "up", folder], capture_output=True, text=True, check=False)
            assert started.returncode == 0, started.stderr
            conf = started.stdout.removeprefix("export SLURM_CONF=").strip()
            patch.setenv("SLURM_CONF", conf)
            yield conf
        finally:
            subprocess.run([SCRIPTS / "down", folder], check=True)
    assert not folder.exists()


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
            calls.said("scancel", job)
        one.finished()

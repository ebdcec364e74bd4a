"""How a try of an element ended: what it is called, what it means, whether it is put back in the queue.

Only what the cluster did is tried again by itself; a server that crashes would crash again, and is for a person.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.slurm.job import Job
from harness.whole import write_json


@dataclass(frozen=True, slots=True)
class Ending:
    """One way to end.

    Attributes:
        says: for a person.
        code: exit status of the batch process.
        requeue: whether the element goes back in the queue.
    """

    says: str
    code: int = 3
    requeue: bool = False


ENDINGS = {
    "done": Ending("all points are done", code=0),
    "time_limit": Ending("the job's time is up; it goes on when it is started again", requeue=True),
    "preempted": Ending("another job took the nodes; it goes on when it is started again", requeue=True),
    "node_failed": Ending("a node went down; Slurm starts it again elsewhere"),
    "cancelled": Ending("somebody cancelled it", code=130),
    "terminated": Ending("Slurm ended it and does not say why"),
    "no_progress": Ending("its whole time passed without a point: ask for more, --time or time_limit_min"),
    "too_often": Ending("it was put back in the queue too often: look at its logs"),
    "server_not_ready": Ending("the server did not come up"),
    "server_died": Ending("the server died before its first point"),
    "gpu_busy": Ending("the node's GPUs hold memory of somebody else: exclude the node, or have it cleaned"),
    "duplicate": Ending("another job measures this element already", code=0),
    "superseded": Ending("another job has taken this element over", code=0),
    "fault": Ending("the sweep or its folder can't be used", code=2),
}


class End(msgspec.Struct, frozen=True, kw_only=True):
    """end.json.

    Attributes:
        reason: a code of ENDINGS.
        says: its sentence.
        detail: what was said when it happened; a server's last lines.
        points: done in this try.
        requeued: whether Slurm was asked to start it again.
        left: numbers of processes that had to be killed.
    """

    reason: str
    says: str
    detail: str | None = None
    points: int = 0
    requeued: bool = False
    left: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TryDir:
    """The files of one try: `element-<n>/<job>-<restart>`."""

    path: Path

    @property
    def begin(self) -> Path:
        """Who, where, since when."""
        return self.path / "begin.json"

    @property
    def end(self) -> Path:
        """How it ended; missing while it runs, and where it was killed at once."""
        return self.path / "end.json"

    def read_end(self) -> End | None:
        """How it ended, if it could say."""
        return msgspec.json.decode(self.end.read_bytes(), type=End) if self.end.exists() else None

    def write_end(self, end: End) -> None:
        """Write end.json."""
        write_json(self.end, msgspec.to_builtins(end))


def tries(element: Path) -> list[TryDir]:
    """All tries of an element, the first one first."""
    return [TryDir(path.parent) for path in sorted(element.glob("*/begin.json"), key=lambda path: path.stat().st_mtime)]


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """owner.json: the run of a job that measures an element."""

    key: str
    restart: int


@dataclass(frozen=True, slots=True)
class Tenure:
    """A job's hold on an element, which the next job takes from it: a node that Slurm has lost may still be at work.

    No lock, since not every shared file system has them: the last to write its name owns the element, the others find
    out before they start or save a point.
    """

    file: Path
    job: Job

    def owner(self) -> Owner | None:
        """Who owns the element."""
        return msgspec.json.decode(self.file.read_bytes(), type=Owner) if self.file.exists() else None

    def take(self) -> None:
        """Own the element from now on."""
        write_json(self.file, msgspec.to_builtins(self._me))

    @property
    def holds(self) -> bool:
        """Whether nobody has taken it over."""
        return self.owner() == self._me

    @property
    def _me(self) -> Owner:
        return Owner(key=self.job.key, restart=self.job.restart)

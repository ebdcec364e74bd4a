"""How a try of an element ended: what it is called, what it means, whether it is put back in the queue.

Only what the cluster did is tried again by itself; a server that crashes would crash again, and is for a person.
"""

from dataclasses import dataclass

import msgspec


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


GOES_ON = {"time_limit", "preempted", "node_failed"}
"""Endings after which the job is expected in the queue again."""

ENDINGS = {
    "done": Ending("all points are done", code=0),
    "time_limit": Ending("the job's time is up; it goes on when it is started again", requeue=True),
    "preempted": Ending("another job took the nodes; it goes on when it is started again", requeue=True),
    "node_failed": Ending("Slurm put it back in the queue, mostly because a node went down"),
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
        requeued: whether it went back in the queue; written after Slurm has said so, so False may be what was not told.
        left: numbers of processes that had to be killed.
    """

    reason: str
    says: str
    detail: str | None = None
    points: int = 0
    requeued: bool = False
    left: tuple[int, ...] = ()

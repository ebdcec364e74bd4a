"""A sweep cut into elements, the parts that a cluster measures each by itself.

An element is one launch of a pair: Off and the arms that are compared with it, on the same node, one server after the
other, in an order that alternates over launches. So a slow node slows both, and launches may run side by side. Where
results add points to a ladder, the first launch decides for all: then all launches of a pair are one element.

Calls nothing of Slurm.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from harness import ladder
from harness.errors import UserError
from harness.plan import PlannedRun, plan
from harness.plan.guess import Guess, total
from harness.rundir import SweepDir
from harness.spec import Cluster, GpuNodes, Ladder, Point, Run, Sweep, expand

GUESS_FACTOR = 1.25
"""Times the longest guess: a job that is cut off costs more than one that asks for too much."""

OVERHEAD_S = 300.0
"""To reach the node, import, and leave it clean."""

TEARDOWN_S = 60.0
"""From the end of a point to the end of its job."""

UNKNOWN_POINT_S = 300.0
"""A point of which the plan can't tell how long it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a sweep is measured on a cluster, beyond what its file says.

    Attributes:
        time_min: of each job, instead of what the plan guesses.
        power_required, in_virtual_time: as for an Element.
    """

    time_min: int | None = None
    power_required: bool = False
    in_virtual_time: bool = False


class Element(msgspec.Struct, frozen=True, kw_only=True):
    """One launch of a pair, or all of them.

    Attributes:
        number: line of the manifest, from 0.
        pair: key of the baseline Run.
        launch, launches: the first, and how many from there on.
        gpu: name of the GPU.
        nodes, gpus_per_node: of its servers; the same for all of them.
        time_min: asked of Slurm.
        notice_s: how long before that it is told to come to an end.
        points: `<run key>/<point>`, in the order of measuring, as known when it was submitted.
        power_required: whether a point without good power figures is invalid.
        in_virtual_time: whether the emulator answers in virtual time, for a trial of the cluster itself.
    """

    number: int
    pair: str
    launch: int
    gpu: str
    nodes: int
    gpus_per_node: int
    time_min: int
    notice_s: int
    points: tuple[str, ...]
    launches: int = 1
    power_required: bool = False
    in_virtual_time: bool = False

    @property
    def shape(self) -> tuple[str, int, int, int, int]:
        """What is asked of Slurm: elements of one shape go into one array."""
        return (self.gpu, self.nodes, self.gpus_per_node, self.time_min, self.notice_s)

    def continues(self, before: "Element") -> bool:
        """Whether it is the element that was submitted before, to which launches may have been added."""
        same = (self.number, self.pair, self.launch) == (before.number, before.pair, before.launch)
        return same and self.points[: len(before.points)] == before.points

    def current_points(self, sweep: Sweep, results: SweepDir) -> list[Point]:
        """Its points, whole, in the order of measuring; rows may have added to them."""
        launches = range(self.launch, self.launch + self.launches)
        asked = ladder.points(sweep, results)
        return [point for point in asked if point.run.baseline.key == self.pair and point.launch in launches]

    def count_done(self, sweep: Sweep, results: SweepDir) -> int:
        """How many of its points are done."""
        return sum(results.run(point.run.key).point(point.folder).done for point in self.current_points(sweep, results))

    def is_incomplete(self, sweep: Sweep, results: SweepDir) -> bool:
        """Whether some of its points are not done."""
        return self.count_done(sweep, results) < len(self.current_points(sweep, results))


def elements_of(sweep: Sweep, cluster: Cluster, manner: Manner) -> list[Element]:
    """A sweep's elements, in the order of their launches.

    Args:
        sweep: what is asked.
        cluster: the site.
        manner: how they are measured.

    Raises:
        UserError: the site can't run the sweep, or nobody can tell for how long.
    """
    adaptive = isinstance(sweep.concurrency, Ladder) and sweep.concurrency.adaptive
    planned = {planned.run.key: planned for planned in plan(sweep).runs}
    launches = groupby(expand(sweep), key=lambda point: 0 if adaptive else point.launch)
    parts = [part for _, points in launches for part in _pairs(points)]
    return [
        _element(number, part, [planned[key] for key in {p.run.key: None for p in part}], cluster, manner)
        for number, part in enumerate(parts)
    ]


def nodes_for(run: Run, cluster: Cluster) -> GpuNodes:
    """How a site is asked for a Run's nodes.

    Raises:
        UserError: it has none, or none that can start the Run.
    """
    nodes = cluster.gpus.get(run.gpu.name)
    if nodes is None:
        raise UserError(f"cluster {cluster.name}: gpus has no {run.gpu.name}; there are {', '.join(cluster.gpus)}")
    if run.engine.image is not None and nodes.container is None:
        raise UserError(
            f"cluster {cluster.name}: gpus.{run.gpu.name} has no container, and the sweep's engine is an image; "
            "say what starts it: pyxis, apptainer or docker"
        )
    if nodes.container is not None and nodes.container.runtime == "docker" and not nodes.exclusive:
        raise UserError(
            f"cluster {cluster.name}: gpus.{run.gpu.name}: docker gives a container all GPUs of a node; "
            "leave out exclusive: false"
        )
    return nodes


def _point_name(point: Point) -> str:
    """`<run key>/<point>`."""
    return f"{point.run.key}/{point.folder}"


def _pairs(points: Iterable[Point]) -> list[list[Point]]:
    """Points by the baseline that they are compared with; each in the order of measuring."""
    pairs: dict[str, list[Point]] = {}
    for point in points:
        pairs.setdefault(point.run.baseline.key, []).append(point)
    return list(pairs.values())


def _element(
    number: int, points: Sequence[Point], planned: Sequence[PlannedRun], cluster: Cluster, manner: Manner
) -> Element:
    run = points[0].run
    nodes = nodes_for(run, cluster)
    count, gpus_per_node = _spread(run, nodes)
    launches = len({point.launch for point in points})
    asked_min = manner.time_min or _time_min(planned, launches, nodes)
    return Element(
        number=number,
        pair=run.baseline.key,
        launch=points[0].launch,
        launches=launches,
        gpu=run.gpu.name,
        nodes=count,
        gpus_per_node=gpus_per_node,
        time_min=asked_min,
        notice_s=_notice_s(planned, asked_min),
        points=tuple(_point_name(point) for point in points),
        power_required=manner.power_required,
        in_virtual_time=manner.in_virtual_time,
    )


def _spread(run: Run, nodes: GpuNodes) -> tuple[int, int]:
    """Nodes of a server, and its GPUs on each of them."""
    gpus, per_node = run.parallel.gpus, nodes.per_node or run.gpu.per_node
    count = math.ceil(gpus / per_node)
    if gpus % count:
        raise UserError(f"{run.key}: {gpus} GPUs do not spread evenly over {count} nodes of {per_node}")
    return count, gpus // count


def _time_min(planned: Sequence[PlannedRun], launches: int, nodes: GpuNodes) -> int:
    guess = total(one.launch_s for one in planned) * launches
    if guess.high is None:
        if nodes.time_limit_min is None:
            raise UserError(
                f"how long a job takes is not known ({guess.reason}): give --time, or the site's time_limit_min"
            )
        return nodes.time_limit_min
    asked = math.ceil((GUESS_FACTOR * guess.high + OVERHEAD_S) / 60)
    return min(asked, nodes.time_limit_min or asked)


def _notice_s(planned: Sequence[PlannedRun], time_min: int) -> int:
    """Long enough to finish the point in flight; never more than half of the job."""
    longest = Guess(0.0, 0.0)
    for one in planned:
        for point in one.points:
            longest = longest.with_(point.point_s, max)
    return round(min((longest.high or UNKNOWN_POINT_S) + TEARDOWN_S, time_min * 60 / 2))

"""A sweep cut into elements, the parts that a cluster measures each by itself, and where they keep their files.

An element is one launch of a pair: Off and the arms that are compared with it, on the same node, one server after the
other, in an order that alternates over launches. So a slow node slows both, and launches may run side by side. Where
results add points to a ladder, the first launch decides for all: then all launches of a pair are one element.

    results/<sweep>/slurm/
        manifest.jsonl                    one element a line, frozen when the sweep is first submitted
        cluster.json                      the site, resolved
        submissions.jsonl                 what was asked of sbatch, each line before and after
        <array>_<task>.log                what an element printed
        element-<n>/owner.json            the job that measures it now
        element-<n>/<job>-<restart>/      one try: begin.json, end.json

Calls nothing of Slurm.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import msgspec

from harness import ladder
from harness.errors import ResultsError, UserError
from harness.plan import PlannedRun, plan
from harness.plan.guess import Guess, total
from harness.rundir import SweepDir
from harness.spec import Cluster, GpuNodes, Ladder, Point, Run, Sweep, expand
from harness.whole import atomic

SPARE = 1.25
"""Times the longest guess: a job that is cut off costs more than one that asks for too much."""

MARGIN_S = 300.0
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

    def of(self, sweep: Sweep, results: SweepDir) -> list[Point]:
        """Its points, whole, in the order of measuring; rows may have added to them."""
        launches = range(self.launch, self.launch + self.launches)
        asked = ladder.points(sweep, results)
        return [point for point in asked if point.run.baseline.key == self.pair and point.launch in launches]

    def done(self, sweep: Sweep, results: SweepDir) -> int:
        """How many of its points are done."""
        return sum(results.run(point.run.key).point(point.folder).done for point in self.of(sweep, results))

    def missing(self, sweep: Sweep, results: SweepDir) -> bool:
        """Whether some of its points are not done."""
        return self.done(sweep, results) < len(self.of(sweep, results))


@dataclass(frozen=True, slots=True)
class ClusterDir:
    """The files of a sweep on a cluster."""

    results: SweepDir

    @property
    def path(self) -> Path:
        """The folder of them all."""
        return self.results.path / "slurm"

    @property
    def cluster(self) -> Path:
        """The site."""
        return self.path / "cluster.json"

    @property
    def submissions(self) -> Path:
        """What was asked of sbatch."""
        return self.path / "submissions.jsonl"

    @property
    def manifest(self) -> Path:
        """The elements."""
        return self.path / "manifest.jsonl"

    def element(self, number: int) -> Path:
        """Files of one element."""
        return self.path / f"element-{number}"

    def site(self) -> Cluster:
        """The site that the sweep was submitted to.

        Raises:
            ResultsError: it was not.
        """
        if not self.cluster.exists():
            raise ResultsError(f"{self.results.path}: was not submitted to a cluster")
        return Cluster.model_validate_json(self.cluster.read_bytes())

    def elements(self) -> list[Element]:
        """The frozen elements; none before the first submission."""
        if not self.manifest.exists():
            return []
        return [msgspec.json.decode(line, type=Element) for line in self.manifest.read_bytes().splitlines()]

    def freeze(self, cluster: Cluster, elements: Sequence[Element]) -> None:
        """Write down site and elements; what is asked of Slurm may change from one submission to the next.

        Raises:
            UserError: other elements were submitted before.
        """
        before = self.elements()
        if len(elements) < len(before) or not all(map(Element.continues, elements, before)):
            raise UserError(
                f"{self.manifest}: another cut of the sweep was submitted before, by another version of mtpbench; "
                "choose another folder with -o"
            )
        with atomic(self.cluster) as partial:
            partial.write_text(cluster.model_dump_json(indent=1) + "\n")
        with atomic(self.manifest) as partial:
            partial.write_bytes(b"".join(msgspec.json.encode(element) + b"\n" for element in elements))


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


def name_of(point: Point) -> str:
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
        points=tuple(name_of(point) for point in points),
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
    asked = math.ceil((SPARE * guess.high + MARGIN_S) / 60)
    return min(asked, nodes.time_limit_min or asked)


def _notice_s(planned: Sequence[PlannedRun], time_min: int) -> int:
    """Long enough to finish the point in flight; never more than half of the job."""
    longest = Guess(0.0, 0.0)
    for one in planned:
        for point in one.points:
            longest = longest.with_(point.point_s, max)
    return round(min((longest.high or UNKNOWN_POINT_S) + TEARDOWN_S, time_min * 60 / 2))

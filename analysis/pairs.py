"""Two arms that may be asked about: what a question, an arm, a measured load and a pair are.

Who is paired is for `pairing`.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from analysis.rows import Row
from analysis.topology import Topology
from harness.spec import Load

View = Literal["matched", "best-of-topologies"]
MATCHED: View = "matched"
BEST: View = "best-of-topologies"

DAYS_COMPARABLE = 14
"""Runs further apart than this are not of one machine and driver: warned about, and no proof that two arms coincide."""


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """What speculation an arm runs.

    Attributes:
        draft_tokens: 0 is Off, -1 is MTP of a length that is not told.
        forced: acceptance length that the engine simulated; 0 for natural acceptance.
        variant: the Run's key, where several Runs of one sweep share all the rest.
    """

    draft_tokens: int
    forced: float = 0.0
    variant: str = ""

    @property
    def is_off(self) -> bool:
        """Whether this is the Off arm."""
        return not self.draft_tokens

    @property
    def key(self) -> str:
        """`off`, `mtp`, `mtp3`, `mtp3-al3.39`."""
        length = f"{self.draft_tokens}" if self.draft_tokens > 0 else ""
        forced = f"-al{self.forced:g}" if self.forced else ""
        variant = f"-{self.variant.rpartition('-')[2]}" if self.variant else ""
        return "off" if self.is_off else f"mtp{length}{forced}{variant}"

    @property
    def label(self) -> str:
        """`Off`, `MTP`, `MTP 3`, `MTP 3 (acceptance forced to 3.39)`."""
        if self.is_off:
            return "Off"
        length = f" {self.draft_tokens}" if self.draft_tokens > 0 else ""
        forced = f" (acceptance forced to {self.forced:g})" if self.forced else ""
        return f"MTP{length}{forced}"


@dataclass(frozen=True, slots=True)
class MeasuredLoad:
    """One load on one topology of one arm, as its launches measured it.

    Attributes:
        rows: its launches, in a fixed order; at least one.
    """

    topology: Topology
    load: Load
    rows: tuple[Row, ...]

    @property
    def deployment(self) -> tuple[Topology, str]:
        """The topology, and the settings that its Run was asked for with."""
        return self.topology, self.rows[0].pair_key

    @property
    def concurrency(self) -> float:
        """Requests in flight: held in closed loop, found in open loop."""
        found = self.mean("held_concurrency") if self.load.arrivals else None
        return self.load.amount if found is None else found

    @property
    def repeats(self) -> bool:
        """Whether one server start made several of the rows, as far as they can tell."""
        return len({row.launch_id for row in self.rows}) < len(self.rows)

    def mean(self, name: str) -> float | None:
        """Mean of a metric over the launches; None when any launch lacks it."""
        values = [row.number(name) for row in self.rows]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None

    def required(self, name: str) -> float:
        """Mean over the launches of a metric that every usable row has: interactivity, total tok/s/GPU."""
        value = self.mean(name)
        assert value is not None  # rows without it are not usable
        return value

    @property
    def label(self) -> str:
        """`tp8 c32`."""
        return f"{self.topology.label} {self.load.label}"


@dataclass(frozen=True, slots=True)
class Side:
    """One arm of a pair with everything that was measured of it.

    Attributes:
        levels: by topology, then load.
    """

    arm: Arm
    levels: tuple[MeasuredLoad, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All launches of all levels."""
        return tuple(row for level in self.levels for row in level.rows)

    @property
    def topologies(self) -> tuple[Topology, ...]:
        """Those that were searched."""
        return tuple(sorted({level.topology for level in self.levels}))

    @property
    def deployments(self) -> "dict[tuple[Topology, str], Side]":
        """What was measured of each topology with each settings asked for."""
        keys = dict.fromkeys(level.deployment for level in self.levels)
        return {key: replace(self, levels=tuple(x for x in self.levels if x.deployment == key)) for key in keys}

    @property
    def versions(self) -> tuple[str, ...]:
        """The software that ran; empty where no row tells."""
        return tuple(sorted({row.version for row in self.rows if row.version}))

    @property
    def launches(self) -> int:
        """Server starts behind the level with the fewest; where windows of one server are among them, one."""
        if any(row.attached for row in self.rows) or any(level.repeats for level in self.levels):
            return 1
        return min(len(level.rows) for level in self.levels)

    @property
    def days(self) -> tuple[str, ...]:
        """ISO days of the rows, sorted."""
        return tuple(sorted({row.day for row in self.rows if row.day}))

    @property
    def gpus(self) -> tuple[int, ...]:
        """GPUs of one deployment, for each that was searched."""
        return tuple(sorted({topology.gpus for topology in self.topologies}))


@dataclass(frozen=True, slots=True)
class Question:
    """What is held equal whatever the view: on this model, GPU, precision and workload.

    Attributes:
        arrivals: how requests come in open loop; "" for a closed one. What a user sees at a rate and at a concurrency
            differs on one and the same server, so the two are two questions.
    """

    model: str
    gpu: str
    precision: str
    isl: int
    osl: int
    workload: str
    engine: str
    emulated: bool
    demo: bool
    origin: str
    arrivals: str = ""

    @classmethod
    def of(cls, row: Row) -> "Question":
        """The question that a row belongs to."""
        return cls(
            model=row.model,
            gpu=row.gpu,
            precision=row.precision,
            isl=row.isl,
            osl=row.osl,
            workload=row.workload or f"{row.isl}-{row.osl}",
            engine=row.engine,
            emulated=row.emulated,
            demo=row.demo,
            origin=row.origin,
            arrivals=row.arrivals or "",
        )

    @property
    def key(self) -> str:
        """`qwen3.5/h100/fp8/1k1k/sglang`, in open loop `.../sglang/poisson`."""
        parts = (self.model, self.gpu, self.precision, self.workload, self.engine, self.arrivals.replace(" ", "-"))
        return "/".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Pair:
    """One MTP arm beside Off.

    Attributes:
        key: unique among the pairs of one answer; `--pair` matches it.
        same_request: False when the arms were asked for with different settings on a topology that both ran.
    """

    key: str
    question: Question
    view: View
    off: Side
    mtp: Side
    same_request: bool = True

    @property
    def balanced(self) -> bool:
        """Whether both arms searched the same topologies."""
        return self.off.topologies == self.mtp.topologies


@dataclass(frozen=True, slots=True)
class Asked:
    """Every way to ask one question of one MTP arm.

    Attributes:
        matched: one pair for each topology that both arms ran.
        best: both arms over all their topologies.
    """

    question: Question
    arm: Arm
    matched: tuple[Pair, ...]
    best: Pair

    @property
    def searched(self) -> bool:
        """Whether there is more than one topology, so that the best of them is another question."""
        return len({*self.best.off.topologies, *self.best.mtp.topologies}) > 1


@dataclass(frozen=True, slots=True)
class Lonely:
    """An arm that has no partner.

    Attributes:
        elsewhere: how requests came to rows of the other arm that it would have had with the same arrivals; "closed
            loop" among them.
    """

    key: str
    rows: tuple[Row, ...]
    elsewhere: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Why nothing was compared."""
        other = "MTP" if self.key.endswith("/off") else "Off"
        reason = (
            f"no {other} arm of the same model, GPU, precision, workload and engine beside its {len(self.rows)} rows"
        )
        if not self.elsewhere:
            return reason
        here = loop_of(self.rows[0].arrivals)
        return (
            f"{reason} of {here}: {other} was measured in {' and '.join(self.elsewhere)}, and what users see under one "
            "load is not comparable with what they see under another; measure both arms alike"
        )


def loop_of(arrivals: str | None) -> str:
    """`closed loop`, `open loop (poisson)`."""
    return f"open loop ({arrivals})" if arrivals else "closed loop"


def days_apart(one: str, other: str) -> int | None:
    """Whole days between two ISO days; None when either is not told."""
    try:
        return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)
    except ValueError:
        return None

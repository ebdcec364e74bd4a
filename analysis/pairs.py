"""Rows -> pairs of arms that may be asked about: who is compared with whom, and in which view.

A pair never mixes emulated with measured, demo with earnest, imported with our own, two engines, two workloads. It may
still be one that can't be compared: that is for `diff` to say. Knows no curve and no number beyond a row's age.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal, TypeVar

from analysis.rows import Row, Table, Topology

View = Literal["matched", "best-of-topologies"]
MATCHED: View = "matched"
BEST: View = "best-of-topologies"

K = TypeVar("K")


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
class Level:
    """One concurrency of one topology of one arm.

    Attributes:
        rows: its launches, in a fixed order; at least one.
    """

    topology: Topology
    concurrency: int
    rows: tuple[Row, ...]

    def mean(self, name: str) -> float | None:
        """Mean of a metric over the launches; None when any launch lacks it."""
        values = [row.number(name) for row in self.rows]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if len(known) == len(values) else None

    @property
    def label(self) -> str:
        """`tp8 c32`."""
        return f"{self.topology.label} c{self.concurrency}"


@dataclass(frozen=True, slots=True)
class Side:
    """One arm of a pair with everything that was measured of it.

    Attributes:
        levels: by topology, then concurrency.
    """

    arm: Arm
    levels: tuple[Level, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All launches of all levels."""
        return tuple(row for level in self.levels for row in level.rows)

    @property
    def topologies(self) -> tuple[Topology, ...]:
        """Those that were searched."""
        return tuple(sorted({level.topology for level in self.levels}))

    @property
    def versions(self) -> tuple[str, ...]:
        """The software that ran; empty where no row tells."""
        return tuple(sorted({row.version for row in self.rows if row.version}))

    @property
    def launches(self) -> int:
        """Server starts behind the level with the fewest; windows of one attached server are one."""
        fewest = min(len(level.rows) for level in self.levels)
        return 1 if any(row.attached for row in self.rows) else fewest

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
    """What is held equal whatever the view: on this model, GPU, precision and workload."""

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
        )

    @property
    def key(self) -> str:
        """`qwen3.5/h100/fp8/1k1k/sglang`."""
        return f"{self.model}/{self.gpu}/{self.precision}/{self.workload}/{self.engine}"


@dataclass(frozen=True, slots=True)
class Pair:
    """One MTP arm beside Off.

    Attributes:
        key: unique among the pairs of one answer; `--pair` matches it.
        same_request: False when the two Runs were asked for with different settings.
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
        best: both arms over all their topologies; None where that is one and the same topology.
    """

    question: Question
    arm: Arm
    matched: tuple[Pair, ...]
    best: Pair | None


@dataclass(frozen=True, slots=True)
class Lonely:
    """An arm that has no partner, and how many rows it has."""

    key: str
    rows: int

    @property
    def reason(self) -> str:
        """Why nothing was compared."""
        other = "MTP" if self.key.endswith("/off") else "Off"
        return f"no {other} arm of the same model, GPU, precision, workload and engine beside its {self.rows} rows"


def find(table: Table) -> tuple[tuple[Asked, ...], tuple[Lonely, ...]]:
    """All pairs, in order of their questions; and the arms that found no partner."""
    asked: list[Asked] = []
    lonely: list[Lonely] = []
    for question, rows in sorted(_grouped([*table.rows, *table.older], Question.of).items(), key=_by_key):
        arms = _grouped(rows, _arm)
        off = arms.pop(Arm(0), [])
        if not off or not arms:
            lonely += [Lonely(f"{question.key}/{arm.key}", len(arm_rows)) for arm, arm_rows in arms.items()]
            lonely += [Lonely(f"{question.key}/off", len(off))] if off else []
            continue
        asked += [_asked(question, arm, off, arms[arm]) for arm in sorted(arms)]
    return tuple(asked), tuple(lonely)


def _by_key(item: tuple[Question, list[Row]]) -> tuple[str, bool, bool, str]:
    question = item[0]
    return question.key, question.emulated, question.demo, question.origin


def _arm(row: Row) -> Arm:
    draft_tokens = -1 if row.draft_tokens is None else row.draft_tokens
    return Arm(draft_tokens, row.forced_acceptance_length or 0.0)


def _grouped(rows: Iterable[Row], key: Callable[[Row], K]) -> dict[K, list[Row]]:
    groups: dict[K, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)


def _asked(question: Question, arm: Arm, off: list[Row], mtp: list[Row]) -> Asked:
    matched = tuple(_unique(_matched(question, arm, off, mtp)))
    topologies = {row.topology for row in (*off, *mtp)}
    best = _pair(f"{question.key}/best/{arm.key}", question, BEST, arm, off, mtp) if len(topologies) > 1 else None
    return Asked(question, arm, matched, best)


def _matched(question: Question, arm: Arm, off: list[Row], mtp: list[Row]) -> Iterator[Pair]:
    by_request = _grouped(off, lambda row: (row.topology, row.pair_key))
    # Where no Off was asked for with the same settings, the Off with most rows stands in; `diff` says that it does.
    by_topology = {topology: rows for (topology, _), rows in sorted(by_request.items(), key=lambda item: len(item[1]))}
    runs = _grouped(mtp, lambda row: (row.topology, row.pair_key, row.run_key))
    for (topology, request, run_key), rows in sorted(runs.items()):
        partners = by_request.get((topology, request)) or by_topology.get(topology)
        if not partners:
            continue
        shares = sum(key[:2] == (topology, request) for key in runs) > 1
        of_run = Arm(arm.draft_tokens, arm.forced, run_key) if shares else arm
        key = f"{question.key}/{topology.label}/{of_run.key}"
        same = (topology, request) in by_request
        yield _pair(key, question, MATCHED, of_run, partners, rows, same_request=same)


def _unique(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """The pairs, those that share a key told apart by what was asked of their MTP arm."""
    given = list(pairs)
    keys = [pair.key for pair in given]
    for pair in given:
        digest = pair.mtp.rows[0].run_key.rpartition("-")[2]
        yield pair if keys.count(pair.key) == 1 else replace(pair, key=f"{pair.key}#{digest}")


def _pair(
    key: str, question: Question, view: View, arm: Arm, off: list[Row], mtp: list[Row], *, same_request: bool = True
) -> Pair:
    off_rows, mtp_rows = _of_one_time(off, mtp)
    return Pair(key, question, view, _side(Arm(0), off_rows), _side(arm, mtp_rows), same_request)


def _side(arm: Arm, rows: Iterable[Row]) -> Side:
    levels = _grouped(rows, lambda row: (row.topology, row.pair_key, row.concurrency))
    return Side(
        arm=arm,
        levels=tuple(
            Level(topology, concurrency, tuple(sorted(launches, key=lambda row: row.launch_id)))
            for (topology, _, concurrency), launches in sorted(levels.items())
        ),
    )


def _of_one_time(off: list[Row], mtp: list[Row]) -> tuple[list[Row], list[Row]]:
    """Of each arm the rows of one software version, chosen so that the two go together.

    The same version first; where one is not told, the runs nearest in time; where all differ, the newest of each. Among
    equals the ones with a curve to draw, then the newest.
    """
    candidates = [
        (_togetherness(off_rows, mtp_rows), off_rows, mtp_rows)
        for off_rows in _editions(off)
        for mtp_rows in _editions(mtp)
    ]
    _, off_rows, mtp_rows = max(candidates, key=lambda candidate: candidate[0])
    return off_rows, mtp_rows


def _editions(rows: list[Row]) -> list[list[Row]]:
    """Rows by version; those that tell none by day, because a day's rows at least ran together.

    A row that tells none is of the one version that its line ran on that day, where others of that day tell it.
    """
    told: dict[tuple[str, str | None], set[str]] = defaultdict(set)
    for row in rows:
        if row.version:
            told[row.run_key, row.day].add(row.version)

    def edition(row: Row) -> str:
        of_the_day = told[row.run_key, row.day] if row.day else set()
        return row.version or (next(iter(of_the_day)) if len(of_the_day) == 1 else f"of {row.day}")

    return list(_grouped(rows, edition).values())


def _togetherness(off: list[Row], mtp: list[Row]) -> tuple[int, int, int, str, str]:
    versions = _version(off), _version(mtp)
    known = 1 if None in versions else 2 * (versions[0] == versions[1])
    off_day, mtp_day = (max((row.day or "" for row in rows), default="") for rows in (off, mtp))
    curve = min(3, *(len({row.concurrency for row in rows}) for rows in (off, mtp)))
    apart = 0 if known != 1 else -(days_apart(off_day, mtp_day) or 0)
    return known, curve, apart, mtp_day, off_day


def _version(edition: list[Row]) -> str | None:
    return next((row.version for row in edition if row.version), None)


def days_apart(one: str, other: str) -> int | None:
    """Whole days between two ISO days; None when either is not told."""
    try:
        return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)
    except ValueError:
        return None

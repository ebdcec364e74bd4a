"""Results folders and files -> rows with types; whatever can't be used is kept with its reason.

Knows what a row says of itself (which launch, topology, arm and version it is), nothing of other rows' meaning:
pairing is for `pairing`.
"""

import gc
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from analysis import importers
from analysis.importers import bench, mtpbench
from analysis.importers.report import REASONS
from analysis.importers.row import PREFILL_PARTS
from analysis.topology import Topology
from harness.errors import ResultsError
from harness.metrics import INTERACTIVITY, THROUGHPUT
from harness.spec import Load

POINTS = "points.jsonl"
OLDER = "superseded"
"""Code of a public row whose line has a newer run: left out by the dashboard, a candidate here."""

X, Y, OUTPUT = INTERACTIVITY, THROUGHPUT, "output_tok_s_gpu"


class Row(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One point as its file tells it.

    Attributes:
        concurrency: users; None in open loop.
        rate, arrivals: requests a second, and how they are spread; None in closed loop.
        draft_tokens: 0 is Off; None is MTP of a length that the origin does not say.
        origin: whose definitions the numbers follow; rows of ours are `mtpbench`.
        image: container image, where the origin tells it.
        date: day of the run, where the origin tells no time.
        run: the origin's own name of the run.
        cells: the whole flat object, metrics and blocks included.
        folder: the results folder that holds the run's own folder, for rows of ours.
        source: file and line.
    """

    model: str
    gpu: str
    gpus: int
    precision: str
    engine: str
    isl: int
    osl: int
    concurrency: int | None = None
    rate: float | None = None
    arrivals: str | None = None
    draft_tokens: int | None
    run_key: str
    pair_key: str
    workload: str | None = None
    engine_version: str | None = None
    tp: int = 1
    pp: int = 1
    ep: int = 1
    dp: int = 1
    dp_attention: bool = False
    prefill_gpus: int | None = None
    prefill_tp: int | None = None
    prefill_ep: int | None = None
    prefill_num_workers: int | None = None
    decode_num_workers: int | None = None
    prefill_dp_attention: bool | None = None
    forced_acceptance_length: float | None = None
    emulated: bool = False
    demo: bool = False
    sweep: str | None = None
    launch: int = 0
    attempt: int = 1
    node: str | None = None
    started: str | None = None
    prompt_hash: str | None = None
    origin: str = "mtpbench"
    image: str | None = None
    date: str | None = None
    run: str | None = None
    itl_over_tpot: float | None = None
    stamps: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    cells: Mapping[str, object] = {}
    folder: str | None = None
    source: str = ""

    def number(self, name: str) -> float | None:
        """A metric's finite value, or None."""
        value = self.cells.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if math.isfinite(value) else None

    def number_or_nan(self, name: str) -> float:
        """The same for arrays: NaN in place of None."""
        value = self.number(name)
        return math.nan if value is None else value

    def series(self, name: str) -> tuple[float, ...]:
        """A metric's values block by block; empty where blocks are absent."""
        values = self.cells.get(f"blocks_{name}")
        if not isinstance(values, list | tuple):
            return ()
        return tuple(float(v) for v in values if isinstance(v, int | float) and math.isfinite(v))

    @property
    def load(self) -> Load:
        """The load of the point: users, or requests a second."""
        return Load(self.rate or 0.0, self.arrivals or "") if self.concurrency is None else Load(self.concurrency)

    @property
    def is_off(self) -> bool:
        """Whether this is the Off arm."""
        return self.draft_tokens == 0

    @property
    def imported(self) -> bool:
        """Whether another tool measured it."""
        return self.origin != "mtpbench"

    @property
    def attached(self) -> bool:
        """Whether the server was started by someone else."""
        return "attached" in self.stamps

    @property
    def topology(self) -> Topology:
        """How the deployment's GPUs are used."""
        prefill = "-".join(f"{short}{size}" for name, short in PREFILL_PARTS if (size := getattr(self, name)))
        return Topology(
            gpus=self.gpus,
            tp=self.tp,
            pp=self.pp,
            ep=self.ep,
            dp=self.dp,
            dp_attention=self.dp_attention,
            prefill_gpus=self.prefill_gpus or 0,
            prefill=(prefill + ("-pdpa" if self.prefill_dp_attention else "")) if self.prefill_gpus else "",
        )

    @property
    def version(self) -> str | None:
        """What software ran: image, or engine version; None where neither is told."""
        return self.image or self.engine_version

    @property
    def day(self) -> str | None:
        """ISO day of the measurement."""
        return self.date or (self.started[:10] if self.started else None)

    @property
    def launch_id(self) -> tuple[str, ...]:
        """Names the server start that made the row, as well as the row can tell; the same at every load."""
        if self.origin in bench.ORIGINS:
            return (str(self.launch),)
        if self.imported:
            return (self.day or self.source, self.run or "", str(self.launch))
        return (self.folder or "", self.sweep or "", f"{self.launch:06d}")

    @property
    def label(self) -> str:
        """The row for people: run, load, launch."""
        return f"{self.run_key} {self.load.label} l{self.launch}"


class Unusable(msgspec.Struct, frozen=True):
    """Something that takes no part, and why.

    Attributes:
        row: what it is: the row's label, or file and line where there is no row.
        measured: the row itself, where there is one.
    """

    row: str
    reason: str
    measured: Row | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """What the given paths hold.

    Attributes:
        rows: usable rows, the newest of every public line.
        older: usable public rows of lines that have a newer run.
        unusable: everything else.
    """

    rows: tuple[Row, ...]
    older: tuple[Row, ...]
    unusable: tuple[Unusable, ...]


def load_table(paths: Sequence[Path]) -> Table:
    """All rows of results folders, points.jsonl files and files that `importers` knows; each measurement once.

    Raises:
        ResultsError: a path is not there, or the rows are of another schema version than this program's.
    """
    files = dict.fromkeys(file for path in paths for file in _files(path))
    with _uncollected():
        return _read(files)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection inside: thousands of dictionaries come, none goes, and searching them costs a tenth."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read(files: Collection[Path]) -> Table:
    flats: list[importers.FlatRow] = []
    folders: list[str | None] = []
    unusable: list[Unusable] = []
    for file in files:
        read = importers.read_files([file])
        flats += read.rows
        folders += [str(file.parent) if file.name == POINTS else None] * len(read.rows)
        for fault in read.unusable:
            _refuse_other_schema(fault)
            unusable.append(Unusable(" ".join(filter(None, [fault.file, fault.place])), fault.reason))
    # Which run of a line is the newest was judged within each file; several files are judged together.
    judged = importers.newest_runs(flats) if len(files) > 1 else flats
    return table(zip(judged, folders, strict=True), unusable)


def table(judged: Iterable[tuple[Mapping[str, object], str | None]], unusable: Iterable[Unusable] = ()) -> Table:
    """Flat rows, each with the results folder that its run's folder lies in, as a table.

    Args:
        judged: rows of points.jsonl; public ones marked by `importers.newest_runs`.
        unusable: what is already known to be.
    """
    rows: list[Row] = []
    older: list[Row] = []
    left = list(unusable)
    seen: set[tuple[object, ...]] = set()
    for flat, folder in judged:
        row = _typed(flat, folder)
        if isinstance(row, str):
            left.append(Unusable(str(flat.get("source") or flat.get("run_key")), row))
        elif reason := _unfit(row):
            left.append(Unusable(row.label, reason, row))
        elif (measurement := _measurement(row)) in seen:
            left.append(Unusable(row.label, REASONS["duplicate"]))
        else:
            seen.add(measurement)
            (older if OLDER in row.invalid else rows).append(row)
    return Table(tuple(rows), tuple(older), tuple(left))


def _files(path: Path) -> Iterable[Path]:
    if not path.exists():
        raise ResultsError(f"{path}: no such file or folder")
    if path.is_file():
        return [path]
    if (path / POINTS).is_file():
        return [path / POINTS]
    below = sorted(path.glob(f"*/{POINTS}"))
    if not below:
        raise ResultsError(f"{path}: holds no {POINTS}; give a results folder, or the file itself")
    return below


def _refuse_other_schema(fault: importers.Unusable) -> None:
    if fault.reason.startswith(mtpbench.OTHER_SCHEMA):
        raise ResultsError(
            f"{fault.file} {fault.place}: {fault.reason}; rows of several versions do not mix: "
            "`mtpbench score` on the results folder writes them anew"
        )


def _typed(flat: Mapping[str, object], folder: str | None) -> Row | str:
    given = {name: value for name, value in flat.items() if value is not None or name == "draft_tokens"}
    try:
        return msgspec.convert({**given, "cells": flat, "folder": folder}, Row)
    except msgspec.ValidationError as error:
        return f"not a row: {error}"


def _unfit(row: Row) -> str | None:
    """Why a typed row takes no part; None when it does."""
    reasons = [REASONS.get(code, code) for code in row.invalid if code != OLDER]
    for name in (X, Y):
        value = row.number(name)
        if value is None or value <= 0:
            reasons.append(f"no {name}: {row.cells.get(f'{name}_reason') or 'not in the file'}")
    return "; ".join(reasons) or None


def _measurement(row: Row) -> tuple[object, ...]:
    """Equal for two copies of one measurement: scored twice, or of figures that were printed with fewer digits."""
    if row.started and not row.imported:
        known = (*row.launch_id[1:], row.started)
    else:
        known = tuple(f"{row.number(name) or 0.0:.5e}" for name in (X, Y))
    return (row.run_key, row.workload, row.isl, row.osl, row.load, *known)

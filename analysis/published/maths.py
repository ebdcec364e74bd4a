"""Rows -> pages: bands, targets and unrounded cells. Prints nothing and knows no figure: prices come with the GPU."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from analysis.assumptions import Assumptions
from analysis.importers.row import lengths
from harness.front import front, hermite, slopes

Float: TypeAlias = NDArray[np.float64]
Row: TypeAlias = Mapping[str, object]

FRACTIONS = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Cells:
    """One arm at one target, unrounded; what prices would give is None where the GPU has none."""

    tok_s_gpu: float
    usd_per_mtok: float | None
    tok_s_mw: float | None
    concurrency: float


@dataclass(frozen=True, slots=True)
class Target:
    """Both arms at one interactivity.

    Attributes:
        at: whole tok/s/user.
        mtp, off: None when the arm has no rows.
    """

    at: int
    mtp: Cells | None
    off: Cells | None


@dataclass(frozen=True, slots=True)
class Page:
    """One model, GPU, precision and pair of lengths.

    Attributes:
        band: the interactivities that the page prints, tok/s/user.
        assumptions: the constants used.
        engines: all that are pooled here.
        mtp_cloud, off_cloud: the arms' points; None for an arm that has no rows.
    """

    model: str
    gpu: str
    precision: str
    isl: int
    osl: int
    band: tuple[int, int]
    targets: tuple[Target, ...]
    assumptions: Assumptions
    engines: tuple[str, ...]
    mtp_cloud: "Cloud | None" = field(compare=False)
    off_cloud: "Cloud | None" = field(compare=False)

    @property
    def key(self) -> str:
        """`qwen3.5/h100/fp8/1k1k`."""
        return key_of(self.model, self.gpu, self.precision, self.isl, self.osl)

    @property
    def mtp_rows(self) -> int:
        """How many points the MTP arm has."""
        return len(self.mtp_cloud.rows) if self.mtp_cloud else 0

    @property
    def off_rows(self) -> int:
        """How many points the Off arm has."""
        return len(self.off_cloud.rows) if self.off_cloud else 0


def pages_of(
    rows: Iterable[Row],
    assumptions_of: Callable[[str], Assumptions],
    *,
    at: Sequence[float] | None = None,
) -> tuple[Page, ...]:
    """A page for every model, GPU, precision and pair of lengths that valid rows are of, sorted by these.

    `assumptions_of` gives a GPU's price and power by its name. `at` replaces the three targets and is moved into the
    band, as the page does it.
    """
    groups: dict[tuple[str, str, str, int, int], list[Row]] = defaultdict(list)
    for row in rows:
        if not row.get("invalid"):
            groups[_pair(row)].append(row)
    return tuple(_page(key, group, assumptions_of(key[1]), at) for key, group in sorted(groups.items()))


def key_of(model: str, gpu: str, precision: str, isl: int, osl: int) -> str:
    """The name of a pair, for people and for globs."""
    return f"{model}/{gpu}/{precision}/{lengths(isl, osl)}"


@dataclass(frozen=True, slots=True)
class Cloud:
    """One arm's points: columns of equal length; cost and power None without prices."""

    rows: Sequence[Row]
    x: Float
    tok_s_gpu: Float
    usd_per_mtok: Float | None
    tok_s_mw: Float | None
    concurrency: Float

    def at(self, target: float) -> Cells:
        """Every metric splined by itself over the front, held to the front's own range."""
        kept = front(self.x, self.tok_s_gpu)
        place = min(max(target, self.x[kept[0]]), self.x[kept[-1]])

        def of(column: Float) -> float:
            return _splined(self.x[kept], column[kept], place)

        return Cells(
            tok_s_gpu=of(self.tok_s_gpu),
            usd_per_mtok=None if self.usd_per_mtok is None else of(self.usd_per_mtok),
            tok_s_mw=None if self.tok_s_mw is None else of(self.tok_s_mw),
            concurrency=of(self.concurrency),
        )


def _splined(x: Float, y: Float, at: float) -> float:
    """The page's spline at a place inside the knots, held to the knots' range."""
    if len(x) == 1:
        return float(y[0])
    if len(x) == 2:
        # Two knots would ask for a straight line; the page takes a missing inner slope for 0, and the line bends.
        secant = (y[1] - y[0]) / (x[1] - x[0])
        slope = np.array([1.5 * secant, 0.75 * secant])
    else:
        slope = slopes(x, y)
    return float(np.clip(hermite(x, y, slope, np.array([at]))[0], y.min(), y.max()))


def js_round(value: float) -> int:
    """JavaScript's Math.round: halves go up."""
    whole = math.floor(value)
    return whole + (value - whole >= 0.5)


def _page(
    key: tuple[str, str, str, int, int], rows: list[Row], assumptions: Assumptions, at: Sequence[float] | None
) -> Page:
    sides = {arm: [row for row in rows if (row.get("draft_tokens") == 0) == (arm == "off")] for arm in ("mtp", "off")}
    mtp, off = (_cloud(side, assumptions) if side else None for side in sides.values())
    lo, hi = _band([cloud for cloud in (mtp, off) if cloud])
    printed = (math.ceil(lo), math.floor(hi))
    targets = _targets(lo, hi) if at is None else _moved_into(printed, at)
    return Page(
        *key,
        band=printed,
        targets=tuple(Target(t, mtp.at(t) if mtp else None, off.at(t) if off else None) for t in targets),
        assumptions=assumptions,
        engines=tuple(sorted({str(row.get("engine")) for row in rows})),
        mtp_cloud=mtp,
        off_cloud=off,
    )


def _cloud(rows: list[Row], assumptions: Assumptions) -> Cloud:
    def column(name: str) -> Float:
        return np.array([row[name] for row in rows], float)

    def of_throughput(worth: Callable[[float], float | None], known: float | None) -> Float | None:
        return None if known is None else np.array([worth(rate) for rate in throughput.tolist()], float)

    throughput = column("total_tok_s_gpu")
    return Cloud(
        rows=rows,
        x=column("interactivity"),
        tok_s_gpu=throughput,
        usd_per_mtok=of_throughput(assumptions.cost_per_mtok, assumptions.usd_per_gpu_hour),
        tok_s_mw=of_throughput(assumptions.tok_s_mw, assumptions.all_in_kw),
        concurrency=column("concurrency"),
    )


def _band(clouds: list[Cloud]) -> tuple[float, float]:
    """The overlap of all points, front or not; their union where nothing overlaps."""
    lows, highs = [float(c.x.min()) for c in clouds], [float(c.x.max()) for c in clouds]
    lo, hi = max(lows), min(highs)
    return (lo, hi) if lo < hi else (min(lows), max(highs))


def _targets(lo: float, hi: float) -> list[int]:
    return [js_round(lo + fraction * (hi - lo)) for fraction in FRACTIONS] if hi > lo else [js_round(lo)]


def _moved_into(band: tuple[int, int], at: Sequence[float]) -> list[int]:
    return [min(max(js_round(target), band[0]), band[1]) for target in at]


def _pair(row: Row) -> tuple[str, str, str, int, int]:
    model, gpu, precision = (str(row[name]) for name in ("model", "gpu", "precision"))
    isl, osl = row["isl"], row["osl"]
    assert isinstance(isl, int)
    assert isinstance(osl, int)
    return model, gpu, precision, isl, osl

"""Rows -> pages: bands, targets and unrounded cells. Prints nothing and knows no figure: prices come with the GPU."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.front import front, hermite, slopes
from harness.spec import Gpu, Prices
from harness.units import tok_s_mw, usd_per_mtok

Float: TypeAlias = NDArray[np.float64]
Row: TypeAlias = Mapping[str, object]

FRACTIONS = (0.25, 0.5, 0.75)
TIER = "hyperscaler"
JULY_2026 = "2026-07-13"
"""The last day of the constants that the pages were rendered with."""


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
        tier: whose price was used.
        usd_per_gpu_hour, all_in_kw: the constants used; None where there are none.
        engines: all that are pooled here.
        mtp_rows, off_rows: how many points each cloud held.
    """

    model: str
    gpu: str
    precision: str
    isl: int
    osl: int
    band: tuple[int, int]
    targets: tuple[Target, ...]
    tier: str
    usd_per_gpu_hour: float | None
    all_in_kw: float | None
    engines: tuple[str, ...]
    mtp_rows: int
    off_rows: int

    @property
    def key(self) -> str:
        """`qwen3.5-h100-fp8-1024-1024`."""
        return f"{self.model}-{self.gpu}-{self.precision}-{self.isl}-{self.osl}"


def pages_of(
    rows: Iterable[Row],
    gpu_named: Callable[[str], Gpu | None],
    *,
    at: Sequence[float] | None = None,
    day: str = JULY_2026,
    tier: str = TIER,
) -> tuple[Page, ...]:
    """A page for every model, GPU, precision and pair of lengths that valid rows are of, sorted by these.

    `gpu_named` gives a GPU's facts, None for one without. `at` replaces the three targets and is moved into the band,
    as the page does it.
    """
    groups: dict[tuple[str, str, str, int, int], list[Row]] = defaultdict(list)
    for row in rows:
        if not row.get("invalid"):
            groups[_pair(row)].append(row)
    pages = []
    for key, group in sorted(groups.items()):
        gpu = gpu_named(key[1])
        prices = gpu.prices_on(day) if gpu else None
        pages.append(_page(key, group, prices, tier, at))
    return tuple(pages)


@dataclass(frozen=True, slots=True)
class _Cloud:
    """One arm's points: columns of equal length; cost and power None without prices."""

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
    key: tuple[str, str, str, int, int],
    rows: list[Row],
    prices: Prices | None,
    tier: str,
    at: Sequence[float] | None,
) -> Page:
    usd = prices.usd_per_gpu_hour.get(tier) if prices else None
    kw = prices.all_in_kw if prices else None
    sides = {arm: [row for row in rows if (row.get("draft_tokens") == 0) == (arm == "off")] for arm in ("mtp", "off")}
    mtp, off = (_cloud(side, usd, kw) if side else None for side in sides.values())
    lo, hi = _band([cloud for cloud in (mtp, off) if cloud])
    printed = (math.ceil(lo), math.floor(hi))
    targets = _targets(lo, hi) if at is None else _moved_into(printed, at)
    return Page(
        *key,
        band=printed,
        targets=tuple(Target(t, mtp.at(t) if mtp else None, off.at(t) if off else None) for t in targets),
        tier=tier,
        usd_per_gpu_hour=usd,
        all_in_kw=kw,
        engines=tuple(sorted({str(row.get("engine")) for row in rows})),
        mtp_rows=len(sides["mtp"]),
        off_rows=len(sides["off"]),
    )


def _cloud(rows: list[Row], usd: float | None, kw: float | None) -> _Cloud:
    def column(name: str) -> Float:
        return np.array([row[name] for row in rows], float)

    throughput = column("total_tok_s_gpu")
    return _Cloud(
        x=column("interactivity"),
        tok_s_gpu=throughput,
        usd_per_mtok=None if usd is None else np.array([usd_per_mtok(usd, t) for t in throughput.tolist()]),
        tok_s_mw=None if kw is None else np.array([tok_s_mw(t, kw) for t in throughput.tolist()]),
        concurrency=column("concurrency"),
    )


def _band(clouds: list[_Cloud]) -> tuple[float, float]:
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

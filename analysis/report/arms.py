"""One arm of a comparison -> plain data: its curve, how surely it is known, and every point behind it.

The page reads a curve by the splines that Python reads it by, from the same knots at full precision. Intervals come
of 2,000 resampled curves, which are too many to carry; their standard errors are carried instead, exact at the targets,
at the knots and at `GRID` interactivities that stand denser towards the ends, where errors change fastest. In between
the page draws straight lines, at most 3 % off the error: one out of 2,000 draws is itself known to 1.6 %.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from analysis.curve import Curve
from analysis.launch_spread import SERIES
from analysis.pairs import MeasuredLoad, Side
from analysis.report.metrics import columns
from analysis.rows import OUTPUT, Row, Y
from analysis.spread import Error, Spread, level_errors
from harness.metrics import REASONS
from harness.stats import mean_interval

GRID = 97
PLACE_DIGITS = 6
ERROR_DIGITS = 6

Plain = dict[str, object]


def arm(side: Side, spread: Spread, places: Iterable[float]) -> Plain:
    """All that the page says of one arm.

    Args:
        side: the arm.
        spread: its curve.
        places: interactivities at which the error must be exact, tok/s/user.
    """
    curve = spread.curve
    return {
        "label": side.arm.label,
        "key": side.arm.key,
        "launches": side.launches,
        "versions": list(side.versions),
        "days": list(side.days),
        "power_scope": sorted({str(row.cells["power_scope"]) for row in side.rows if row.cells.get("power_scope")}),
        "topologies": [topology.label for topology in side.topologies],
        "place": curve.place.tolist(),
        "log_x": curve.log_x.tolist(),
        "columns": _columns(curve),
        "gpus": [level.topology.gpus for level in curve.knots],
        "units": spread.resampled.worth if spread.resampled_curves else None,
        "grid": _grid(spread, places),
        "points": _points(curve, several=len(side.topologies) > 1),
    }


def number_cells(row: Row) -> dict[str, float]:
    """What a row knows of the page's columns."""
    return {name: value for name in columns() if (value := row.number(name)) is not None}


def why_missing(row: Row) -> dict[str, str]:
    """Column -> why the row has no such number, where it says."""
    reasons = {name: row.cells.get(f"{name}_reason") for name in columns() if row.number(name) is None}
    return {name: REASONS.get(str(reason), str(reason)) for name, reason in reasons.items() if reason}


def _columns(curve: Curve) -> dict[str, list[float]]:
    """Logarithms at the knots of every column that all knots have."""
    logs = {name: values.tolist() for name, values in curve.log_y.items()}
    for name in columns():
        values = [level.mean(name) for level in curve.knots]
        known = [value for value in values if value is not None and value > 0]
        if name not in logs and len(known) == len(values):
            logs[name] = np.log(known).tolist()
    return logs


def _grid(spread: Spread, places: Iterable[float]) -> Mapping[str, Sequence[float | None]] | None:
    """Standard errors of ln throughput and of ln measured power along the curve; None where nothing tells them."""
    if spread.resampled_curves is None:
        return None
    low, high = spread.curve.span
    inside = [place for place in places if low <= place <= high]
    share = (1 - np.cos(np.linspace(0, np.pi, GRID))) / 2
    between = [float(f"{place:.{PLACE_DIGITS}g}") for place in low * (high / low) ** share]
    at = np.unique([*between, low, high, *np.exp(spread.curve.log_x), *inside])
    at = at[(at >= low) & (at <= high)]
    errors = spread.errors(at)
    told = {name: [_log(error) for error in found] for name, found in errors.items()}
    return {"x": at.tolist(), **{name: logs for name, logs in told.items() if name in (Y, OUTPUT) or any(logs)}}


def _log(error: Error | None) -> float | None:
    return None if error is None else float(f"{error.log:.{ERROR_DIGITS}g}")


def _points(curve: Curve, *, several: bool) -> list[Plain]:
    worse = {id(outlier.level): str(outlier) for outlier in curve.outliers}
    knots = {id(level) for level in curve.knots}
    return [
        _point(level, several=several) | {"outlier": worse.get(id(level)), "knot": id(level) in knots}
        for level in curve.levels
    ]


def _point(level: MeasuredLoad, *, several: bool) -> Plain:
    values = {name: level.mean(name) for name in columns()}
    return {
        "label": level.label if several else level.load.label,
        "concurrency": level.concurrency,
        **level.load.fields,
        "topology": level.topology.label,
        "gpus": level.topology.gpus,
        "values": {name: value for name, value in values.items() if value is not None},
        "half": _half_widths(level),
        "launches": [number_cells(row) for row in level.rows] if len(level.rows) > 1 else [],
        "missing": why_missing(level.rows[0]),
        "warnings": list(dict.fromkeys(code for row in level.rows for code in row.warnings)),
        "positions": _positions(level),
    }


def _half_widths(level: MeasuredLoad) -> dict[str, float]:
    """Half of each column's 95 % interval, relative: over launches, or over the blocks of the only one."""
    errors = level_errors(level)
    found = {name: error.half_width for name in SERIES if (error := errors[name]) is not None}
    return found | {name: half for name in columns() if name not in SERIES and (half := _plain_half(level, name))}


def _plain_half(level: MeasuredLoad, name: str) -> float | None:
    """The same for a number that is no series of blocks; None where nothing tells, or where it is not positive."""
    value = level.mean(name)
    if not value or value < 0:
        return None
    if len(level.rows) > 1:
        interval = mean_interval([row.number(name) or 0.0 for row in level.rows])
        return None if interval is None else (interval.hi - interval.lo) / 2 / value
    low, high = (level.rows[0].number(f"{name}_{end}") for end in ("lo", "hi"))
    return None if low is None or high is None else (high - low) / 2 / value


def _positions(level: MeasuredLoad) -> list[float]:
    """Share of the drafts accepted at each position, as far as all launches tell."""
    found: list[float] = []
    while (value := level.mean(f"acceptance_position_{len(found)}")) is not None:
        found.append(value)
    return found

"""Points as text: a grid of a sweep's points, a point's name, a row in one line."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from harness.records import Estimate, PointResult
from harness.spec import Load, Point
from harness.units import number


class Cell(StrEnum):
    """Where a point stands, as short as a column is wide."""

    DONE = "ok"
    WARNED = "ok*"
    INVALID = "BAD"
    RUNNING = "now"
    SAVED = "raw"
    LEFT = "."

    @classmethod
    def of_row(cls, invalid: Sequence[object], warnings: Sequence[object]) -> "Cell":
        """Where a point stands that has a row."""
        return cls.INVALID if invalid else cls.WARNED if warnings else cls.DONE


MEANING = {
    Cell.WARNED: "done, with warnings",
    Cell.INVALID: "invalid",
    Cell.RUNNING: "under way",
    Cell.SAVED: "measured, not scored yet",
    Cell.LEFT: "left",
}


def grid(points: Iterable[tuple[Point, Cell]]) -> Iterator[str]:
    """A line for each launch of each arm, a column for each load, and what the marks mean."""
    marks: dict[str, dict[int, dict[Load, Cell]]] = {}
    arms: dict[str, str] = {}
    loads: set[Load] = set()
    for point, cell in points:
        loads.add(point.load)
        arms[point.run.key] = point.run.mtp.label
        marks.setdefault(point.run.key, {}).setdefault(point.launch, {})[point.load] = cell
    columns = sorted(loads)
    rows = [["", "launch", *(load.label for load in columns)]]
    for key, launches in marks.items():
        for first, (launch, cells) in enumerate(sorted(launches.items())):
            label = "" if first else arms[key]
            rows.append([label, str(launch + 1), *(cells.get(load, "") for load in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield from ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    used = {cell for arm in marks.values() for launch in arm.values() for cell in launch.values()}
    legend = "; ".join(f"{cell} {meaning}" for cell, meaning in MEANING.items() if cell in used)
    yield from filter(None, [legend])


def name_of(point: Point) -> str:
    """`mtp3-al3.39 c8 launch 2`."""
    return f"{point.run.mtp.label} {point.load.label} launch {point.launch + 1}"


def summary(result: PointResult) -> str:
    """The row in one line: speed for the user, throughput, acceptance, power, and what is wrong."""
    figures = [
        _figure(result.estimates.get("interactivity"), "tok/s/user"),
        _figure(result.estimates.get("output_tok_s_gpu"), "output tok/s/GPU"),
    ]
    acceptance = result.estimates.get("acceptance_length")
    if acceptance is not None and acceptance.value is not None:
        figures.append(f"acceptance {acceptance.value:.2f}")
    figures += _power(result)
    figures += [f"({stamp})" for stamp in result.stamps]
    figures += [f"INVALID {code}" for code in result.invalid]
    figures += [f"warning {code}" for code in result.warnings]
    return "  ".join(figures)


def _power(result: PointResult) -> Iterator[str]:
    """What the GPUs drew, where they were read."""
    for name, unit in (("power_w_gpu", "W/GPU"), ("energy_j_per_tok_output", "J/output token")):
        estimate = result.estimates.get(name)
        if estimate is not None and estimate.value is not None:
            yield f"{number(estimate.value)} {unit}"


def _figure(estimate: Estimate | None, unit: str) -> str:
    if estimate is None or estimate.value is None:
        return f"no {unit}"
    if estimate.lo is None or estimate.hi is None:
        return f"{estimate.value:.1f} {unit}"
    return f"{estimate.value:.1f} ± {(estimate.hi - estimate.lo) / 2:.1f} {unit}"

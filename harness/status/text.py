"""A Status as one screen of text."""

from collections.abc import Iterator
from datetime import UTC, datetime

from harness.checks import CHECKS
from harness.progress.grid import Cell, grid, name_of
from harness.status.read import PointStatus, Status
from harness.units import duration

MOST_REASONS = 8
"""Lines of what went wrong; all of it stands in points.jsonl."""


def render(status: Status) -> str:
    """The whole screen; no line break at the end."""
    blocks = (_head(status), grid((each.point, each.cell) for each in status.points), _servers(status), _wrong(status))
    return "\n\n".join("\n".join(block) for block in map(list, blocks) if block)


def _head(status: Status) -> Iterator[str]:
    sweep = status.sweep
    counts = {
        "done": len(status.having(Cell.DONE, Cell.WARNED)),
        "invalid": len(status.having(Cell.INVALID)),
        "running": len(status.having(Cell.RUNNING)),
        "not scored yet": len(status.having(Cell.SAVED)),
        "left": len(status.having(Cell.LEFT)),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    yield f"{sweep.name}: {sweep.model.label} on {sweep.gpu.label}, {sweep.engine.name}"
    yield f"{len(status.points)} points: {said}"
    left = time_left(status)
    yield from filter(None, [left if status.servers or not left else f"{left}; nothing is running now"])


def time_left(status: Status) -> str:
    """How long the rest will take, as a person says it; empty when nothing is left."""
    low, high = status.left_s.low, status.left_s.high
    if not status.having(Cell.RUNNING, Cell.LEFT):
        return ""
    if low is None or high is None:
        return f"time left unknown: {status.left_s.reason}"
    said = duration(low) if duration(low) == duration(high) else f"{duration(low)} to {duration(high)}"
    return f"about {said} left"


def _servers(status: Status) -> Iterator[str]:
    for server in status.servers:
        now = server.now
        doing = f"measuring {now.point}" if now.point else "starting"
        since = duration(max(0.0, now.for_s(datetime.now(UTC))))
        yield f"{server.run.mtp.label} launch {now.launch + 1}: {doing} for {since}, on {now.host} (process {now.pid})"


def _wrong(status: Status) -> Iterator[str]:
    """Invalid points with what that means, then warnings, each code once with the points that have it."""
    for title, states, of in (
        ("invalid", (Cell.INVALID,), "invalid"),
        ("warning", (Cell.INVALID, Cell.WARNED), "warnings"),
    ):
        found: dict[str, list[PointStatus]] = {}
        for each in status.having(*states):
            for code in getattr(each, of):
                found.setdefault(code, []).append(each)
        for code, points in list(found.items())[:MOST_REASONS]:
            meaning = CHECKS[code].meaning if code in CHECKS else "see points.jsonl."
            yield f"{title} {code}: {_names(points)}"
            yield f"  {meaning}"


def _names(points: list[PointStatus], most: int = 3) -> str:
    more = f" and {len(points) - most} more" if len(points) > most else ""
    return ", ".join(name_of(each.point) for each in points[:most]) + more

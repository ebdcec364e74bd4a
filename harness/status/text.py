"""A Status as one screen of text."""

from collections.abc import Iterator
from datetime import UTC, datetime

from harness.checks import CHECKS
from harness.progress import name_of
from harness.status.read import PointStatus, State, Status, by_launch
from harness.units import duration

CELL = {
    State.DONE: "ok",
    State.WARNED: "ok*",
    State.INVALID: "BAD",
    State.RUNNING: "now",
    State.SAVED: "raw",
    State.LEFT: ".",
}
MOST_REASONS = 8
"""Lines of what went wrong; all of it stands in points.jsonl."""


def render(status: Status) -> str:
    """The whole screen; no line break at the end."""
    blocks = (_head(status), _grid(status), _servers(status), _wrong(status))
    return "\n\n".join("\n".join(block) for block in map(list, blocks) if block)


def _head(status: Status) -> Iterator[str]:
    sweep = status.sweep
    counts = {
        "done": len(status.having(State.DONE, State.WARNED)),
        "invalid": len(status.having(State.INVALID)),
        "running": len(status.having(State.RUNNING)),
        "not scored yet": len(status.having(State.SAVED)),
        "left": len(status.having(State.LEFT)),
    }
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    yield f"{sweep.name}: {sweep.model.label} on {sweep.gpu.label}, {sweep.engine.name}"
    yield f"{len(status.points)} points: {said}"
    yield from _left(status)


def _left(status: Status) -> Iterator[str]:
    low, high = status.left_s.low, status.left_s.high
    if not status.having(State.RUNNING, State.LEFT):
        return
    if low is None or high is None:
        yield f"time left: unknown, {status.left_s.reason}"
        return
    span = duration(low) if duration(low) == duration(high) else f"{duration(low)} to {duration(high)}"
    yield f"time left: about {span}" + ("" if status.servers else ", once it is started again: nothing is running")


def _grid(status: Status) -> Iterator[str]:
    """A line for each launch of each arm, a column for each concurrency."""
    columns = sorted({each.point.concurrency for each in status.points})
    rows = [["", "launch", *(f"c{concurrency}" for concurrency in columns)]]
    arm = ""
    for run, launch, points in by_launch(status):
        cells = {each.point.concurrency: CELL[each.state] for each in points}
        label = run.mtp.label if run.key != arm else ""
        rows.append([label, str(launch + 1), *(cells.get(concurrency, "") for concurrency in columns)])
        arm = run.key
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    yield from ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
    used = {each.state for each in status.points}
    legend = "; ".join(f"{cell} {state.value}" for state, cell in CELL.items() if state in used - {State.DONE})
    yield from filter(None, [legend])


def _servers(status: Status) -> Iterator[str]:
    for server in status.servers:
        now = server.now
        doing = f"measuring {now.point}" if now.point else "starting"
        since = duration(max(0.0, now.for_s(datetime.now(UTC))))
        yield f"{server.run.mtp.label} launch {now.launch + 1}: {doing} for {since}, on {now.host} (process {now.pid})"


def _wrong(status: Status) -> Iterator[str]:
    """Invalid points with what that means, then warnings, each code once with the points that have it."""
    for title, states, of in (
        ("invalid", (State.INVALID,), "invalid"),
        ("warning", (State.INVALID, State.WARNED), "warnings"),
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

"""What a look at the machine found, one line a thing: how it stands, what is there, what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from harness.arrivals import most_in_flight
from harness.spec import Run, Sweep


class State(StrEnum):
    """How a thing stands, best first."""

    GOOD = "good"
    NOTE = "note"  # a figure or a verb is not to be had; nothing is worse for it
    WARNING = "warning"  # a run comes to its end, but slower, noisier or with a number less than it could
    BLOCKS = "blocks"  # a run can't start, or its numbers can't be believed


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        area: what it belongs to; the areas are the headings of the table.
        what: its name in a word or two.
        says: what is there, or what is wrong with it.
        remedy: what to do; None where there is nothing to do.
    """

    area: str
    what: str
    state: State
    says: str
    remedy: str | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found.

    Attributes:
        sweep: what it was looked at for; None for the machine alone.
    """

    mtpbench: str
    node: str
    sweep: str | None
    findings: tuple[Finding, ...]

    def having(self, state: State) -> tuple[Finding, ...]:
        """The findings in one state."""
        return tuple(finding for finding in self.findings if finding.state is state)

    def json(self) -> str:
        """The whole report, one finding an object."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What is looked at, and for what.

    Attributes:
        sweep: what is to be measured; None asks about the machine alone.
        folder: where results will be written.
        online: whether the model hub may be asked.
        client: whether the load generator's ceiling is measured.
        sensor_s: how long the sensors of GPUs are read: twenty publications of one that publishes every 100 ms.
        root: where /proc, /sys and /dev are found; another folder in tests.
    """

    sweep: Sweep | None = None
    folder: Path = Path("results")
    online: bool = False
    client: bool = False
    sensor_s: float = 2.0
    root: Path = Path("/")

    @property
    def runs(self) -> Sequence[Run]:
        """The sweep's Runs that need a server of ours."""
        runs = self.sweep.all_runs() if self.sweep is not None else ()
        return [run for run in runs if run.engine.endpoint is None]

    @property
    def most_users(self) -> int | None:
        """The sweep's highest concurrency; in open loop, what may be in flight before a point is given up."""
        if self.sweep is None:
            return None
        return max(self.sweep.concurrencies, default=0) or max(map(most_in_flight, self.sweep.all_runs()))

    def text(self, path: str) -> str | None:
        """What a file below `root` says, without blanks around it; None where it is not there or may not be read."""
        try:
            return (self.root / path).read_text().strip()
        except OSError:
            return None


def good(area: str, what: str, says: str) -> Finding:
    """Nothing to do."""
    return Finding(area=area, what=what, state=State.GOOD, says=says)


def note(area: str, what: str, says: str, remedy: str | None = None) -> Finding:
    """Something is not here, and may not be needed."""
    return Finding(area=area, what=what, state=State.NOTE, says=says, remedy=remedy)


def warning(area: str, what: str, says: str, remedy: str) -> Finding:
    """A run would be worse for it."""
    return Finding(area=area, what=what, state=State.WARNING, says=says, remedy=remedy)


def blocks(area: str, what: str, says: str, remedy: str) -> Finding:
    """A run would fail for it."""
    return Finding(area=area, what=what, state=State.BLOCKS, says=says, remedy=remedy)

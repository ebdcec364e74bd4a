"""What a point is judged by, gathered before any verdict looks at it."""

from dataclasses import dataclass

from harness.metrics import Score
from harness.power.point_power import PointPower
from harness.records import ClientHealth, Configuration, NoWindow, Window
from harness.spec import Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a point is judged by.

    Attributes:
        configuration: what the server reported of itself; None where it can't be asked.
        prompt_hash, expected_prompt_hash: of this point's prompt stream, and of the sweep's other points; None where
            there is no other yet.
        aborted: why the load was given up: `server_died`, `failed_requests`, `overloaded`.
        health: how the load's own process kept up; None where it was not watched.
        power: what the GPUs drew; None where nothing was to measure it.
        answers_differ: how far MTP's answers are from Off's, where they are further than chance explains, or a task's
            score, where it lies below its floor.
        answers_unknown: why a task has no score, or MTP's answers can't be set beside Off's.
    """

    point: Point
    score: Score
    window: Window | NoWindow
    configuration: Configuration | None = None
    prompt_hash: object = None
    expected_prompt_hash: object = None
    aborted: str | None = None
    demo: bool = False
    health: ClientHealth | None = None
    power: PointPower | None = None
    answers_differ: str | None = None
    answers_unknown: str | None = None

    def value(self, name: str) -> float | None:
        """A metric's headline value."""
        return self.score.estimates[name].value

    def p99(self, name: str) -> float | None:
        """A distribution's 99th percentile; None where it could not be had."""
        estimate = self.score.estimates.get(name)
        return None if estimate is None else estimate.p99

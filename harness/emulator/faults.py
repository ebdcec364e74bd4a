"""Ways to misbehave on demand, one word each; what a fault does stands in `FAULTS` and nowhere else.

A fault is asked for as `NAME`, `NAME=VALUE`, `NAME@SECONDS` or `NAME=VALUE@SECONDS`: it begins that many seconds
after the first completion request, at once when no time is given. What a server is (its name, what it reports of
itself, how it drafts) it is from its start.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from harness.errors import UserError

FAULTS: Final[dict[str, tuple[float, str]]] = {
    "fail_start": (1, "the process ends with status VALUE before it listens"),
    "slow_start": (5, "the process listens only after VALUE seconds"),
    "stranger": (1, "the model is served under another name than asked"),
    "other_config": (2, "the server reports tensor parallelism VALUE and another precision than asked"),
    "other_version": (1, "the server reports another version than its own"),
    "other_tokens": (1, "/tokenize gives other ids than an honest server's"),
    "no_metrics": (1, "/metrics shows none of the engine's counters"),
    "die": (1, "the process ends at once with status VALUE"),
    "hang": (1, "no stream gets another byte; everything else still answers"),
    "refuse": (503, "completions are answered with HTTP status VALUE"),
    "refuse_connections": (1, "the port stops listening and open connections are cut"),
    "drop_connections": (0.05, "VALUE of the requests lose their connection half way"),
    "stream_errors": (0.05, "VALUE of the requests end half way in an error event"),
    "no_usage": (1, "no chunk reports usage"),
    "wrong_usage": (1, "the final usage reports VALUE completion tokens too many"),
    "wrong_prompt_tokens": (1, "usage reports VALUE prompt tokens too many"),
    "short_output": (1, "streams end VALUE tokens early, finish reason `stop`"),
    "early_eos": (4, "output token VALUE, from 0, is EOS: the text ends there, or goes on under `ignore_eos`"),
    "stop_drafting": (1, "the server says that MTP is on and drafts nothing"),
    "draft_in_off": (1, "an Off server drafts VALUE tokens a step"),
    "skip_drafts": (0.3, "an MTP server drafts nothing in VALUE of its steps"),
    "accept": (1.2, "drafts are accepted as if VALUE tokens a step had been asked for"),
    "lossy": (0.5, "VALUE of an MTP server's answers go another way after a quarter of their length"),
    "serve_others": (0.3, "the counters hold VALUE more tokens than were sent, as if others were served too"),
    "cache_prompts": (0.95, "VALUE of the prompt tokens count as hits in a prefix cache that can't be emptied"),
    "slow_down": (0.02, "steps take VALUE of their time longer with every second"),
    "oscillate": (0.5, "step times swing by VALUE of themselves, over 20 seconds"),
}
"""Name -> (default VALUE, what the server does). A small KV pool is no fault: it is the argument `--kv-tokens`."""

OSCILLATION_S: Final = 20.0

_WRITTEN = re.compile(r"(?P<name>\w+)(?:=(?P<value>[^@]+))?(?:@(?P<after>.+))?")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its VALUE, and when it begins."""

    name: str
    value: float
    after_s: float = 0.0


def parse(text: str) -> Fault:
    """A fault as it is written on a command line.

    Raises:
        UserError: there is none of that name, or a number is none.
    """
    match = _WRITTEN.fullmatch(text)
    if match is None or match["name"] not in FAULTS:
        raise UserError(f"fault '{text}' is not known; there are {', '.join(FAULTS)}, each NAME[=VALUE][@SECONDS]")
    value, after_s = match["value"] or FAULTS[match["name"]][0], match["after"] or 0.0
    try:
        return Fault(match["name"], float(value), float(after_s))
    except ValueError:
        raise UserError(
            f"fault '{text}': {value} and {after_s} must be numbers, as in drop_connections=0.1@5"
        ) from None


class Faults:
    """The faults of one server, and whether each has begun.

    Args:
        faults: all that were asked for.
        clock: seconds, going forward.
    """

    def __init__(self, faults: Iterable[Fault], clock: Callable[[], float]) -> None:
        self._faults = {fault.name: fault for fault in faults}
        self._clock = clock
        self._begun_s: float | None = None

    def begin(self) -> bool:
        """A completion request has come; True for the first."""
        first = self._begun_s is None
        if first:
            self._begun_s = self._clock()
        return first

    def configured(self, name: str) -> Fault | None:
        """The fault, whether or not it has begun."""
        return self._faults.get(name)

    def value(self, name: str) -> float | None:
        """VALUE of a fault that has begun; None otherwise."""
        fault = self._faults.get(name)
        return fault.value if fault is not None and self._since_s(fault) >= 0 else None

    def int_value(self, name: str) -> int | None:
        """VALUE of a fault that has begun, as a whole number; None otherwise."""
        value = self.value(name)
        return None if value is None else int(value)

    def slowness(self, _t_s: float) -> float:
        """Factor on the time of a step that starts now: `slow_down` and `oscillate`."""
        factor = 1.0
        if (drift := self.configured("slow_down")) is not None:
            factor += drift.value * max(0.0, self._since_s(drift))
        if (swing := self.configured("oscillate")) is not None and self._since_s(swing) >= 0:
            factor *= 1 + swing.value * math.sin(2 * math.pi * self._since_s(swing) / OSCILLATION_S)
        return factor

    def _since_s(self, fault: Fault) -> float:
        """Seconds since a fault began, negative before it does."""
        if self._begun_s is None:
            return -math.inf if fault.after_s else 0.0
        return self._clock() - self._begun_s - fault.after_s

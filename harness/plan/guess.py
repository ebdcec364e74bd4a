"""How long and how much, before anything has run: guesses between two ends, or none with the reason.

Where a profile was fitted to measurements of this very system, its error makes the ends; elsewhere they are a roofline
at two shares of the GPU's peak. Nothing here is a measurement, and no row ever carries it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harness.config import load_file
from harness.emulator.expected import Load, expected
from harness.emulator.profile import Profile
from harness.emulator.roofline import SHARE_OF_PEAK, fitted_file, roofline, why_unknown
from harness.load.steady import FEWEST_BLOCKS, GAPS_A_BLOCK
from harness.spec import Point, Run, Sweep
from harness.units import number

STEP_OVERHEAD_S = (0.0005, 0.010)
"""Scheduling, sampling and kernel launches of one step."""

IMPORTS_S = (15.0, 90.0)
"""From start to reading weights: Python imports, workers, device set-up."""

LOAD_GB_S = (8.0, 0.5)
"""Weights from disk, all GPUs of a server together: local NVMe, a busy shared file system."""

CAPTURE_S = (10.0, 240.0)
"""Compilation and graph capture, where there are graphs."""

REQUESTS_AROUND = (2, 4)
"""Request times before the Window (transient, then a whole request in every slot) and after it."""


@dataclass(frozen=True, slots=True)
class Guess:
    """Somewhere between two ends.

    Attributes:
        low, high: the ends; None when nothing can be said.
        reason: why nothing can be said.
    """

    low: float | None
    high: float | None
    reason: str | None = None

    def __add__(self, other: "Guess") -> "Guess":
        return self.with_(other, lambda one, another: one + another)

    def __mul__(self, factor: float) -> "Guess":
        return self.with_(Guess(factor, factor), lambda one, another: one * another)

    def at_least(self, limit: float) -> "Guess":
        """Neither end below `limit`."""
        return self.with_(Guess(limit, limit), max)

    def at_most(self, limit: float) -> "Guess":
        """Neither end above `limit`."""
        return self.with_(Guess(limit, limit), min)

    def with_(self, other: "Guess", each: Callable[[float, float], float]) -> "Guess":
        """End with end; unknown, for the first reason, when either is."""
        if self.low is None or self.high is None:
            return self
        if other.low is None or other.high is None:
            return other
        return Guess(each(self.low, other.low), each(self.high, other.high))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a number of users may see.

    Attributes:
        request_s: from send to last token.
        interactivity: tok/s of one user.
        total_tok_s_gpu: of all users, prompts included, a GPU.
    """

    request_s: Guess
    interactivity: Guess
    total_tok_s_gpu: Guess


def unknown(reason: str) -> Guess:
    """No guess, and why."""
    return Guess(None, None, reason)


def total(guesses: Iterable[Guess]) -> Guess:
    """Sum of guesses; unknown when any is unknown."""
    return sum(guesses, start=Guess(0.0, 0.0))


def ready_s(run: Run) -> Guess:
    """From start to the first answer, seconds: never beyond the model's own limit, where the start is given up."""
    if run.engine.endpoint is not None:
        return Guess(0.0, 0.0)
    return (Guess(*IMPORTS_S) + _load_s(run) + _capture_s(run)).at_most(run.model.ready_limit_s)


def expected_of(run: Run, sweep: Sweep, users: int) -> Outlook:
    """A Run's server with `users` in flight: a fitted profile within its error, or a roofline within its band."""
    ends = _ends(run)
    if isinstance(ends, str):
        return Outlook(unknown(ends), unknown(ends), unknown(ends))
    fast, slow = ends
    few, many = acceptance_lengths(run)
    isl, osl = sweep.workload.isl, sweep.workload.osl
    load = Load(users=users, isl=isl, osl=osl, draft_tokens=run.mtp.draft_tokens, acceptance_length=many)
    best, worst = expected(fast, load), expected(slow, replace(load, acceptance_length=few))
    gpus = run.parallel.gpus
    return Outlook(
        request_s=Guess(best.request_s, worst.request_s),
        interactivity=Guess(worst.interactivity, best.interactivity),
        total_tok_s_gpu=Guess(worst.total_tok_s / gpus, best.total_tok_s / gpus),
    )


def fitted_profile(run: Run) -> Profile | None:
    """The profile that was fitted to measurements of a Run's system; None when there is none."""
    file = fitted_file(run)
    return None if file is None else load_file(file, Profile)


def _ends(run: Run) -> tuple[Profile, Profile] | str:
    """The fastest and the slowest profile that are expected, or why there is none."""
    fitted = fitted_profile(run)
    if fitted:
        fast, slow = fitted.band
        return fitted.scaled(fast), fitted.scaled(slow)
    missing = why_unknown(run)
    if missing:
        return missing
    (slow_share, fast_share), (least_s, most_s) = SHARE_OF_PEAK, STEP_OVERHEAD_S
    return roofline(run, fast_share, overhead_s=least_s), roofline(run, slow_share, overhead_s=most_s)


def outlook_of(point: Point, sweep: Sweep) -> Outlook:
    """What the users of a point may see."""
    if point.concurrency is None:
        assert point.rate is not None
        return _expected_at(point.run, sweep, point.rate)
    return expected_of(point.run, sweep, point.concurrency)


def _expected_at(run: Run, sweep: Sweep, rate: float) -> Outlook:
    """A Run's server at so many requests a second: as with the users who would send as many in closed loop."""
    most = expected_of(run, sweep, run.settings.max_running_requests)
    if most.request_s.low is None or most.request_s.high is None:
        return most
    sustained = [run.settings.max_running_requests / end for end in (most.request_s.high, most.request_s.low)]
    if rate > sustained[0]:
        reason = f"{rate:g} requests/s may be more than the server answers: {_ends_of(sustained)} at most"
        return Outlook(unknown(reason), unknown(reason), unknown(reason))
    few, many = (expected_of(run, sweep, _users_at(run, sweep, rate, end)) for end in ("low", "high"))
    tokens = rate * (sweep.workload.isl + sweep.workload.osl) / run.parallel.gpus
    return Outlook(
        request_s=Guess(few.request_s.low, many.request_s.high),
        interactivity=Guess(many.interactivity.low, few.interactivity.high),
        total_tok_s_gpu=Guess(tokens, tokens),
    )


def _users_at(run: Run, sweep: Sweep, rate: float, end: Literal["low", "high"]) -> int:
    """The fewest users whose requests, each as long as that end of the guess, come to a rate."""
    none, enough = 0, run.settings.max_running_requests
    while enough - none > 1:
        middle = (none + enough) // 2
        request_s = getattr(expected_of(run, sweep, middle).request_s, end)
        none, enough = (none, middle) if middle >= rate * request_s else (middle, enough)
    return enough


def _ends_of(values: Sequence[float]) -> str:
    low, high = (number(value) for value in values)
    return low if low == high else f"{low} to {high}"


def point_s(request: Guess, sweep: Sweep, rate: float | None = None) -> Guess:
    """One point from its first request to its last, seconds; in open loop at `rate` requests a second."""
    shortest_s = max(sweep.window.min_s, FEWEST_BLOCKS * GAPS_A_BLOCK / rate if rate is not None else 0.0)
    window = (request * FEWEST_BLOCKS).at_least(shortest_s).at_most(sweep.window.max_s)
    if sweep.target_half_width_pct is not None:  # goes on until it is precise enough, or to the cap
        window = window.with_(Guess(0.0, sweep.window.max_s), max)
    return window + request.with_(Guess(*REQUESTS_AROUND), lambda one, requests: one * requests)


def acceptance_lengths(run: Run) -> tuple[float, float]:
    """Tokens a step, at least and at most: forced, or golden, or anything from none to all."""
    mtp, golden = run.mtp, run.model.golden
    known = mtp.forced_acceptance_length or (golden.by_draft_tokens.get(mtp.draft_tokens) if golden else None)
    return (known, known) if known else (1.0, 1.0 + mtp.draft_tokens)


def _load_s(run: Run) -> Guess:
    if run.model.load_format == "dummy":
        return Guess(0.0, 0.0)
    weights_gb = run.model.weight_gb.get(run.precision)
    if weights_gb is None:
        return Guess(0.0, run.model.ready_limit_s)
    fast, slow = LOAD_GB_S
    return Guess(weights_gb / fast, weights_gb / slow)


def _capture_s(run: Run) -> Guess:
    return Guess(0.0, 0.0) if run.settings.max_graph_requests is None else Guess(*CAPTURE_S)

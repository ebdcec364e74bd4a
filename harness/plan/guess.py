"""How long and how much, before anything has run: guesses between two ends, or none with the reason.

Arithmetic on the facts of a model and a GPU, and on nothing else. The ends are a roofline at two shares of the GPU's
peak; nothing here is a measurement, and no row ever carries it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.spec import Model, Mtp, Run, Sweep

SHARE_OF_PEAK = (0.25, 0.75)
"""Of bandwidth and arithmetic: where serving engines lie."""

STEP_OVERHEAD_S = (0.0005, 0.010)
"""Scheduling, sampling and kernel launches of one step."""

IMPORTS_S = (15.0, 90.0)
"""From start to reading weights: Python imports, workers, device set-up."""

LOAD_GB_S = (8.0, 0.5)
"""Weights from disk, all GPUs of a server together: local NVMe, a busy shared file system."""

CAPTURE_S = (10.0, 240.0)
"""Compilation and graph capture, where there are graphs."""

REQUESTS_A_WINDOW = 10
"""A Window is at least so many request times long."""

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


def unknown(reason: str) -> Guess:
    """No guess, and why."""
    return Guess(None, None, reason)


def total(guesses: Iterable[Guess]) -> Guess:
    """All together; unknown when one is."""
    return sum(guesses, start=Guess(0.0, 0.0))


def ready_s(run: Run) -> Guess:
    """From start to the first answer, seconds: never beyond the model's own limit, where the start is given up."""
    if run.engine.endpoint is not None:
        return Guess(0.0, 0.0)
    return (Guess(*IMPORTS_S) + _load_s(run) + _capture_s(run)).at_most(run.model.ready_limit_s)


def request_s(run: Run, sweep: Sweep, users: int) -> Guess:
    """A request from send to last token with `users` in flight, seconds.

    Its steps, each reading the weights and everyone's KV cache and computing everyone's positions, and the prefills
    of all users, which take turns with them.
    """
    model, gpu, lengths = run.model, run.gpu, sweep.workload
    weights_gb, tflops = model.weight_gb.get(run.precision), gpu.dense_tflops.get(run.precision)
    missing = {
        f"{model.name} has no weight_gb.{run.precision}": weights_gb,
        f"{gpu.name} has no dense_tflops.{run.precision}": tflops,
        f"{gpu.name} has no bandwidth_tb_s": gpu.bandwidth_tb_s,
        f"{model.name} has no kv_bytes_per_token": model.kv_bytes_per_token,
    }
    for reason, fact in missing.items():
        if fact is None:
            return unknown(reason)
    assert weights_gb and tflops and gpu.bandwidth_tb_s and model.kv_bytes_per_token
    positions = users * (1 + run.mtp.draft_tokens)
    kv_gb = users * (lengths.isl + lengths.osl / 2) * model.kv_bytes_per_token / 1e9
    read_s = (weights_gb * _share_touched(model, positions) + kv_gb) / (1e3 * gpu.bandwidth_tb_s * run.parallel.gpus)
    position_s = 2e-3 * model.active_b / (tflops * run.parallel.gpus)
    slow, fast = SHARE_OF_PEAK
    step_s = Guess(max(read_s, positions * position_s) / fast, (read_s + positions * position_s) / slow)
    prefill_s = Guess(users * lengths.isl * position_s / fast, users * lengths.isl * position_s / slow)
    few, many = (lengths.osl / length for length in reversed(acceptance_lengths(run.mtp)))
    return (step_s + Guess(*STEP_OVERHEAD_S)).with_(Guess(few, many), lambda one, steps: one * steps) + prefill_s


def point_s(request: Guess, sweep: Sweep) -> Guess:
    """One point from its first request to its last, seconds."""
    window = (request * REQUESTS_A_WINDOW).at_least(sweep.window.min_s).at_most(sweep.window.max_s)
    if sweep.target_half_width_pct is not None:  # goes on until it is precise enough, or to the cap
        window = window.with_(Guess(0.0, sweep.window.max_s), max)
    return window + request.with_(Guess(*REQUESTS_AROUND), lambda one, requests: one * requests)


def acceptance_lengths(mtp: Mtp) -> tuple[float, float]:
    """Tokens a step, at least and at most; natural acceptance can be anything from none to all."""
    if mtp.forced_acceptance_length is not None:
        return mtp.forced_acceptance_length, mtp.forced_acceptance_length
    return 1.0, 1.0 + mtp.draft_tokens


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


def _share_touched(model: Model, positions: int) -> float:
    """Share of the weights that a step reads: each position of a MoE model picks experts of its own."""
    return min(1.0, positions * model.active_b / model.parameters_b) if model.moe else 1.0

"""What a user waits for, of the requests whose last token falls in the Window."""

import numpy as np

from harness.metrics.scene import Scene, mapped, missing
from harness.records import Estimate
from harness.stats import Floats


def ttft_s(scene: Scene) -> Estimate:
    """Request written to the socket to first token."""
    return scene.distribution(scene.reduced.cohort.ttft_s)


def tpot_s(scene: Scene) -> Estimate:
    """Time per output token after the first chunk, by request."""
    return scene.distribution(scene.reduced.cohort.tpot_s)


def interactivity(scene: Scene) -> Estimate:
    """Tokens a second that one user sees once text flows; p10 is the slow tail."""
    return scene.distribution(1 / scene.reduced.cohort.tpot_s)


def itl_s(scene: Scene) -> Estimate:
    """Each token's share of the gap before its chunk."""
    return scene.gaps(scene.reduced.itl_s)


def chunk_gap_s(scene: Scene) -> Estimate:
    """Gap before a chunk, whatever it holds."""
    return scene.gaps(scene.reduced.chunk_gap_s)


def e2e_s(scene: Scene) -> Estimate:
    """Request written to the socket to last token."""
    return scene.distribution(scene.reduced.cohort.e2e_s)


def user_tok_s_e2e(scene: Scene) -> Estimate:
    """Output tokens of a request over its whole life, waiting for the first one included."""
    cohort = scene.reduced.cohort
    return scene.distribution(_positive(cohort.tokens, cohort.e2e_s))


def send_late_s(scene: Scene) -> Estimate:
    """How late the client sent a request that was due: the part of a wait that no server is to blame for."""
    return scene.distribution(scene.reduced.cohort.late_s)


def ttft_due_s(scene: Scene) -> Estimate:
    """First token from when the request was due: what a user waits who comes when he comes.

    Equal to `ttft_s` for a client that sends on time; one that holds requests back while the server stalls would
    leave the stall out of `ttft_s` (coordinated omission: Tene, How NOT to Measure Latency, 2013).
    """
    cohort = scene.reduced.cohort
    return scene.distribution(cohort.ttft_s + cohort.late_s)


def e2e_due_s(scene: Scene) -> Estimate:
    """Last token from when the request was due."""
    cohort = scene.reduced.cohort
    return scene.distribution(cohort.e2e_s + cohort.late_s)


def queue_s(scene: Scene) -> Estimate:
    """Mean time that requests waited in the server before their first step, by the server's count."""
    waited = scene.counters.difference("queue_s")
    requests = scene.counters.difference("queued_requests")
    if isinstance(waited, str) or isinstance(requests, str):
        return missing(waited if isinstance(waited, str) else str(requests))
    return scene.ratio(waited, requests, lambda mean: mean)


def goodput_req_s(scene: Scene) -> Estimate:
    """Requests a second that kept every limit of the workload; a wait for the first token begins when it is due."""
    workload, cohort = scene.point.workload, scene.reduced.cohort
    if workload.ttft_limit_s is None and workload.tpot_limit_s is None:
        return missing("no_limits")
    kept = np.ones(len(cohort), np.bool_)
    if workload.ttft_limit_s is not None:
        late_s = np.where(np.isfinite(cohort.late_s), cohort.late_s, 0.0)
        kept &= cohort.ttft_s + late_s <= workload.ttft_limit_s
    if workload.tpot_limit_s is not None:
        # A request of one chunk has no time between tokens to be late with.
        kept &= ~(cohort.tpot_s > workload.tpot_limit_s)
    return scene.rate(scene.by_block(kept.astype(np.float64)))


def inferencex_tpot_s(scene: Scene) -> Estimate:
    """InferenceX's TPOT: over tokens - 1, of the whole run."""
    tpot = scene.reduced.run.tpot_s
    known = tpot[np.isfinite(tpot)]
    return Estimate(value=float(np.median(known))) if len(known) else missing("no_requests")


def inferencex_interactivity(scene: Scene) -> Estimate:
    """1 / InferenceX's median TPOT."""
    return mapped(inferencex_tpot_s(scene), lambda tpot: 1 / tpot)


def _positive(numerator: Floats, denominator: Floats) -> Floats:
    whole = np.full(len(numerator), np.nan)
    quotient: Floats = np.divide(numerator, denominator, out=whole, where=denominator > 0)
    return quotient

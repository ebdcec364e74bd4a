"""What a user waits for, of the requests whose last token falls in the Window."""

import numpy as np

from harness.metrics.point_data import PointData, mapped, missing
from harness.metrics.requests import quotient
from harness.records import Estimate


def ttft_s(data: PointData) -> Estimate:
    """Request written to the socket to first token."""
    return data.distribution(data.reduced.cohort.ttft_s)


def tpot_s(data: PointData) -> Estimate:
    """Time per output token after the first chunk, by request."""
    return data.distribution(data.reduced.cohort.tpot_s)


def interactivity(data: PointData) -> Estimate:
    """Tokens a second that one user sees once text flows; p10 is the slow tail."""
    return data.distribution(1 / data.reduced.cohort.tpot_s)


def itl_s(data: PointData) -> Estimate:
    """Each token's share of the gap before its chunk."""
    return data.gaps(data.reduced.itl_s)


def chunk_gap_s(data: PointData) -> Estimate:
    """Gap before a chunk, whatever it holds."""
    return data.gaps(data.reduced.chunk_gap_s)


def e2e_s(data: PointData) -> Estimate:
    """Request written to the socket to last token."""
    return data.distribution(data.reduced.cohort.e2e_s)


def user_tok_s_e2e(data: PointData) -> Estimate:
    """Output tokens of a request over its whole life, waiting for the first one included."""
    cohort = data.reduced.cohort
    return data.distribution(quotient(cohort.tokens, cohort.e2e_s))


def send_late_s(data: PointData) -> Estimate:
    """How late the client sent a request that was due: the part of a wait that no server is to blame for."""
    return data.distribution(data.reduced.cohort.late_s)


def ttft_due_s(data: PointData) -> Estimate:
    """First token from when the request was due: what a user waits who comes when he comes.

    Equal to `ttft_s` for a client that sends on time; one that holds requests back while the server stalls would
    leave the stall out of `ttft_s` (coordinated omission: Tene, How NOT to Measure Latency, 2013).
    """
    cohort = data.reduced.cohort
    return data.distribution(cohort.ttft_s + cohort.late_s)


def e2e_due_s(data: PointData) -> Estimate:
    """Last token from when the request was due."""
    cohort = data.reduced.cohort
    return data.distribution(cohort.e2e_s + cohort.late_s)


def queue_s(data: PointData) -> Estimate:
    """Mean time that requests waited in the server before their first step, by the server's count."""
    waited = data.counters.difference("queue_s")
    requests = data.counters.difference("queued_requests")
    if isinstance(waited, str) or isinstance(requests, str):
        return missing(waited if isinstance(waited, str) else str(requests))
    return data.ratio(waited, requests, lambda mean: mean)


def goodput_req_s(data: PointData) -> Estimate:
    """Requests a second that kept every limit of the workload; a wait for the first token begins when it is due."""
    workload, cohort = data.point.workload, data.reduced.cohort
    if workload.ttft_limit_s is None and workload.tpot_limit_s is None:
        return missing("no_limits")
    kept = np.ones(len(cohort), np.bool_)
    if workload.ttft_limit_s is not None:
        late_s = np.where(np.isfinite(cohort.late_s), cohort.late_s, 0.0)
        kept &= cohort.ttft_s + late_s <= workload.ttft_limit_s
    if workload.tpot_limit_s is not None:
        # A request of one chunk has no time between tokens to be late with.
        kept &= ~(cohort.tpot_s > workload.tpot_limit_s)
    return data.rate(data.by_block(kept.astype(np.float64)))


def inferencex_tpot_s(data: PointData) -> Estimate:
    """InferenceX's TPOT: over tokens - 1, of the whole run."""
    tpot = data.reduced.run.tpot_s
    known = tpot[np.isfinite(tpot)]
    return Estimate(value=float(np.median(known))) if len(known) else missing("no_requests")


def inferencex_interactivity(data: PointData) -> Estimate:
    """1 / InferenceX's median TPOT."""
    return mapped(inferencex_tpot_s(data), lambda tpot: 1 / tpot)

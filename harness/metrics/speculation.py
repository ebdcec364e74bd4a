"""What speculation did, from the engine's counters; what its chunks show of it, from the samples.

Tokens per chunk are no acceptance length: servers merge chunks under load. They are shown where counters can't tell:
before and after the text's own end.
"""

from collections.abc import Callable

import numpy as np

from harness.metrics.point_data import PointData, missing
from harness.metrics.requests import Mask
from harness.records import Estimate
from harness.stats import Floats


def acceptance_length(data: PointData) -> Estimate:
    """Tokens a verification step gives: 1 + accepted / steps that had drafts.

    By the engine's counters; where it counts no accepted drafts, by what it says of each request of the cohort. Where
    it says nothing of those either, by what was delivered: low, since the last step of a request may accept more.
    """
    counted = _by_drafts(data, "accepted_tokens", None, lambda accepted: 1 + accepted)
    if counted.reason != "not_exposed":
        return counted
    reported = np.isfinite(data.reduced.cohort.drafts)
    return _from_requests(data, reported) if reported.any() else _delivered(data)


def acceptance_position(data: PointData, position: int) -> Estimate:
    """Share of verification steps in which the draft at this position was accepted."""
    return _by_drafts(data, "accepted_per_position", position, lambda accepted: accepted)


def _from_requests(data: PointData, reported: Mask) -> Estimate:
    """By the requests that report how they were drafted, which `reported` marks."""
    cohort = data.reduced.cohort
    accepted, drafts = (np.where(reported, values, 0.0) for values in (cohort.accepted_drafts, cohort.drafts))
    return data.ratio(data.by_block(accepted), data.by_block(drafts), lambda mean: 1 + mean)


def _delivered(data: PointData) -> Estimate:
    """Each request gets a token from its prompt, the others from verifications."""
    names = ("generation_tokens", "requests", "drafts")
    grown = [data.counters.difference(name) for name in names]
    unknown = [reason for reason in grown if isinstance(reason, str)]
    if unknown:
        return missing(unknown[0])
    generated, requests, drafts = (values for values in grown if not isinstance(values, str))
    return data.ratio(generated - requests, drafts, lambda mean: mean)


def _by_drafts(data: PointData, name: str, position: int | None, transform: Callable[[Floats], Floats]) -> Estimate:
    if data.point.run.is_off:
        return missing("off")
    accepted = data.counters.difference(name, position)
    drafts = data.counters.difference("drafts")
    if isinstance(accepted, str) or isinstance(drafts, str):
        return missing(accepted if isinstance(accepted, str) else str(drafts))
    return data.ratio(accepted, drafts, transform)


def draft_share(data: PointData) -> Estimate:
    """Steps that had drafts over all decode steps.

    Each finished prompt gives one token and each step one token besides those accepted, so the steps are
    generated - accepted - requests. The last step of a request may accept more than is delivered, which hides steps:
    they are taken to be no fewer than those with drafts.
    """
    if data.point.run.is_off:
        return missing("off")
    names = ("drafts", "accepted_tokens", "generation_tokens", "requests")
    grown = [data.counters.difference(name) for name in names]
    unknown = [reason for reason in grown if isinstance(reason, str)]
    if unknown:
        return missing(unknown[0])
    drafts, accepted, generated, requests = (float(values.sum()) for values in grown if not isinstance(values, str))
    steps = max(generated - accepted - requests, drafts)
    return Estimate(value=drafts / steps) if steps > 0 else missing("nothing_counted")


def drafted_share(data: PointData) -> float | None:
    """The same for a check; where no counter tells, by the requests that say how they were drafted.

    None for Off, and where nothing tells.
    """
    counted = draft_share(data)
    cohort = data.reduced.cohort
    told = np.isfinite(cohort.drafts) & np.isfinite(cohort.accepted_drafts)
    if counted.reason != "not_exposed" or not told.any():
        return counted.value
    drafts, accepted = float(cohort.drafts[told].sum()), float(cohort.accepted_drafts[told].sum())
    steps = max(float((cohort.tokens[told] - 1).sum()) - accepted, drafts)
    return drafts / steps if steps > 0 else None


def tokens_per_chunk(data: PointData) -> Estimate:
    """Tokens over chunks, of the chunks after each request's first."""
    cohort = data.reduced.cohort
    return _per_chunk(data, data.by_block(cohort.tokens - cohort.first_tokens), data.by_block(cohort.chunks - 1))


def tokens_per_chunk_before_eos(data: PointData) -> Estimate:
    """The same while the text has not ended."""
    return _eos_split(data, data.reduced.before_eos)


def tokens_per_chunk_after_eos(data: PointData) -> Estimate:
    """The same once the text is forced past its end."""
    return _eos_split(data, data.reduced.after_eos)


def _eos_split(data: PointData, counted: Floats) -> Estimate:
    if not np.isfinite(data.reduced.cohort.past_eos).any():
        return missing("no_eos_seen")
    return _per_chunk(data, counted[0], counted[1])


def _per_chunk(data: PointData, tokens: Floats, chunks: Floats) -> Estimate:
    if not len(data.reduced.cohort):
        return missing("no_requests")
    return data.ratio(tokens, chunks, lambda mean: mean) if chunks.sum() else missing("single_chunk")


def past_eos_share(data: PointData) -> Estimate:
    """Output tokens after the text's own end, over all output tokens."""
    cohort = data.reduced.cohort
    if not np.isfinite(cohort.past_eos).any():
        return missing("no_eos_seen" if len(cohort) else "no_requests")
    past = data.by_block(np.nan_to_num(cohort.past_eos))
    return data.ratio(past, data.by_block(cohort.tokens), lambda share: share)

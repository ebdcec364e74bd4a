"""What speculation did, from the engine's counters; what its chunks show of it, from the samples.

Tokens per chunk are no acceptance length: servers merge chunks under load. They are shown where counters can't tell:
before and after the text's own end.
"""

from collections.abc import Callable

import numpy as np

from harness.metrics.requests import Mask
from harness.metrics.scene import Scene, missing
from harness.records import Estimate
from harness.stats import Floats


def acceptance_length(scene: Scene) -> Estimate:
    """Tokens a verification step gives: 1 + accepted / steps that had drafts.

    By the engine's counters; where it counts no accepted drafts, by what it says of each request of the cohort. Where
    it says nothing of those either, by what was delivered: low, since the last step of a request may accept more.
    """
    counted = _by_drafts(scene, "accepted_tokens", None, lambda accepted: 1 + accepted)
    if counted.reason != "not_exposed":
        return counted
    told = np.isfinite(scene.reduced.cohort.drafts)
    return _told(scene, told) if told.any() else _delivered(scene)


def acceptance_position(scene: Scene, position: int) -> Estimate:
    """Share of verification steps in which the draft at this position was accepted."""
    return _by_drafts(scene, "accepted_per_position", position, lambda accepted: accepted)


def _told(scene: Scene, told: Mask) -> Estimate:
    """By the requests that say how they were drafted."""
    cohort = scene.reduced.cohort
    accepted, drafts = (np.where(told, values, 0.0) for values in (cohort.accepted_drafts, cohort.drafts))
    return scene.ratio(scene.by_block(accepted), scene.by_block(drafts), lambda mean: 1 + mean)


def _delivered(scene: Scene) -> Estimate:
    """Each request gets a token from its prompt, the others from verifications."""
    names = ("generation_tokens", "requests", "drafts")
    grown = [scene.counters.difference(name) for name in names]
    unknown = [reason for reason in grown if isinstance(reason, str)]
    if unknown:
        return missing(unknown[0])
    generated, requests, drafts = (values for values in grown if not isinstance(values, str))
    return scene.ratio(generated - requests, drafts, lambda mean: mean)


def _by_drafts(scene: Scene, name: str, position: int | None, transform: Callable[[Floats], Floats]) -> Estimate:
    if scene.point.run.is_off:
        return missing("off")
    accepted = scene.counters.difference(name, position)
    drafts = scene.counters.difference("drafts")
    if isinstance(accepted, str) or isinstance(drafts, str):
        return missing(accepted if isinstance(accepted, str) else str(drafts))
    return scene.ratio(accepted, drafts, transform)


def draft_share(scene: Scene) -> Estimate:
    """Steps that had drafts over all decode steps.

    Each finished prompt gives one token and each step one token besides those accepted, so the steps are
    generated - accepted - requests. The last step of a request may accept more than is delivered, which hides steps:
    they are taken to be no fewer than those with drafts.
    """
    if scene.point.run.is_off:
        return missing("off")
    names = ("drafts", "accepted_tokens", "generation_tokens", "requests")
    grown = [scene.counters.difference(name) for name in names]
    unknown = [reason for reason in grown if isinstance(reason, str)]
    if unknown:
        return missing(unknown[0])
    drafts, accepted, generated, requests = (float(values.sum()) for values in grown if not isinstance(values, str))
    steps = max(generated - accepted - requests, drafts)
    return Estimate(value=drafts / steps) if steps > 0 else missing("nothing_counted")


def drafted_share(scene: Scene) -> float | None:
    """The same for a check; where no counter tells, by the requests that say how they were drafted.

    None for Off, and where nothing tells.
    """
    counted = draft_share(scene)
    cohort = scene.reduced.cohort
    told = np.isfinite(cohort.drafts) & np.isfinite(cohort.accepted_drafts)
    if counted.reason != "not_exposed" or not told.any():
        return counted.value
    drafts, accepted = float(cohort.drafts[told].sum()), float(cohort.accepted_drafts[told].sum())
    steps = max(float((cohort.tokens[told] - 1).sum()) - accepted, drafts)
    return drafts / steps if steps > 0 else None


def tokens_per_chunk(scene: Scene) -> Estimate:
    """Tokens over chunks, of the chunks after each request's first."""
    cohort = scene.reduced.cohort
    return _per_chunk(scene, scene.by_block(cohort.tokens - cohort.first_tokens), scene.by_block(cohort.chunks - 1))


def tokens_per_chunk_before_eos(scene: Scene) -> Estimate:
    """The same while the text has not ended."""
    return _eos_split(scene, scene.reduced.before_eos)


def tokens_per_chunk_after_eos(scene: Scene) -> Estimate:
    """The same once the text is forced past its end."""
    return _eos_split(scene, scene.reduced.after_eos)


def _eos_split(scene: Scene, counted: Floats) -> Estimate:
    if not np.isfinite(scene.reduced.cohort.past_eos).any():
        return missing("no_eos_seen")
    return _per_chunk(scene, counted[0], counted[1])


def _per_chunk(scene: Scene, tokens: Floats, chunks: Floats) -> Estimate:
    if not len(scene.reduced.cohort):
        return missing("no_requests")
    return scene.ratio(tokens, chunks, lambda mean: mean) if chunks.sum() else missing("single_chunk")


def past_eos_share(scene: Scene) -> Estimate:
    """Output tokens after the text's own end, over all output tokens."""
    cohort = scene.reduced.cohort
    if not np.isfinite(cohort.past_eos).any():
        return missing("no_eos_seen" if len(cohort) else "no_requests")
    past = scene.by_block(np.nan_to_num(cohort.past_eos))
    return scene.ratio(past, scene.by_block(cohort.tokens), lambda share: share)

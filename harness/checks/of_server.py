"""What speaks against a point in its server: one small function a verdict, which gives a phrase or None.

The arm that it is, what it was set to, whose work it did, what its GPUs drew. What a verdict means, and whether it
voids a point, stands in `checks`.
"""

from collections.abc import Callable, Iterator

from harness.checks.evidence import Evidence
from harness.checks.of_load import failed_requests

ACCEPTANCE_TOLERANCE = 0.01
DRAFT_SHARE = 0.99
DRAFT_TOLERANCE = 0.02
LEAST_DRAFT_SHARE = 0.9
FOREIGN_SHARE = 0.02
CACHED_SHARE = 0.01
GOLDEN_EXCESS = 1.15  # random text without a template gave 3.55 instead of 2.50: InferenceX pull request 649


def arm_not_active(evidence: Evidence) -> str | None:
    """MTP without drafts, or without a counter that could show them; a server that died had no time to draft."""
    if evidence.point.run.is_off or evidence.score.drafts or evidence.aborted == "server_died":
        return None
    return "the server has no draft counter" if evidence.score.drafts is None else "no draft was counted"


def arm_partly_active(evidence: Evidence) -> str | None:
    """MTP that is off for a good part of its steps; one that never drafts, or died, is said to be that."""
    share = evidence.score.drafted_share
    if share is None or share >= LEAST_DRAFT_SHARE or not evidence.score.drafts:
        return None
    return f"{100 * share:.1f} % of the steps had drafts"


def arm_not_off(evidence: Evidence) -> str | None:
    """Off with drafts."""
    if not evidence.point.run.is_off or not evidence.score.drafts:
        return None
    return f"{evidence.score.drafts:.0f} drafts were counted"


def draft_share(evidence: Evidence) -> str | None:
    """Steps without drafts, where they are few."""
    share = evidence.value("draft_share")
    few = share is not None and share < DRAFT_SHARE and arm_partly_active(evidence) is None
    return f"{100 * share:.1f} %" if share is not None and few else None


def acceptance_missed(evidence: Evidence) -> str | None:
    """A short point's acceptance is uncertain by over 1 % by itself: only a whole interval outside is a miss."""
    forced = evidence.point.run.mtp.forced_acceptance_length
    got = evidence.score.estimates.get("acceptance_length")
    if forced is None or got is None or got.value is None:
        return None
    lo, hi = (got.value if end is None else end for end in (got.lo, got.hi))
    if lo <= forced * (1 + ACCEPTANCE_TOLERANCE) and hi >= forced * (1 - ACCEPTANCE_TOLERANCE):
        return None
    return f"{got.value:.3f} [{lo:.3f}, {hi:.3f}] instead of {forced:g}"


def acceptance_high(evidence: Evidence) -> str | None:
    """More drafts are accepted than the model reaches on text."""
    run = evidence.point.run
    golden = run.model.golden.by_draft_tokens.get(run.mtp.draft_tokens) if run.model.golden else None
    length = evidence.value("acceptance_length")
    if golden is None or length is None or run.mtp.forced_acceptance_length is not None:
        return None
    return f"{length:.2f}, golden is {golden:.2f}" if length > golden * GOLDEN_EXCESS else None


def no_counters(evidence: Evidence) -> str | None:
    """Nothing that shows what the server did."""
    return None if evidence.score.counters_read else "no reading"


def config_mismatch(evidence: Evidence) -> str | None:
    """What the server says of itself against what was asked."""
    mismatches = evidence.configuration.mismatches if evidence.configuration else ()
    return "; ".join((*mismatches, *_other_drafts(evidence))) or None


def _other_drafts(evidence: Evidence) -> Iterator[str]:
    """Drafts of another length than asked, by the counters: an attached server may not say how it is set.

    Never more; fewer near the longest context, so the mean is rounded, and where overrides let the engine choose.
    """
    mtp, length = evidence.point.run.mtp, evidence.score.draft_length
    if length is None:
        return
    longer = length > (1 + DRAFT_TOLERANCE) * mtp.draft_tokens
    shorter = length < mtp.draft_tokens - 0.5 and not mtp.overrides
    if longer or shorter:
        yield f"draft tokens: asked {mtp.draft_tokens}, the server drafts {length:.2f} a step"


def accuracy_differs(evidence: Evidence) -> str | None:
    """MTP answers otherwise than Off does, or the model otherwise than it should."""
    return evidence.answers_differ


def accuracy_unknown(evidence: Evidence) -> str | None:
    """A task was asked for, or the questions, and nothing came of it."""
    return evidence.answers_unknown


def foreign_load(evidence: Evidence) -> str | None:
    """More tokens than this load's were made, or more prompts read.

    Requests that failed leave work that reached nobody, and one pushed out of the batch has its prompt read again.
    """
    others = evidence.score.others
    if others is None or failed_requests(evidence) is not None:
        return None
    again = evidence.value("preempted_share")
    kinds = {"generation_tokens": "tokens generated", **({} if again else {"prompt_tokens": "prompt tokens read"})}
    shares = {said: share for name, said in kinds.items() if (share := others.share(name)) is not None}
    found = [f"{100 * share:.0f} % more {said}" for said, share in shares.items() if share > FOREIGN_SHARE]
    return f"{' and '.join(found)} than this load's" if found else None


def prefix_cached(evidence: Evidence) -> str | None:
    """Prompts that the server had read before: each point of a launch sends the same ones."""
    share = evidence.score.cached_share
    return None if share is None or share <= CACHED_SHARE else f"{100 * share:.1f} % of the prompt tokens"


def foreign_process(evidence: Evidence) -> str | None:
    """Somebody else on the server's GPUs."""
    foreign = evidence.power.foreign if evidence.power else {}
    return "; ".join(f"{gpu}: process {', '.join(map(str, pids))}" for gpu, pids in foreign.items()) or None


def power_finding(code: str) -> Callable[[Evidence], str | None]:
    """What was found against the power stream."""
    return lambda evidence: evidence.power.findings.get(code) if evidence.power else None

"""What speaks against a point: one small function a verdict, which gives a phrase or None.

They look at evidence and nothing else; what a verdict means and whether it voids a point stands in `checks`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.metrics import Score
from harness.power.point_power import PointPower
from harness.records import ClientHealth, Configuration, NoWindow, Window
from harness.spec import Point

FEWEST_BLOCKS = 10
FAILED_SHARE = 0.001
HELD_SHARE = 0.99
LITTLE_TOLERANCE = 0.01
ACCEPTANCE_TOLERANCE = 0.01
QUEUED_SHARE = 0.05
PAST_EOS_SHARE = 0.2
DRAFT_SHARE = 0.99
DRAFT_TOLERANCE = 0.02
LEAST_DRAFT_SHARE = 0.9
BUSY_SHARE = 0.8
CAPPED_SHARE = 0.01
SEVERAL_SHARE = 0.01
LATE_S = 0.01
SENT_LATE_S = 0.05
BACKLOG_SHARE = 0.01
CLOCK_MOVED_S = 1e-4
FOREIGN_SHARE = 0.02
CACHED_SHARE = 0.01
STALL_S = 1.0
STALL_GAPS, STALL_FIRST_TOKENS, STALL_WAITS, STALL_LIVES = 10, 3, 2, 3
GOLDEN_EXCESS = 1.15  # random text without a template gave 3.55 instead of 2.50: InferenceX pull request 649

_ENGINE_ERRORS = frozenset({"http_status", "stream_error", "early_eof", "usage_missing", "usage_mismatch"})


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


def prompts_differ(evidence: Evidence) -> str | None:
    """Another prompt stream than the sweep's other points."""
    here, there = evidence.prompt_hash, evidence.expected_prompt_hash
    return None if there is None or here == there else f"{here} here, {there} elsewhere in the sweep"


def prompt_tokens_mismatch(evidence: Evidence) -> str | None:
    """The engine's count of prompt tokens against the prompts."""
    counts = evidence.score.counts
    return f"{counts.wrong_prompt} of {counts.ended} requests" if counts.wrong_prompt else None


def short_output(evidence: Evidence) -> str | None:
    """Outputs of another length than asked, where it is to be exact."""
    counts = evidence.score.counts
    if evidence.point.workload.length != "exact" or not counts.wrong_length:
        return None
    return f"{counts.wrong_length} of {counts.ended} requests"


def failed_requests(evidence: Evidence) -> str | None:
    """Over one request in a thousand, or any that the engine itself failed."""
    counts = evidence.score.counts
    few = counts.failed <= FAILED_SHARE * counts.ended and not _ENGINE_ERRORS & counts.errors.keys()
    if few and evidence.aborted != "failed_requests":
        return None
    classes = ", ".join(f"{name} {number}" for name, number in sorted(counts.errors.items()))
    return f"{counts.failed} of {counts.ended} requests ({classes})"


def server_died(evidence: Evidence) -> str | None:
    """The process ended."""
    return "the load was given up" if evidence.aborted == "server_died" else None


def not_steady(evidence: Evidence) -> str | None:
    """MSER-5 found no steady part, or a slow swing was left in it."""
    if isinstance(evidence.window, NoWindow) or evidence.window.steady:
        return None
    return "output tok/s still moves in the last half, or swings so slowly that its mean is not known"


def window_too_short(evidence: Evidence) -> str | None:
    """Too few blocks for an interval."""
    window = evidence.window
    if isinstance(window, NoWindow):
        return window.text
    blocks = len(window.blocks_ns) - 1
    if blocks >= FEWEST_BLOCKS:
        return None
    return f"{window.duration_s:.1f} s hold {blocks} request times of {window.request_time_s:.1f} s"


def client_bound(evidence: Evidence) -> str | None:
    """Users that were not in flight, or a client that could not keep up."""
    return "; ".join(_client_faults(evidence)) or None


def overloaded(evidence: Evidence) -> str | None:
    """Requests that come faster than the server answers; a backlog that may be chance is none."""
    if evidence.aborted == "overloaded":
        return "more requests were in flight than the server works off, and the load was given up"
    growth = evidence.score.estimates.get("backlog_growth")
    if growth is None or growth.value is None or growth.lo is None or growth.lo <= BACKLOG_SHARE:
        return None
    return f"{100 * growth.value:.1f} % of the requests piled up (at least {100 * growth.lo:.1f} %)"


def _client_faults(evidence: Evidence) -> Iterator[str]:
    held, asked = evidence.value("held_concurrency"), evidence.point.concurrency
    if held is not None and asked is not None and held < HELD_SHARE * asked:
        yield f"{held:.2f} of {asked} requests were in flight"
    sent = evidence.score.estimates.get("send_late_s")
    if sent is not None and sent.p99 is not None and sent.p99 > SENT_LATE_S:
        yield f"requests were sent {1e3 * sent.p99:.0f} ms late at the 99th percentile"
    if evidence.health is None:
        return
    if evidence.health.busy > BUSY_SHARE:
        yield f"the client used {100 * evidence.health.busy:.0f} % of a core"
    reads = evidence.health.reads
    if reads is None:
        return
    # A server may send several chunks at once; only where the client comes late are they its doing.
    if reads.several > SEVERAL_SHARE and reads.late_p99_s > LATE_S:
        late = f"{1e3 * reads.late_p99_s:.0f} ms late at the 99th percentile"
        yield f"{100 * reads.several:.1f} % of the reads held several chunks, {late}"
    if reads.clock_moved_s > CLOCK_MOVED_S:
        yield f"the time of day was set by {1e3 * reads.clock_moved_s:.3g} ms"


def stalled(evidence: Evidence) -> str | None:
    """Requests cut off by the point's end that had stood still for longer than this server's pauses are.

    They are in no latency and fail nothing. The limits are multiples of what the requests that ended had to wait; a
    busy machine stops for a second now and then.
    """
    unfinished, window = evidence.score.unfinished, evidence.window
    if unfinished is None or isinstance(window, NoWindow):
        return None
    gap_s, first_s, life_s = (evidence.p99(name) for name in ("chunk_gap_s", "ttft_s", "e2e_s"))
    pauses = (STALL_S, STALL_GAPS * (gap_s or 0.0), STALL_WAITS * unfinished.longest_wait_s)
    limit_s = max(*pauses, STALL_FIRST_TOKENS * (window.request_time_s if first_s is None else first_s))
    silent_s, open_s = unfinished.silent_s, unfinished.open_s
    if (silent_s > limit_s).any():
        number, of = int((silent_s > limit_s).sum()), len(silent_s)
        return f"{number} of the {of} requests in flight at the end had got nothing for up to {silent_s.max():.1f} s"
    if evidence.point.workload.length != "exact" or life_s is None:
        return None
    old = open_s > max(STALL_S, STALL_LIVES * life_s)
    if not old.any():
        return None
    return f"{int(old.sum())} of the {len(old)} requests in flight at the end were up to {open_s.max():.1f} s old"


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


def littles_law(evidence: Evidence) -> str | None:
    """Rate, latency and concurrency against one another."""
    ratio = evidence.value("littles_law_ratio")
    return None if ratio is None or abs(ratio - 1) <= LITTLE_TOLERANCE else f"ratio {ratio:.3f}"


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


def capped(evidence: Evidence) -> str | None:
    """The cap ended a point that is long enough, but not as precise as asked."""
    window = evidence.window
    if isinstance(window, NoWindow) or not window.capped or len(window.blocks_ns) <= FEWEST_BLOCKS:
        return None
    return f"after {window.duration_s:.0f} s"


def share_above(name: str, limit: float) -> Callable[[Evidence], str | None]:
    """A share over its limit."""

    def finding(evidence: Evidence) -> str | None:
        share = evidence.value(name)
        return None if share is None or share <= limit else f"{100 * share:.1f} %"

    return finding


def draft_share(evidence: Evidence) -> str | None:
    """Steps without drafts, where they are few."""
    share = evidence.value("draft_share")
    few = share is not None and share < DRAFT_SHARE and arm_partly_active(evidence) is None
    return f"{100 * share:.1f} %" if share is not None and few else None


def foreign_process(evidence: Evidence) -> str | None:
    """Somebody else on the server's GPUs."""
    foreign = evidence.power.foreign if evidence.power else {}
    return "; ".join(f"{gpu}: process {', '.join(map(str, pids))}" for gpu, pids in foreign.items()) or None


def power_finding(code: str) -> Callable[[Evidence], str | None]:
    """What was found against the power stream."""
    return lambda evidence: evidence.power.findings.get(code) if evidence.power else None


def accuracy_differs(evidence: Evidence) -> str | None:
    """MTP answers otherwise than Off does, or the model otherwise than it should."""
    return evidence.answers_differ


def accuracy_unknown(evidence: Evidence) -> str | None:
    """A task was asked for, or the questions, and nothing came of it."""
    return evidence.answers_unknown


def acceptance_high(evidence: Evidence) -> str | None:
    """More drafts are accepted than the model reaches on text."""
    run = evidence.point.run
    golden = run.model.golden.by_draft_tokens.get(run.mtp.draft_tokens) if run.model.golden else None
    length = evidence.value("acceptance_length")
    if golden is None or length is None or run.mtp.forced_acceptance_length is not None:
        return None
    return f"{length:.2f}, golden is {golden:.2f}" if length > golden * GOLDEN_EXCESS else None

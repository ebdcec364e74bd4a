"""What speaks against a point in its load: one small function a verdict, which gives a phrase or None.

Prompts, requests, the window and the client. What a verdict means, and whether it voids a point, stands in `checks`.
"""

from collections.abc import Callable, Iterator

from harness.checks.evidence import Evidence
from harness.records import NoWindow

QUEUED_SHARE = 0.05
PAST_EOS_SHARE = 0.2
CAPPED_SHARE = 0.01
FEWEST_BLOCKS = 10
FAILED_SHARE = 0.001
HELD_SHARE = 0.99
LITTLE_TOLERANCE = 0.01
BUSY_SHARE = 0.8
SEVERAL_SHARE = 0.01
LATE_S = 0.01
SENT_LATE_S = 0.05
BACKLOG_SHARE = 0.01
CLOCK_MOVED_S = 1e-4
STALL_S = 1.0
STALL_GAPS, STALL_FIRST_TOKENS, STALL_WAITS, STALL_LIVES = 10, 3, 2, 3

_ENGINE_ERRORS = frozenset({"http_status", "stream_error", "early_eof", "usage_missing", "usage_mismatch"})


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


def capped(evidence: Evidence) -> str | None:
    """The cap ended a point that is long enough, but not as precise as asked."""
    window = evidence.window
    if isinstance(window, NoWindow) or not window.capped or len(window.blocks_ns) <= FEWEST_BLOCKS:
        return None
    return f"after {window.duration_s:.0f} s"


def client_bound(evidence: Evidence) -> str | None:
    """Users that were not in flight, or a client that could not keep up."""
    return "; ".join(_client_faults(evidence)) or None


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


def overloaded(evidence: Evidence) -> str | None:
    """Requests that come faster than the server answers; a backlog that may be chance is none."""
    if evidence.aborted == "overloaded":
        return "more requests were in flight than the server works off, and the load was given up"
    growth = evidence.score.estimates.get("backlog_growth")
    if growth is None or growth.value is None or growth.lo is None or growth.lo <= BACKLOG_SHARE:
        return None
    return f"{100 * growth.value:.1f} % of the requests piled up (at least {100 * growth.lo:.1f} %)"


def littles_law(evidence: Evidence) -> str | None:
    """Rate, latency and concurrency against one another."""
    ratio = evidence.value("littles_law_ratio")
    return None if ratio is None or abs(ratio - 1) <= LITTLE_TOLERANCE else f"ratio {ratio:.3f}"


def share_above(name: str, limit: float) -> Callable[[Evidence], str | None]:
    """A share over its limit."""

    def finding(evidence: Evidence) -> str | None:
        share = evidence.value(name)
        return None if share is None or share <= limit else f"{100 * share:.1f} %"

    return finding

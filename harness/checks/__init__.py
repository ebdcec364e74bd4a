"""Verdicts on a point: may its numbers be used, and what must be said beside them.

An invalid point is kept and shown, never drawn or compared; a warning is drawn with a mark. Every code is one row of
`CHECKS` with the sentence that a person needs. Pure: everything that is judged comes as an argument. Power has
verdicts of its own, which void the power columns only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.checks import of_load, of_server
from harness.checks.evidence import Evidence
from harness.power.codes import CODES
from harness.records import Window

__all__ = ["CHECKS", "Check", "Evidence", "Verdicts", "judge"]


class Verdicts(NamedTuple):
    """Codes, and for each what was found, in a phrase."""

    invalid: tuple[str, ...]
    warnings: tuple[str, ...]
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One verdict.

    Attributes:
        code: as in `points.jsonl`.
        invalid: whether it voids the point; a warning otherwise.
        meaning: one sentence: what it means and what to do.
        finding: says in a phrase what was found; None when there is nothing to say.
    """

    code: str
    invalid: bool
    meaning: str
    finding: Callable[[Evidence], str | None]


def judge(evidence: Evidence, *, power_required: bool = False) -> Verdicts:
    """All verdicts on a point, in the order of `CHECKS`.

    What voids the figures of power alone is a warning of the point, unless power was required.
    """
    details = {code: text for code, check in CHECKS.items() if (text := check.finding(evidence)) is not None}
    void = [
        code
        for code in details
        if (CHECKS[code].invalid and not _excused(code, evidence)) or (power_required and code in CODES)
    ]
    return Verdicts(tuple(void), tuple(code for code in details if code not in void), details)


def _excused(code: str, evidence: Evidence) -> bool:
    """A demo is for looking at: a short window will do, but there must be one."""
    return code == "window_too_short" and evidence.demo and isinstance(evidence.window, Window)


def _invalid(code: str, finding: Callable[[Evidence], str | None], meaning: str) -> Check:
    return Check(code=code, invalid=True, meaning=meaning, finding=finding)


def _warning(code: str, finding: Callable[[Evidence], str | None], meaning: str) -> Check:
    return Check(code=code, invalid=False, meaning=meaning, finding=finding)


CHECKS: Mapping[str, Check] = {
    check.code: check
    for check in (
        _invalid(
            "arm_not_active",
            of_server.arm_not_active,
            "MTP was asked for but the server counted no draft: look in server.log whether it took its speculative "
            "settings.",
        ),
        _invalid(
            "arm_partly_active",
            of_server.arm_partly_active,
            "Over 10 % of the steps had no drafts: the row mixes MTP and Off, and its acceptance length is of a part "
            "of it: look for a batch size or context length from which the engine stops drafting, and stay below.",
        ),
        _invalid(
            "arm_not_off",
            of_server.arm_not_off,
            "Off was asked for but the server counted drafts: remove speculation from engine.args, engine.env or the "
            "attached server.",
        ),
        _invalid(
            "config_mismatch",
            of_server.config_mismatch,
            "The server runs with other settings than it was asked for: see configuration.json of the attempt.",
        ),
        _invalid(
            "prompts_differ",
            of_load.prompts_differ,
            "The prompts are not those of the sweep's other points: the tokenizer, template or corpus has changed; "
            "measure all points anew.",
        ),
        _invalid(
            "prompt_tokens_mismatch",
            of_load.prompt_tokens_mismatch,
            "The engine counted other prompt lengths than were sent: it added or cut tokens; check its chat template "
            "and context settings.",
        ),
        _invalid(
            "short_output",
            of_load.short_output,
            "Outputs are not exactly as long as asked: the engine ignored ignore_eos or met its context limit; raise "
            "the limit, or use length: natural.",
        ),
        _invalid(
            "failed_requests",
            of_load.failed_requests,
            "Requests failed, and leaving them out flatters the rest: see error_text in requests.parquet and "
            "server.log.",
        ),
        _invalid(
            "server_died",
            of_load.server_died,
            "The server's process ended during the point: see server.log; the sweep goes on with a new start.",
        ),
        _invalid(
            "not_steady",
            of_load.not_steady,
            "Throughput had not settled when the point ended: raise window.max_s, or find what drifts (clocks, cache, "
            "neighbours).",
        ),
        _invalid(
            "overloaded",
            of_load.overloaded,
            "Requests came faster than the server answers: its backlog and every latency grow for as long as one "
            "measures, and mean nothing; lower the rate.",
        ),
        _invalid(
            "window_too_short",
            of_load.window_too_short,
            "The steady part holds fewer than 10 request times: raise window.max_s, or take a shorter OSL.",
        ),
        _invalid(
            "client_bound",
            of_load.client_bound,
            "The load generator, not the server, set the pace, or its stamps can't be trusted: give it free cores, and "
            "leave the clock alone.",
        ),
        _invalid(
            "littles_law",
            of_load.littles_law,
            "Completion rate times latency is not the concurrency: requests failed, paused, or were recorded twice or "
            "not at all.",
        ),
        _invalid(
            "stalled",
            of_load.stalled,
            "Requests stood still until the point's end cut them off, so no latency and no failure tells of them: the "
            "server hung or lost them; see server.log.",
        ),
        _invalid(
            "foreign_load",
            of_server.foreign_load,
            "The server worked for others than this load while it was measured, so it gave this load less: keep "
            "everybody else away from it.",
        ),
        _invalid(
            "prefix_cached",
            of_server.prefix_cached,
            "Prompts came from the server's prefix cache instead of being read, so prefill cost it next to nothing: "
            "start the server without the cache.",
        ),
        _invalid(
            "acceptance_missed",
            of_server.acceptance_missed,
            "The acceptance length is over 1 % off the one that was forced, and not by chance: the engine did not take "
            "the setting as meant.",
        ),
        _invalid(
            "accuracy_differs",
            of_server.accuracy_differs,
            "MTP's greedy answers part from Off's sooner than Off's from each other, or a task's score lies below its "
            "floor: the speed is that of another model; see answers.jsonl and accuracy.json of the attempts.",
        ),
        _warning(
            "accuracy_unknown",
            of_server.accuracy_unknown,
            "The task that accuracy asks for, or the ten questions that both arms are asked, could not be put to the "
            "server: nothing shows that its answers are right; see accuracy.json and answers.jsonl of the attempts; "
            "where they are missing, delete a point of the first launch (for the questions, of Off's) and run again.",
        ),
        _warning(
            "acceptance_high",
            of_server.acceptance_high,
            "Natural acceptance is far above the model's golden length: the text is easy to guess; look for prompts "
            "without chat template, random text, or output that loops.",
        ),
        _warning(
            "no_counters",
            of_server.no_counters,
            "The server's counters could not be read: nothing shows that Off was off.",
        ),
        _warning(
            "capped",
            of_load.capped,
            "The point ended at window.max_s before it was as precise as target_half_width_pct asks: raise the cap, or "
            "ask for less.",
        ),
        _warning(
            "preempted",
            of_load.share_above("preempted_share", 0.0),
            "Requests were pushed out of the batch for want of KV memory: a real operating point, which MTP meets "
            "first.",
        ),
        _warning(
            "server_queued",
            of_load.share_above("queued_share", of_load.QUEUED_SHARE),
            "Requests waited in the server's queue: raise max_running_requests, or read the point as one under a "
            "queue.",
        ),
        _warning(
            "past_eos",
            of_load.share_above("past_eos_share", of_load.PAST_EOS_SHARE),
            "Over 20 % of the output lies past the text's own end, where text loops and drafts are easy: compare "
            "tokens_per_chunk before and after EOS, or use length: natural.",
        ),
        _warning(
            "draft_share",
            of_server.draft_share,
            "Over 1 % of the steps had no drafts: the engine turned speculation off for part of the load.",
        ),
        _warning(
            "power_capped",
            of_load.share_above("power_capped_share", of_load.CAPPED_SHARE),
            "The power limit held clocks down: a real operating point, but look whether it did so in both arms.",
        ),
        _warning(
            "throttled",
            of_load.share_above("throttled_share", of_load.CAPPED_SHARE),
            "Heat or the power supply held clocks down: mend the cooling, or expect other numbers on another day.",
        ),
        _warning(
            "foreign_process",
            of_server.foreign_process,
            "Somebody else's process is on the server's GPUs: it takes power, memory and time; end it.",
        ),
        *(_warning(code, of_server.power_finding(code), meaning) for code, meaning in CODES.items()),
    )
}

"""Verdicts on a point: may its numbers be used, and what must be said beside them.

An invalid point is kept and shown, never drawn or compared; a warning is drawn with a mark. Every code is one row of
`CHECKS` with the sentence that a person needs. Pure: everything that is judged comes as an argument. Power has
verdicts of its own, which void the power columns only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from harness.checks import find
from harness.checks.find import Evidence
from harness.metrics import Score
from harness.power.codes import CODES
from harness.power.evidence import Power
from harness.records import ClientHealth, Configuration, NoWindow, Window
from harness.spec import Point

__all__ = ["CHECKS", "Check", "Verdicts", "judge"]


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
        find: the phrase of what was found; None when there is nothing to say.
    """

    code: str
    invalid: bool
    meaning: str
    find: Callable[[Evidence], str | None]


def judge(
    point: Point,
    score: Score,
    window: Window | NoWindow,
    *,
    configuration: Configuration | None = None,
    prompt_hash: object = None,
    expected_prompt_hash: object = None,
    aborted: str | None = None,
    demo: bool = False,
    health: ClientHealth | None = None,
    power: Power | None = None,
    power_required: bool = False,
    answers_differ: str | None = None,
    answers_unknown: str | None = None,
) -> Verdicts:
    """All verdicts on a point, in the order of `CHECKS`; the arguments are those of `Evidence`.

    What voids the figures of power alone is a warning of the point, unless power was required.
    """
    evidence = Evidence(
        point=point,
        score=score,
        window=window,
        configuration=configuration,
        prompt_hash=prompt_hash,
        expected_prompt_hash=expected_prompt_hash,
        aborted=aborted,
        demo=demo,
        health=health,
        power=power,
        answers_differ=answers_differ,
        answers_unknown=answers_unknown,
    )
    found = {code: text for code, check in CHECKS.items() if (text := check.find(evidence)) is not None}
    void = [
        code
        for code in found
        if (CHECKS[code].invalid and not _excused(code, evidence)) or (power_required and code in CODES)
    ]
    return Verdicts(tuple(void), tuple(code for code in found if code not in void), found)


def _excused(code: str, evidence: Evidence) -> bool:
    """A demo is for looking at: a short window will do, but there must be one."""
    return code == "window_too_short" and evidence.demo and isinstance(evidence.window, Window)


def _invalid(code: str, find: Callable[[Evidence], str | None], meaning: str) -> Check:
    return Check(code=code, invalid=True, meaning=meaning, find=find)


def _warning(code: str, find: Callable[[Evidence], str | None], meaning: str) -> Check:
    return Check(code=code, invalid=False, meaning=meaning, find=find)


CHECKS: Mapping[str, Check] = {
    check.code: check
    for check in (
        _invalid(
            "arm_not_active",
            find.arm_not_active,
            "MTP was asked for but the server counted no draft: look in server.log whether it took its speculative "
            "settings.",
        ),
        _invalid(
            "arm_partly_active",
            find.arm_partly_active,
            "Over 10 % of the steps had no drafts: the row mixes MTP and Off, and its acceptance length is of a part "
            "of it: look for a batch size or context length from which the engine stops drafting, and stay below.",
        ),
        _invalid(
            "arm_not_off",
            find.arm_not_off,
            "Off was asked for but the server counted drafts: remove speculation from engine.args, engine.env or the "
            "attached server.",
        ),
        _invalid(
            "config_mismatch",
            find.config_mismatch,
            "The server runs with other settings than it was asked for: see configuration.json of the attempt.",
        ),
        _invalid(
            "prompts_differ",
            find.prompts_differ,
            "The prompts are not those of the sweep's other points: the tokenizer, template or corpus has changed; "
            "measure all points anew.",
        ),
        _invalid(
            "prompt_tokens_mismatch",
            find.prompt_tokens_mismatch,
            "The engine counted other prompt lengths than were sent: it added or cut tokens; check its chat template "
            "and context settings.",
        ),
        _invalid(
            "short_output",
            find.short_output,
            "Outputs are not exactly as long as asked: the engine ignored ignore_eos or met its context limit; raise "
            "the limit, or use length: natural.",
        ),
        _invalid(
            "failed_requests",
            find.failed_requests,
            "Requests failed, and leaving them out flatters the rest: see error_text in requests.parquet and "
            "server.log.",
        ),
        _invalid(
            "server_died",
            find.server_died,
            "The server's process ended during the point: see server.log; the sweep goes on with a new start.",
        ),
        _invalid(
            "not_steady",
            find.not_steady,
            "Throughput had not settled when the point ended: raise window.max_s, or find what drifts (clocks, cache, "
            "neighbours).",
        ),
        _invalid(
            "overloaded",
            find.overloaded,
            "Requests came faster than the server answers: its backlog and every latency grow for as long as one "
            "measures, and mean nothing; lower the rate.",
        ),
        _invalid(
            "window_too_short",
            find.window_too_short,
            "The steady part holds fewer than 10 request times: raise window.max_s, or take a shorter OSL.",
        ),
        _invalid(
            "client_bound",
            find.client_bound,
            "The load generator, not the server, set the pace, or its stamps can't be trusted: give it free cores, and "
            "leave the clock alone.",
        ),
        _invalid(
            "littles_law",
            find.littles_law,
            "Completion rate times latency is not the concurrency: requests failed, paused, or were recorded twice or "
            "not at all.",
        ),
        _invalid(
            "stalled",
            find.stalled,
            "Requests stood still until the point's end cut them off, so no latency and no failure tells of them: the "
            "server hung or lost them; see server.log.",
        ),
        _invalid(
            "foreign_load",
            find.foreign_load,
            "The server worked for others than this load while it was measured, so it gave this load less: keep "
            "everybody else away from it.",
        ),
        _invalid(
            "prefix_cached",
            find.prefix_cached,
            "Prompts came from the server's prefix cache instead of being read, so prefill cost it next to nothing: "
            "start the server without the cache.",
        ),
        _invalid(
            "acceptance_missed",
            find.acceptance_missed,
            "The acceptance length is over 1 % off the one that was forced, and not by chance: the engine did not take "
            "the setting as meant.",
        ),
        _invalid(
            "accuracy_differs",
            find.accuracy_differs,
            "MTP's greedy answers part from Off's sooner than Off's from each other, or a task's score lies below its "
            "floor: the speed is that of another model; see answers.jsonl and accuracy.json of the attempts.",
        ),
        _warning(
            "accuracy_unknown",
            find.accuracy_unknown,
            "The task that accuracy asks for, or the ten questions that both arms are asked, could not be put to the "
            "server: nothing shows that its answers are right; see accuracy.json and answers.jsonl of the attempts; "
            "where they are missing, delete a point of the first launch (for the questions, of Off's) and run again.",
        ),
        _warning(
            "acceptance_high",
            find.acceptance_high,
            "Natural acceptance is far above the model's golden length: the text is easy to guess; look for prompts "
            "without chat template, random text, or output that loops.",
        ),
        _warning(
            "no_counters",
            find.no_counters,
            "The server's counters could not be read: nothing shows that Off was off.",
        ),
        _warning(
            "capped",
            find.capped,
            "The point ended at window.max_s before it was as precise as target_half_width_pct asks: raise the cap, or "
            "ask for less.",
        ),
        _warning(
            "preempted",
            find.above("preempted_share", 0.0),
            "Requests were pushed out of the batch for want of KV memory: a real operating point, which MTP meets "
            "first.",
        ),
        _warning(
            "server_queued",
            find.above("queued_share", find.QUEUED_SHARE),
            "Requests waited in the server's queue: raise max_running_requests, or read the point as one under a "
            "queue.",
        ),
        _warning(
            "past_eos",
            find.above("past_eos_share", find.PAST_EOS_SHARE),
            "Over 20 % of the output lies past the text's own end, where text loops and drafts are easy: compare "
            "tokens_per_chunk before and after EOS, or use length: natural.",
        ),
        _warning(
            "draft_share",
            find.draft_share,
            "Over 1 % of the steps had no drafts: the engine turned speculation off for part of the load.",
        ),
        _warning(
            "power_capped",
            find.above("power_capped_share", find.CAPPED_SHARE),
            "The power limit held clocks down: a real operating point, but look whether it did so in both arms.",
        ),
        _warning(
            "throttled",
            find.above("throttled_share", find.CAPPED_SHARE),
            "Heat or the power supply held clocks down: mend the cooling, or expect other numbers on another day.",
        ),
        _warning(
            "foreign_process",
            find.foreign_process,
            "Somebody else's process is on the server's GPUs: it takes power, memory and time; end it.",
        ),
        *(_warning(code, find.of_power(code), meaning) for code, meaning in CODES.items()),
    )
}

"""Every verdict, on a point that is clean but for the one thing."""

from dataclasses import replace

import msgspec
import pytest

from harness.checks import CHECKS, Evidence, judge
from harness.metrics import Counts
from harness.power.point_power import PointPower, point_power
from harness.power.records import Metering
from harness.records import ClientHealth, Configuration, Estimate, NoWindow, Reads, Window


@pytest.fixture
def clean(scored, user):
    """The score of a user who did all that was asked, on a server with MTP off."""
    return replace(scored(user(20)), counters_read=True, drafts=None)


@pytest.fixture
def verdict(clean, point_of, window_of):
    """Verdicts on the clean point, changed by estimates and arguments."""

    def of(*, point=None, window=None, counts=None, drafts=None, counters_read=True, numbers=None, **facts):
        estimates = dict(clean.estimates) | {
            name: value if isinstance(value, Estimate) else Estimate(value=value)
            for name, value in (numbers or {}).items()
        }
        score = replace(
            clean, estimates=estimates, drafts=drafts, counters_read=counters_read, counts=counts or clean.counts
        )
        return judge(Evidence(point=point or point_of(), score=score, window=window or window_of(2.0, 12.0), **facts))

    return of


@pytest.fixture
def mtp(point_of):
    return point_of(draft_tokens=3)


def counts_of(ended=1000, errors=None, **changed):
    facts = {"wrong_length": 0, "wrong_prompt": 0, "reconnected": 0, "cohort": 900} | changed
    return Counts(ended=ended, errors=errors or {}, **facts)


def test_a_clean_point_has_no_verdict(verdict, mtp):
    assert ((), (), {}) == verdict()
    assert ((), (), {}) == verdict(point=mtp, drafts=1000.0, prompt_hash="a", expected_prompt_hash="a")


@pytest.mark.parametrize(("share", "cached"), [(None, False), (0.01, False), (0.011, True)])
def test_prompts_that_the_server_had_read_before_void_the_point(clean, point_of, window_of, share, cached):
    got = judge(Evidence(point=point_of(), score=replace(clean, cached_share=share), window=window_of(2.0, 12.0)))

    assert (("prefix_cached",) if cached else ()) == got.invalid


@pytest.mark.parametrize("drafts", [None, 0.0])
def test_mtp_without_drafts_is_no_mtp(verdict, mtp, drafts):
    assert ("arm_not_active",) == verdict(point=mtp, drafts=drafts).invalid


@pytest.mark.parametrize(
    ("share", "codes"),
    [(0.05, (("arm_partly_active",), ())), (0.89, (("arm_partly_active",), ())), (0.9, ((), ("draft_share",)))],
)
def test_mtp_that_is_off_for_part_of_its_steps_is_no_mtp(clean, mtp, window_of, share, codes):
    estimates = dict(clean.estimates) | {"draft_share": Estimate(value=share)}
    score = replace(clean, estimates=estimates, drafts=9.0, drafted_share=share)

    assert codes == judge(Evidence(point=mtp, score=score, window=window_of(2.0, 12.0)))[:2]


def test_off_with_drafts_is_not_off(verdict):
    assert ("arm_not_off",) == verdict(drafts=12.0).invalid
    assert () == verdict(drafts=0.0).invalid


def test_off_without_any_reading_is_unproven(verdict):
    assert ((), ("no_counters",)) == verdict(counters_read=False)[:2]


def test_a_server_that_runs_otherwise_than_asked_is_a_mismatch(verdict):
    def reported(*mismatches):
        return Configuration(must_equal={}, speculative={}, derived={}, circumstance={}, mismatches=mismatches)

    got = verdict(configuration=reported("tp: asked 8, runs with 4", "dtype: asked bf16, runs with fp16"))

    assert ("config_mismatch",) == got.invalid
    assert "tp: asked 8, runs with 4; dtype: asked bf16, runs with fp16" == got.details["config_mismatch"]
    assert () == verdict(configuration=reported()).invalid


@pytest.mark.parametrize(
    ("length", "overrides", "said"),
    [
        (3.0, {}, ""),
        (2.6, {}, ""),  # near the longest context an engine drafts fewer
        (3.07, {}, "draft tokens: asked 3, the server drafts 3.07 a step"),
        (2.0, {}, "draft tokens: asked 3, the server drafts 2.00 a step"),
        (2.0, {"num_speculative_tokens_per_batch_size": "[[1, 4, 3]]"}, ""),
        (
            5.0,
            {"num_speculative_tokens_per_batch_size": "[[1, 4, 3]]"},
            "draft tokens: asked 3, the server drafts 5.00",
        ),
    ],
)
def test_drafts_of_another_length_are_a_mismatch_where_nothing_else_tells(
    clean, mtp, window_of, length, overrides, said
):
    run = mtp.run.model_copy(update={"mtp": mtp.run.mtp.model_copy(update={"overrides": overrides})})
    point = mtp.model_copy(update={"run": run})
    score = replace(clean, drafts=9.0, draft_length=length)
    got = judge(Evidence(point=point, score=score, window=window_of(2.0, 12.0)))

    assert (("config_mismatch",) if said else ()) == got.invalid
    assert got.details.get("config_mismatch", "").startswith(said)


def test_other_prompts_than_the_sweeps_are_refused(verdict):
    assert ("prompts_differ",) == verdict(prompt_hash="a", expected_prompt_hash="b").invalid
    assert () == verdict(prompt_hash="a", expected_prompt_hash=None).invalid


def test_prompts_that_the_engine_counts_otherwise_are_refused(verdict):
    assert ("prompt_tokens_mismatch",) == verdict(counts=counts_of(wrong_prompt=1)).invalid


def test_output_of_another_length_is_refused_where_it_is_to_be_exact(verdict, point_of):
    counts = counts_of(wrong_length=1)

    assert ("short_output",) == verdict(counts=counts).invalid
    assert () == verdict(counts=counts, point=point_of(length="natural")).invalid


@pytest.mark.parametrize(
    ("ended", "errors", "fails"),
    [
        (1000, {"connect": 1}, False),
        (1000, {"connect": 2}, True),
        (999, {"stall": 1}, True),
        (100_000, {"http_status": 1}, True),
        (100_000, {"stream_error": 1}, True),
        (100_000, {"early_eof": 1}, True),
        (100_000, {"usage_missing": 1}, True),
    ],
)
def test_failures_are_few_and_never_the_engines(verdict, ended, errors, fails):
    got = verdict(counts=counts_of(ended=ended, errors=errors))

    assert (("failed_requests",) if fails else ()) == got.invalid


def test_failures_are_named_by_class(verdict):
    got = verdict(counts=counts_of(ended=10, errors={"stall": 2, "connect": 1}))

    assert "3 of 10 requests (connect 1, stall 2)" == got.details["failed_requests"]


def test_a_load_that_was_given_up_says_why(verdict):
    assert ("server_died",) == verdict(aborted="server_died").invalid
    assert ("failed_requests",) == verdict(aborted="failed_requests").invalid


def test_a_point_that_never_settled_is_not_steady(verdict, window_of):
    assert ("not_steady",) == verdict(window=window_of(2.0, 12.0, steady=False)).invalid


def test_under_ten_blocks_is_too_short_unless_it_is_a_demo(verdict, window_of):
    short = window_of(2.0, 11.0, blocks=9)

    assert ("window_too_short",) == verdict(window=short).invalid
    assert ((), ("window_too_short",)) == verdict(window=short, demo=True)[:2]


def test_no_window_at_all_is_too_short_even_for_a_demo(verdict):
    nothing = NoWindow(reason="window_too_short", text="steady for 0.1 s")

    assert ("window_too_short",) == verdict(window=nothing, demo=True).invalid
    assert "steady for 0.1 s" == verdict(window=nothing).details["window_too_short"]


def test_a_window_that_ended_at_the_cap_is_marked(verdict, window_of):
    assert ((), ("capped",)) == verdict(window=window_of(2.0, 30.0, blocks=20, capped=True))[:2]


def test_too_short_a_window_is_not_called_capped_as_well(verdict, window_of):
    assert ("window_too_short",) == verdict(window=window_of(2.0, 7.0, blocks=5, capped=True)).invalid


@pytest.mark.parametrize(("held", "bound"), [(63.4, False), (63.3, True)])
def test_users_who_were_not_there_make_a_point_the_clients(verdict, point_of, held, bound):
    got = verdict(point=point_of(concurrency=64), numbers={"held_concurrency": held})

    assert (("client_bound",) if bound else ()) == got.invalid


@pytest.mark.parametrize(("ratio", "broken"), [(0.991, False), (0.989, True), (1.009, False), (1.011, True)])
def test_littles_law_holds_within_a_hundredth(verdict, ratio, broken):
    assert (("littles_law",) if broken else ()) == verdict(numbers={"littles_law_ratio": ratio}).invalid


@pytest.mark.parametrize(
    ("value", "lo", "hi", "missed"),
    [
        (2.60, 2.59, 2.61, False),
        (2.68, 2.60, 2.76, False),  # 3 % off, but the point is too short to tell
        (2.65, 2.63, 2.67, True),
        (2.50, 2.45, 2.57, True),
        (2.62, None, None, False),
        (2.63, None, None, True),
    ],
)
def test_forced_acceptance_is_missed_when_its_whole_interval_is(verdict, point_of, value, lo, hi, missed):
    got = verdict(
        point=point_of(draft_tokens=3, forced=2.6),
        drafts=1000.0,
        numbers={"acceptance_length": Estimate(value=value, lo=lo, hi=hi)},
    )

    assert (("acceptance_missed",) if missed else ()) == got.invalid


def test_natural_acceptance_can_not_be_missed(verdict, mtp):
    assert () == verdict(point=mtp, drafts=1000.0, numbers={"acceptance_length": 1.1}).invalid


@pytest.mark.parametrize(
    ("number", "fine", "marked", "code"),
    [
        ("preempted_share", 0.0, 0.01, "preempted"),
        ("queued_share", 0.05, 0.06, "server_queued"),
        ("past_eos_share", 0.2, 0.21, "past_eos"),
        ("draft_share", 0.99, 0.98, "draft_share"),
    ],
)
def test_circumstances_mark_a_point_and_leave_it_valid(verdict, mtp, number, fine, marked, code):
    assert ((), ()) == verdict(point=mtp, drafts=1.0, numbers={number: fine})[:2]
    assert ((), (code,)) == verdict(point=mtp, drafts=1.0, numbers={number: marked})[:2]


KEPT_UP = Reads(
    count=1000, late_p50_s=0.0, late_p99_s=0.02, late_max_s=0.1, several=0.009, unstamped=0.0, clock_moved_s=9e-5
)


@pytest.mark.parametrize(
    ("busy", "reads", "said"),
    [
        (0.8, {}, ""),
        (0.81, {}, "the client used 81 % of a core"),
        (0.1, {"several": 0.011}, "1.1 % of the reads held several chunks, 20 ms late at the 99th percentile"),
        (0.1, {"several": 0.5, "late_p99_s": 0.009}, ""),
        (0.1, {"clock_moved_s": 0.5}, "the time of day was set by 500 ms"),
    ],
)
def test_a_client_that_could_not_keep_up_voids_the_point(verdict, busy, reads, said):
    late = {"lateness_p50_s": 0.0, "lateness_p99_s": 0.0, "lateness_max_s": 0.0}
    health = ClientHealth(busy=busy, reads=msgspec.structs.replace(KEPT_UP, **reads), **late)
    got = verdict(health=health)

    assert (("client_bound",) if said else ()) == got.invalid
    assert said == got.details.get("client_bound", "")


def test_every_reason_stands_beside_every_other(verdict, window_of):
    got = verdict(
        drafts=5.0, window=window_of(2.0, 7.0, blocks=5, steady=False), numbers={"queued_share": 0.5}, demo=True
    )

    assert ("arm_not_off", "not_steady") == got.invalid
    assert ("window_too_short", "server_queued") == got.warnings
    assert {*got.invalid, *got.warnings} == got.details.keys()


def test_a_process_of_somebody_else_is_a_warning_with_its_number(verdict):
    got = verdict(power=PointPower(findings={}, foreign={"GPU-a": (17, 23)}))

    assert ((), ("foreign_process",)) == got[:2]
    assert "GPU-a: process 17, 23" == got.details["foreign_process"]


def test_a_meter_that_never_was_voids_no_throughput(verdict, window_of):
    power = point_power(Metering(failure="NVML: library not found"), None, window_of(2.0, 12.0))

    assert "power_no_meter" == power.reason
    assert ((), ("power_no_meter",)) == verdict(power=power)[:2]


def test_every_code_has_one_sentence_that_says_what_to_do():
    for code, check in CHECKS.items():
        assert code == check.code
        assert check.meaning.endswith(".")
        assert len(check.meaning) > 60


def test_windows_of_a_real_point_are_judged(scored, user, window_of, point_of):
    window = window_of(2.0, 12.0)
    assert isinstance(window, Window)
    assert ((), ("no_counters",)) == judge(Evidence(point=point_of(), score=scored(user(20)), window=window))[:2]


def left(request_of, at, sent_s, chunks, *, end_s=12.5, slot=1):
    return request_of(sent_s, chunks, osl=9, error="cancelled", end_ns=at(end_s), index=900 + slot, slot=slot)


def said_of_unfinished(scored, point_of, window_of, requests, **workload):
    point = point_of(concurrency=2, **workload)
    return judge(Evidence(point=point, score=scored(requests, point=point), window=window_of(2.0, 12.0))).details.get(
        "stalled", ""
    )


def test_requests_that_never_end_void_the_point(scored, user, request_of, at, point_of, window_of):
    stuck = [left(request_of, at, 5.0, [(5.2, 1), (5.3, 1)]), left(request_of, at, 6.0, [], slot=2)]

    said = said_of_unfinished(scored, point_of, window_of, [*user(12), *stuck])

    assert "2 of the 2 requests in flight at the end had got nothing for up to 7.2 s" == said
    assert CHECKS["stalled"].invalid


def test_requests_that_the_end_cut_off_in_the_middle_are_no_stall(scored, user, request_of, at, point_of, window_of):
    # TTFT is 0.2 s and a gap 0.1 s: 1 s without a chunk is ten gaps, and what a busy machine takes now and then.
    cut_off = [left(request_of, at, 11.0, [(11.6, 1)]), left(request_of, at, 11.5, [], slot=2)]

    assert "" == said_of_unfinished(scored, point_of, window_of, [*user(12), *cut_off])


def test_a_server_that_pauses_at_all_times_may_pause_at_the_end(scored, user, request_of, at, point_of, window_of):
    paused = request_of(5.0, [(5.2, 1), (7.2, 8)], index=800, slot=3)
    waits = [left(request_of, at, 8.0, [(9.0, 1)])]

    assert "" != said_of_unfinished(scored, point_of, window_of, [*user(12), *waits])
    assert "" == said_of_unfinished(scored, point_of, window_of, [*user(12), paused, *waits])


def test_a_request_that_trickles_on_for_ever_is_told_by_its_age(scored, user, request_of, at, point_of, window_of):
    slow = [left(request_of, at, 5.0, [(6.0 + 0.9 * token, 1) for token in range(8)])]

    said = said_of_unfinished(scored, point_of, window_of, [*user(12), *slow])

    assert "1 of the 1 requests in flight at the end were up to 7.5 s old" == said
    assert "" == said_of_unfinished(scored, point_of, window_of, [*user(12), *slow], length="natural")

import pytest

from harness.records import EngineCounters


def value(score, name):
    estimate = score.estimates[name]
    assert estimate.value is not None, (name, estimate.reason)
    return pytest.approx(estimate.value)


@pytest.fixture
def readings(at):
    """A server that drafts 10 times a second, accepts 16 of 30 drafts (8, 5, 3 by position) and ends a request."""

    def make(start_s=0.0, end_s=14.0, step_s=1.0, **changes):
        made = []
        second = start_s
        while second <= end_s + 1e-9:
            facts = {
                "drafts": 10 * second,
                "draft_tokens": 30 * second,
                "accepted_tokens": 16 * second,
                "accepted_per_position": (8 * second, 5 * second, 3 * second),
                "generation_tokens": 27 * second,
                "requests": second,
                "preemptions": 0.0,
                "waiting": 0.0,
                "queue_s": 0.05 * second,
                "queued_requests": second,
            } | {name: change(second) for name, change in changes.items()}
            made.append(EngineCounters(t_ns=at(second), **facts))
            second += step_s
        return made

    return make


@pytest.fixture
def mtp(point_of):
    return point_of(draft_tokens=3)


def test_acceptance_length_is_one_more_than_accepted_over_drafts(scored, user, readings, mtp):
    score = scored(user(20), counters=readings(), point=mtp)

    assert 2.6 == value(score, "acceptance_length")
    assert 0.8 == value(score, "acceptance_position_0")
    assert 0.5 == value(score, "acceptance_position_1")
    assert 0.3 == value(score, "acceptance_position_2")
    assert 100 == pytest.approx(score.drafts)
    assert 3 == pytest.approx(score.draft_length)


def test_a_row_has_as_many_positions_as_drafts(scored, user, readings, point_of):
    names = scored(user(20), counters=readings(), point=point_of(draft_tokens=1)).estimates

    assert "acceptance_position_0" in names
    assert "acceptance_position_1" not in names


def test_counters_are_cut_at_the_windows_edges_by_interpolation(scored, user, readings, mtp, window_of):
    # Nothing accepted before second 3, one a draft after it; the readings lie at whole seconds.
    late = readings(accepted_tokens=lambda s: 10 * max(0.0, s - 3.0))
    score = scored(user(20), counters=late, point=mtp, window=window_of(2.5, 4.5, blocks=1))

    # Between 2.5 and 4.5: 20 drafts, 15 accepted.
    assert 1.75 == value(score, "acceptance_length")


def test_warm_up_does_not_count_for_acceptance(scored, user, readings, mtp):
    cold = readings(accepted_tokens=lambda s: 0.0 if s < 2 else 10 * (s - 2))

    assert 2.0 == value(scored(user(20), counters=cold, point=mtp), "acceptance_length")


def test_acceptance_has_an_interval_from_its_blocks(scored, user, readings, mtp):
    uneven = readings(accepted_tokens=lambda s: 16 * s + 3 * (s % 2))
    estimate = scored(user(20), counters=uneven, point=mtp).estimates["acceptance_length"]

    assert 2.3 < estimate.lo < 2.6 < estimate.hi < 2.9


def test_blocks_shorter_than_the_readings_make_no_narrower_interval(scored, user, readings, mtp, window_of):
    uneven = readings(accepted_tokens=lambda s: 16 * s + 3 * (s % 2))
    few, many = (
        scored(user(20), counters=uneven, point=mtp, window=window_of(2.0, 12.0, blocks=blocks)).estimates[
            "acceptance_length"
        ]
        for blocks in (10, 100)
    )

    assert (few.hi - few.lo) == pytest.approx(many.hi - many.lo, rel=0.25)


def test_off_has_no_acceptance(scored, user, readings):
    score = scored(user(20), counters=readings())

    for name in ("acceptance_length", "draft_share"):
        assert (None, "off") == (score.estimates[name].value, score.estimates[name].reason)


def test_offs_drafts_are_all_that_the_server_ever_counted(scored, user, readings):
    score = scored(user(20), counters=readings(drafts=lambda s: 7.0))

    assert 7.0 == score.drafts


@pytest.mark.parametrize(
    ("counters", "reason"),
    [
        ({"end_s": -1.0}, "no_counters"),
        ({"end_s": 10.0}, "counters_end_early"),
        ({"drafts": lambda s: None}, "not_exposed"),
        ({"drafts": lambda s: 10 * (s % 7)}, "counter_reset"),
        ({"drafts": lambda s: 5.0}, "nothing_counted"),
    ],
)
def test_counters_that_can_not_be_used_say_why(scored, user, readings, mtp, counters, reason):
    score = scored(user(20), counters=readings(**counters), point=mtp)

    assert (None, reason) == (score.estimates["acceptance_length"].value, score.estimates["acceptance_length"].reason)


def test_counters_that_miss_a_little_of_the_window_will_do(scored, user, readings, mtp):
    assert 2.6 == value(scored(user(20), counters=readings(end_s=11.5), point=mtp), "acceptance_length")


def test_draft_share_leaves_out_the_token_of_each_prefill(scored, user, readings, mtp):
    # 27 tokens a second, 16 of them accepted drafts and 1 a prefill's: 10 steps, all with drafts.
    assert 1.0 == value(scored(user(20), counters=readings(), point=mtp), "draft_share")


def test_draft_share_sees_steps_without_drafts(scored, user, readings, mtp):
    plain = readings(generation_tokens=lambda s: 32 * s)

    assert 10 / 15 == value(scored(user(20), counters=plain, point=mtp), "draft_share")


def test_overshoot_makes_no_draft_share_above_one(scored, user, readings, mtp):
    # Accepted but not delivered tokens hide steps.
    assert 1.0 == value(
        scored(user(20), counters=readings(generation_tokens=lambda s: 25 * s), point=mtp), "draft_share"
    )


def test_queue_time_is_the_servers_mean(scored, user, readings):
    assert 0.05 == value(scored(user(20), counters=readings()), "queue_s")


def test_preemptions_are_a_share_of_requests(scored, user, readings):
    assert 0.5 == value(scored(user(20), counters=readings(preemptions=lambda s: s / 2)), "preempted_share")


def test_queued_share_is_the_mean_of_the_gauge_inside_the_window(scored, user, readings, point_of):
    # 4 waiting of 8 users from second 7 on: 6 of the 11 readings from 2 to 12.
    waiting = readings(waiting=lambda s: 4.0 if s >= 7 else 0.0)

    assert 6 / 11 * 4 / 8 == value(scored(user(20), counters=waiting, point=point_of(concurrency=8)), "queued_share")


def test_tokens_per_chunk_leaves_out_the_first_chunk(scored, request_of):
    assert 3.0 == value(scored([request_of(3.0, [(3.5, 1), (3.9, 4), (4.3, 2)])]), "tokens_per_chunk")


def test_tokens_per_chunk_is_told_apart_at_the_end_of_the_text(scored, request_of):
    # EOS is the 6th token (index 5): the chunk of tokens 1-4 lies before it, 5-8 holds it, 9-12 and 13-14 come after.
    chunks = [(3.5, 1), (3.6, 4), (3.7, 4), (3.8, 4), (3.9, 2)]
    score = scored([request_of(3.0, chunks, eos_at=5)])

    assert 4.0 == value(score, "tokens_per_chunk_before_eos")
    assert 3.0 == value(score, "tokens_per_chunk_after_eos")
    assert 9 / 15 == value(score, "past_eos_share")


def test_a_text_that_never_ended_has_no_share_past_its_end(scored, request_of):
    never = request_of(3.0, [(3.5, 1), (3.6, 9)])
    ended = request_of(3.0, [(3.5, 1), (3.6, 9)], eos_at=4, index=1)

    assert "no_eos_seen" == scored([never]).estimates["past_eos_share"].reason
    assert 5 / 20 == value(scored([never, ended]), "past_eos_share")


def test_an_engine_that_counts_no_accepted_drafts_is_asked_about_each_request(scored, user, request_of, readings, mtp):
    counts_drafts_alone = readings(accepted_tokens=lambda s: None)
    told = user(20, drafts=4, accepted_drafts=6)

    assert 1 + 6 / 4 == value(scored(told, counters=counts_drafts_alone, point=mtp), "acceptance_length")


def test_requests_that_do_not_say_how_they_were_drafted_are_left_out(scored, request_of, readings, mtp):
    told = request_of(3.0, [(3.5, 1), (3.9, 9)], drafts=4, accepted_drafts=6)
    silent = request_of(3.0, [(3.5, 1), (3.9, 9)], index=1)
    score = scored([told, silent], counters=readings(accepted_tokens=lambda s: None), point=mtp)

    assert 1 + 6 / 4 == value(score, "acceptance_length")


def test_where_nothing_is_said_of_accepted_drafts_what_was_delivered_counts(scored, user, readings, mtp):
    told = readings(
        accepted_tokens=lambda s: None,
        drafts=lambda s: 40 * s,
        generation_tokens=lambda s: 105 * s,
        requests=lambda s: 5 * s,
    )

    assert 100 / 40 == pytest.approx(value(scored(user(20), counters=told, point=mtp), "acceptance_length"))
    assert "not_exposed" == scored(user(20), counters=told, point=mtp).estimates["draft_share"].reason


def test_prompts_from_a_prefix_cache_are_told_by_its_hits_in_the_window_alone(scored, user, readings, point_of):
    prompts = {"prompt_tokens": lambda s: 100 * s}

    def cached(hits):
        return scored(user(20), counters=readings(**prompts, prefix_cache_hits=hits)).cached_share

    assert 0.25 == pytest.approx(cached(lambda s: 25 * s))
    assert 0.0 == cached(lambda s: 500.0)
    assert None is scored(user(20), counters=readings(**prompts)).cached_share


def test_steps_without_drafts_are_told_by_the_requests_where_no_counter_tells(scored, user, readings, mtp, point_of):
    def share(requests, **more):
        return scored(requests, point=mtp, counters=readings(accepted_tokens=lambda _: None), **more).drafted_share

    # 9 tokens: one of the prompt, then 4 steps that had drafts gave 6 with 2 accepted, and 2 steps had none.
    assert 4 / 6 == pytest.approx(share(user(20, drafts=4, accepted_drafts=2)))
    # The last step accepts beyond the end.
    assert 1.0 == share(user(20, drafts=4, accepted_drafts=6))
    assert None is share(user(20))
    assert None is scored(user(20), counters=readings(), point=point_of()).drafted_share


def test_the_share_of_the_counters_goes_before_what_requests_tell(scored, user, readings, mtp):
    score = scored(user(20, drafts=4, accepted_drafts=2), counters=readings(), point=mtp)

    assert score.estimates["draft_share"].value == score.drafted_share == pytest.approx(1.0)

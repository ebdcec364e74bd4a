import pytest

from harness.stats import t_quantile


def value(score, name):
    estimate = score.estimates[name]
    assert estimate.value is not None, (name, estimate.reason)
    return pytest.approx(estimate.value)


def test_a_users_throughput_is_its_tokens_over_the_window(scored, user):
    # 9 tokens and 100 prompt tokens a second.
    score = scored(user(20))

    assert 9.0 == value(score, "output_tok_s_gpu")
    assert 100.0 == value(score, "input_tok_s_gpu")
    assert 109.0 == value(score, "total_tok_s_gpu")
    assert 1.0 == value(score, "request_s")
    assert 10.0 == value(score, "window_s")


def test_throughput_is_per_gpu(scored, user, point_of):
    assert 109.0 / 4 == value(scored(user(20), point=point_of(tp=4)), "total_tok_s_gpu")


def test_tokens_count_by_their_stamp(scored, request_of, window_of):
    # One chunk before, one at T0, one inside, one at T1: the window holds its beginning and not its end.
    chunks = [(1.9, 1), (2.0, 2), (5.0, 4), (12.0, 8)]
    score = scored([request_of(1.0, chunks)], window=window_of(2.0, 12.0, blocks=2))

    assert 0.6 == value(score, "output_tok_s_gpu")
    assert pytest.approx((6 / 5, 0.0)) == score.blocks["output_tok_s_gpu"]


def test_windows_side_by_side_count_every_token_once(scored, user, window_of):
    requests = user(20)
    parts = [scored(requests, window=window_of(a, b)) for a, b in ((2.0, 5.3), (5.3, 12.0))]
    whole = scored(requests, window=window_of(2.0, 12.0))

    for name in ("output_tok_s_gpu", "input_tok_s_gpu"):
        sums = sum(p.estimates[name].value * p.estimates["window_s"].value for p in parts)
        assert sums == pytest.approx(10 * whole.estimates[name].value)


def test_prompt_tokens_are_spread_over_the_life_of_their_request(scored, request_of):
    # In flight from 0 to 4, of which the half lies inside.
    score = scored([request_of(0.0, [(0.1, 1), (4.0, 8)])])

    assert 50 / 10 == value(score, "input_tok_s_gpu")


def test_where_the_windows_edges_fall_in_a_request_changes_nothing(scored, user, window_of):
    rates = [
        scored(user(20), window=window_of(2.0 + shift / 10, 12.0 + shift / 10)).estimates["total_tok_s_gpu"].value
        for shift in range(10)
    ]

    assert [109.0] * 10 == pytest.approx(rates)


def test_a_request_cut_off_by_the_end_lives_on_at_the_cohorts_pace(scored, user, request_of):
    # Sent at 11.5, cut off at 12 with 4 of its 9 tokens: 5 more at 0.1 s would have made its life 1 s.
    cut_off = request_of(11.5, [(11.7, 1), (12.0, 3)], osl=9, error="cancelled", index=99, slot=1)
    score = scored([*user(20), cut_off])

    assert 100 + 50 / 10 == value(score, "input_tok_s_gpu")


def test_a_request_cut_off_before_its_first_token_waits_as_long_as_others(scored, user, request_of, at):
    # Sent at 11.9 and cut off at 12: 0.1 s more to the first token, 9 tokens at 0.1 s: a life of 1.1 s.
    cut_off = request_of(11.9, [], osl=9, error="cancelled", end_ns=at(12), index=99, slot=1)
    score = scored([*user(20), cut_off])

    assert 100 + 100 / 1.1 * 0.1 / 10 == value(score, "input_tok_s_gpu")


def test_tokens_of_failed_requests_count_for_nobody(scored, user, request_of):
    failed = request_of(3.0, [(3.5, 100)], error="stall", index=99, slot=1)
    score = scored([*user(20), failed])

    assert 109.0 == value(score, "total_tok_s_gpu")
    assert {"stall": 1} == score.counts.errors


def test_tokens_of_starters_and_of_the_cut_off_count(scored, user, request_of):
    starter = request_of(1.0, [(3.5, 10)], starter=True, index=-1, slot=1)
    cut_off = request_of(3.5, [(4.0, 20)], osl=9, error="cancelled", index=99, slot=1)

    assert 9.0 + 1.0 + 2.0 == value(scored([*user(20), starter, cut_off]), "output_tok_s_gpu")


def test_the_interval_of_a_rate_is_students_over_blocks(scored, request_of, window_of):
    # Blocks of 1 s with 1, 4, 2 and 3 tokens: mean 2.5, standard error sqrt(5/3)/2.
    chunks = [(2.5, 1), (3.5, 4), (4.5, 2), (5.5, 3)]
    estimate = scored([request_of(1.0, chunks)], window=window_of(2.0, 6.0, blocks=4)).estimates["output_tok_s_gpu"]
    half = t_quantile(0.975, 3) * (5 / 3) ** 0.5 / 2

    assert (2.5 - half, 2.5, 2.5 + half) == pytest.approx((estimate.lo, estimate.value, estimate.hi))


def test_a_window_of_one_block_has_no_interval(scored, user, window_of):
    estimate = scored(user(20), window=window_of(2.0, 12.0, blocks=1)).estimates["total_tok_s_gpu"]

    assert (None, None) == (estimate.lo, estimate.hi)


def test_an_empty_window_has_no_throughput(scored, request_of):
    score = scored([request_of(0.0, [(0.5, 5)])])

    for name in ("output_tok_s_gpu", "input_tok_s_gpu", "total_tok_s_gpu"):
        assert (None, "no_tokens") == (score.estimates[name].value, score.estimates[name].reason)


def test_held_concurrency_is_the_time_in_flight(scored, user, request_of, point_of):
    # The second user is there for 4 of 10 seconds.
    score = scored([*user(20), request_of(3.0, [(4.0, 1), (7.0, 8)], slot=1, index=99)], point=point_of(concurrency=2))

    assert 1.4 == value(score, "held_concurrency")


@pytest.mark.parametrize("shift", [0.0, 0.31, 0.77])
@pytest.mark.parametrize("seconds", [1.5, 3.0, 10.0])
def test_littles_law_holds_however_short_a_clean_window_is(scored, user, window_of, point_of, shift, seconds):
    users = [request for slot in range(3) for request in user(20, slot=slot, start_s=slot / 3)]
    window = window_of(4.0 + shift, 4.0 + shift + seconds)

    assert 1.0 == value(scored(users, window=window, point=point_of(concurrency=3)), "littles_law_ratio")


def test_a_lost_record_breaks_littles_law(scored, user):
    requests = user(20)
    del requests[5]

    assert 0.9 == value(scored(requests), "littles_law_ratio")


def test_a_record_that_stands_twice_breaks_littles_law(scored, user):
    requests = user(20)

    assert 1.1 == value(scored([*requests, requests[5]]), "littles_law_ratio")


def test_a_failed_request_that_took_a_users_time_breaks_littles_law(scored, user, request_of):
    requests = user(20)
    requests[5] = request_of(5.0, [(6.0, 1)], error="stall")

    assert 0.9 == value(scored(requests), "littles_law_ratio")
    assert 1.0 == value(scored(requests), "held_concurrency")


def test_whole_run_throughput_is_inferencexs(scored, request_of):
    # First send at 1, last completion at 11, 30 tokens out of 200 in; the cut-off request is not counted.
    requests = [
        request_of(1.0, [(2.0, 1), (5.0, 9)]),
        request_of(5.0, [(6.0, 1), (11.0, 19)], index=1),
        request_of(11.0, [(11.5, 1)], index=2, error="cancelled"),
    ]
    score = scored(requests)

    assert 3.0 == value(score, "inferencex_output_tok_s_gpu")
    assert 23.0 == value(score, "inferencex_total_tok_s_gpu")


def test_a_block_in_which_no_request_ends_has_the_speed_of_the_next(scored, request_of, window_of):
    requests = [
        request_of(2.0, [(2.5, 1), (4.5, 10)]),
        request_of(4.5, [(5.0, 1), (9.0, 10)], index=1),
    ]
    score = scored(requests, window=window_of(2.0, 12.0, blocks=5))

    # Requests end in the blocks [4, 6) and [8, 10).
    assert (5.0, 5.0, 2.5, 2.5, 2.5) == pytest.approx(score.blocks["interactivity"])

import pytest


def value(score, name):
    estimate = score.estimates[name]
    assert estimate.value is not None, (name, estimate.reason)
    return pytest.approx(estimate.value)


def test_a_users_latencies_are_those_of_its_requests(scored, user):
    score = scored(user(20))

    assert 0.2 == value(score, "ttft_s")
    assert 0.1 == value(score, "tpot_s")
    assert 10.0 == value(score, "interactivity")
    assert 1.0 == value(score, "e2e_s")
    assert 9.0 == value(score, "user_tok_s_e2e")


def test_tpot_counts_tokens_not_chunks(scored, request_of):
    # 1 token, then 3 chunks of 4 tokens in 1.2 s: 12 tokens in 1.2 s.
    score = scored([request_of(3.0, [(3.5, 1), (3.9, 4), (4.3, 4), (4.7, 4)])])

    assert 0.1 == value(score, "tpot_s")


def test_tpot_leaves_out_all_tokens_of_the_first_chunk(scored, request_of):
    # The first chunk brings 5 tokens, which took no time between the stamps: 4 tokens in 0.8 s.
    score = scored([request_of(3.0, [(3.5, 5), (3.9, 2), (4.3, 2)])])

    assert 0.2 == value(score, "tpot_s")


def test_itl_shares_a_gap_among_its_tokens_and_chunk_gap_does_not(scored, request_of):
    # Gaps of 0.4 s with 4 tokens, thrice, and of 0.6 s with 1 token.
    score = scored([request_of(3.0, [(3.5, 1), (3.9, 4), (4.3, 4), (4.7, 4), (5.3, 1)])])

    assert 0.1 == value(score, "itl_s")
    assert 0.4 == value(score, "chunk_gap_s")
    assert 0.6 == pytest.approx(score.estimates["itl_s"].p99)
    assert 0.6 == pytest.approx(score.estimates["chunk_gap_s"].p90)


def test_interactivity_is_the_median_of_requests_and_its_p10_the_slow_tail(scored, request_of):
    def at_speed(index, tok_s):
        return request_of(3.0 + index / 10, [(3.5, 1), (3.5 + 10 / tok_s, 10)], index=index)

    score = scored([at_speed(i, tok_s) for i, tok_s in enumerate([10, 20, 30, 40, 50])])
    estimate = score.estimates["interactivity"]

    assert 30 == pytest.approx(estimate.value)
    assert 30 == pytest.approx(estimate.p50)
    assert 14 == pytest.approx(estimate.p10)
    assert 46 == pytest.approx(estimate.p90)


def test_the_cohort_is_what_gets_its_last_token_inside(scored, user):
    # Last tokens at 1.0, 2.0, ... 20.0: inside [2, 12) lie ten of them.
    score = scored(user(20))

    assert 10 == value(score, "requests")
    assert 10 == score.counts.cohort


def test_starters_and_failures_are_in_no_latency(scored, user, request_of):
    slow = [(3.0 + i, 1) for i in range(5)]
    others = [
        request_of(2.5, slow, index=-1, slot=1, starter=True),
        request_of(2.5, slow, index=90, slot=2, error="stall"),
        request_of(2.5, slow, index=91, slot=3, error="cancelled"),
    ]
    score = scored([*user(20), *others])

    assert 10 == value(score, "requests")
    assert 0.1 == pytest.approx(score.estimates["tpot_s"].p99)


def test_lengths_are_the_engines(scored, user):
    score = scored(user(20, prompt_tokens=103))

    assert 103 == value(score, "isl_served")
    assert 9 == value(score, "osl_served")


def test_without_usage_the_prompt_length_is_missing(scored, user):
    assert "no_usage" == scored(user(20, prompt_tokens=None)).estimates["isl_served"].reason


def test_a_request_of_one_chunk_has_no_tpot(scored, request_of):
    score = scored([request_of(3.0, [(3.5, 9)])])

    for name in ("tpot_s", "interactivity", "itl_s", "chunk_gap_s", "tokens_per_chunk"):
        assert (None, "single_chunk") == (score.estimates[name].value, score.estimates[name].reason)
    assert 0.5 == value(score, "ttft_s")


def test_chunks_at_one_instant_give_no_infinite_speed(scored, request_of):
    score = scored([request_of(3.0, [(3.5, 1), (3.5, 8)])])

    assert "single_chunk" == score.estimates["interactivity"].reason


def test_without_requests_every_latency_says_so(scored):
    score = scored([])

    for name in ("ttft_s", "tpot_s", "itl_s", "interactivity", "e2e_s", "request_s", "isl_served", "osl_served"):
        assert (None, "no_requests") == (score.estimates[name].value, score.estimates[name].reason)


def test_goodput_counts_requests_within_both_limits(scored, user, request_of, point_of):
    late = [request_of(3.0, [(4.0, 1), (4.8, 8)], index=50, slot=1)]
    jerky = [request_of(3.0, [(3.1, 1), (6.1, 8)], index=51, slot=2)]
    both = point_of(ttft_limit_s=0.5, tpot_limit_s=0.2)

    assert 1.0 == value(scored([*user(20), *late, *jerky], point=both), "goodput_req_s")
    assert 1.1 == value(scored([*user(20), *late, *jerky], point=point_of(ttft_limit_s=0.5)), "goodput_req_s")
    assert "no_limits" == scored(user(20)).estimates["goodput_req_s"].reason


def test_inferencex_tpot_divides_by_one_token_less_over_the_whole_run(scored, request_of):
    # 4 tokens in the first chunk: InferenceX divides 0.8 s by 8 tokens, where 5 were made in that time.
    outside = request_of(0.0, [(0.5, 4), (1.3, 5)])
    score = scored([outside])

    assert 0.1 == value(score, "inferencex_tpot_s")
    assert 10.0 == value(score, "inferencex_interactivity")
    assert "no_requests" == score.estimates["tpot_s"].reason

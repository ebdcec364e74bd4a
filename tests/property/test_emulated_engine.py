"""What holds of the emulated engine whatever it is given."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.model import EngineModel
from harness.emulator.profile import Limits, Noise, Profile
from harness.emulator.virtual_load import closed_loop

COST = Profile(
    name="any",
    fixed_s=0.01,
    per_position_s=1e-4,
    per_context_token_s=1e-6,
    per_prefill_token_s=1e-5,
    per_draft_s=1e-3,
    source="made up",
)
CONTEXT = 60


@st.composite
def engines(draw):
    drafts = draw(st.integers(0, 4))
    limits = Limits(
        max_running_requests=draw(st.integers(1, 8)),
        context=CONTEXT,
        chunked_prefill_tokens=draw(st.none() | st.integers(1, 50)),
        kv_tokens=draw(st.none() | st.integers(CONTEXT, 3 * CONTEXT)),
    )
    return EngineModel(COST, limits, Speculation(drafts, draw(st.floats(0, 1))), seed=draw(st.integers(0, 9)))


REQUESTS = st.lists(
    st.tuples(st.integers(1, CONTEXT // 2), st.integers(1, CONTEXT // 2), st.floats(0, 2)), min_size=1, max_size=20
)


@given(engines(), REQUESTS)
def test_every_token_that_was_asked_for_is_delivered_once_and_nothing_else(engine, requests):
    for number, request in enumerate(requests):
        engine.submit(number, *request)
    seen = [[0] for _ in requests]
    ends = set()
    while (deliveries := engine.step()) is not None:
        for number, tokens, done in deliveries:
            assert number not in ends
            assert tokens > seen[number][-1]
            seen[number].append(tokens)
            if done:
                ends.add(number)

    assert [wanted for _, wanted, _ in requests] == [counts[-1] for counts in seen]
    assert set(range(len(requests))) == ends


@given(engines(), REQUESTS)
def test_counters_add_up(engine, requests):
    for number, request in enumerate(requests):
        engine.submit(number, *request)
    chunks = 0
    while (deliveries := engine.step()) is not None:
        chunks += len(deliveries)
    drafts = engine.speculation.draft_tokens
    end = engine.counters(0)

    assert sum(prompt for prompt, _, _ in requests) == end.prompt_tokens
    assert sum(wanted for _, wanted, _ in requests) == end.generation_tokens
    assert len(requests) == end.requests
    assert (0, 0, 0) == (end.running, end.waiting, end.kv_usage)
    if not drafts:
        assert (None, None, None, None) == (
            end.drafts,
            end.draft_tokens,
            end.accepted_tokens,
            end.accepted_per_position,
        )
        return
    # A step that follows a prefill has no drafts of its own; every other chunk is a verified step.
    assert chunks - len(requests) - end.preemptions <= end.drafts <= chunks - len(requests)
    assert end.drafts * drafts == end.draft_tokens
    assert sum(end.accepted_per_position) == end.accepted_tokens
    assert list(end.accepted_per_position) == sorted(end.accepted_per_position, reverse=True)
    overshoot = chunks + end.accepted_tokens - end.generation_tokens
    assert 0 <= overshoot <= drafts * len(requests)


@given(engines(), REQUESTS)
def test_time_goes_forward_and_limits_hold(engine, requests):
    for number, request in enumerate(requests):
        engine.submit(number, *request)
    last_s = -1.0
    while engine.step() is not None:
        assert engine.now_s > last_s
        last_s = engine.now_s
        reading = engine.counters(0)
        assert reading.running <= engine.limits.max_running_requests
        assert reading.kv_usage <= 1


@given(engines(), REQUESTS, st.integers(0, 30), st.integers(0, 19))
def test_an_aborted_request_leaves_nothing_behind(engine, requests, steps, gone):
    for number, request in enumerate(requests):
        engine.submit(number, *request)
    for _ in range(steps):
        engine.step()
    engine.begin()
    engine.abort(gone)
    if engine.counters(0).running:
        engine.end()
    while (deliveries := engine.step()) is not None:
        assert gone not in {number for number, _, _ in deliveries}

    assert (0, 0, 0) == (engine.counters(0).running, engine.counters(0).waiting, engine.counters(0).kv_usage)


@given(st.integers(1, 8), st.floats(0, 1))
def test_any_acceptance_length_that_drafts_allow_is_reached(drafts, share):
    length = 1 + share * drafts

    assert length == pytest.approx(Speculation.of_length(drafts, length).acceptance_length, abs=1e-9)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.floats(0, 1), st.integers(0, 99))
def test_draws_have_the_acceptance_length_that_was_asked_for(drafts, share, seed):
    length = 1 + share * drafts
    draws = Speculation.of_length(drafts, length).draws(seed)
    count = 40_000

    # Accepted drafts vary by less than `drafts`: five standard errors of their mean.
    assert length == pytest.approx(1 + draws.take(count).mean(), abs=5 * drafts / count**0.5)


@given(st.integers(1, 6), st.floats(-3, 0.99) | st.floats(0.01, 3))
def test_an_acceptance_length_out_of_reach_is_refused(drafts, beyond):
    length = beyond if beyond < 1 else drafts + 1 + beyond

    with pytest.raises(ValueError, match="tokens a step"):
        Speculation.of_length(drafts, length)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(2, 40), st.integers(0, 3))
def test_users_hold_their_number_in_flight_and_samples_match_the_counters(users, isl, osl, seed):
    point = closed_loop(
        COST,
        concurrency=users,
        isl=isl,
        osl=osl,
        duration_s=3.0,
        speculation=Speculation(2, 0.5) if seed % 2 else OFF,
        noise=Noise(launch_sd=0.1, block_sd=0.05, block_s=0.5),
        seed=seed,
    )
    samples = point.samples
    finished = samples.error == ""
    last = samples.chunk_tokens[samples.offsets[1:][finished] - 1]

    assert users == (samples.error == "cancelled").sum()
    assert users == samples.starter.sum()
    assert (last == samples.osl[finished]).all()
    assert (samples.osl[~samples.starter] == osl).all()
    for slot in range(users):
        mine = samples.slot == slot
        assert (samples.sent_ns[mine][1:] == samples.end_ns[mine][:-1]).all()
    final = point.counters[-1]
    ended = (samples.end_ns <= final.t_ns) & finished
    assert final.requests == ended.sum()

"""The emulated engine's scheduling, step by step."""

import pytest

from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.batch import Delivery
from harness.emulator.model import EngineModel
from harness.emulator.profile import Limits, Noise, Profile
from harness.emulator.virtual_load import closed_loop

COST = Profile(
    name="round",
    fixed_s=1.0,
    per_position_s=0.1,
    per_context_token_s=0.001,
    per_prefill_token_s=0.01,
    per_draft_s=0.5,
    source="round numbers",
)
ALL_ACCEPTED = 1.0


def engine(*, speculation=OFF, **limits):
    return EngineModel(COST, Limits(**{"max_running_requests": 4, "context": 100} | limits), speculation)


def test_a_step_costs_its_five_terms():
    step_s = COST.step_s(sequences=3, context_tokens=40, prefill_tokens=20, draft_tokens=2)

    assert 1.0 + 0.1 * 3 * (1 + 2) + 0.001 * 40 + 0.01 * 20 + 0.5 * 2 == pytest.approx(step_s)


def test_the_first_token_comes_with_the_end_of_the_prefill():
    model = engine()
    model.submit(7, 10, 3, 0.0)

    assert [Delivery(7, 1, False)] == model.step()
    assert 1.0 + 0.01 * 10 == pytest.approx(model.now_s)


def test_a_decode_step_reads_prompt_and_output_so_far():
    model = engine()
    model.submit(7, 10, 3, 0.0)
    model.step()

    assert [Delivery(7, 2, False)] == model.step()
    assert (1.0 + 0.1) + (1.0 + 0.1 + 0.001 * 11) == pytest.approx(model.now_s)
    assert [Delivery(7, 3, True)] == model.step()
    assert model.step() is None


def test_a_request_waits_for_the_step_that_is_under_way():
    model = engine()
    model.submit(1, 10, 5, 0.0)
    model.submit(2, 10, 5, 0.5)
    model.step()

    assert [Delivery(1, 2, False), Delivery(2, 1, False)] == model.step()


def test_an_idle_engine_starts_when_a_request_arrives():
    model = engine()
    model.submit(1, 10, 5, 3.0)
    model.step()

    assert 3.0 + 1.1 == pytest.approx(model.now_s)


def test_a_step_takes_no_more_prompt_tokens_than_its_budget():
    model = engine(chunked_prefill_tokens=6)
    model.submit(1, 10, 5, 0.0)
    model.submit(2, 3, 5, 0.0)

    assert [] == model.step()
    assert 1.0 + 0.06 == pytest.approx(model.now_s)
    assert [Delivery(1, 1, False)] == model.step()
    assert [Delivery(1, 2, False), Delivery(2, 1, False)] == model.step()


def test_the_batch_holds_no_more_than_it_may():
    model = engine(max_running_requests=2)
    for request in range(3):
        model.submit(request, 5, 4, 0.0)
    model.step()

    assert (2, 1) == (model.counters(0).running, model.counters(0).waiting)


def test_time_in_the_queue_is_the_wait_for_the_first_step():
    model = engine(max_running_requests=1)
    model.submit(1, 10, 2, 0.0)
    model.submit(2, 10, 1, 0.25)
    while model.step() is not None:
        pass

    assert (1.1 + 1.111) - 0.25 == pytest.approx(model.counters(0).queue_s)
    assert 2 == model.counters(0).queued_requests


def test_drafts_past_the_last_token_count_as_accepted_and_are_not_delivered():
    model = engine(speculation=Speculation(3, ALL_ACCEPTED))
    model.submit(1, 10, 6, 0.0)

    assert [Delivery(1, 1, False)] == model.step()
    assert [Delivery(1, 5, False)] == model.step()
    assert [Delivery(1, 6, True)] == model.step()
    counters = model.counters(0)
    assert (2, 6, 6) == (counters.drafts, counters.draft_tokens, counters.accepted_tokens)
    assert (2, 2, 2) == counters.accepted_per_position
    assert 6 == counters.generation_tokens


def test_a_full_pool_pushes_the_youngest_out_and_computes_it_again():
    model = engine(kv_tokens=100)
    model.submit(1, 40, 50, 0.0)
    model.submit(2, 40, 50, 0.0)
    delivered = {1: [], 2: []}
    waited = 0
    while (deliveries := model.step()) is not None:
        for request, tokens, _ in deliveries:
            delivered[request].append(tokens)
        waited += model.counters(0).waiting > 0
    counters = model.counters(0)

    assert {1: list(range(1, 51)), 2: list(range(1, 51))} == delivered
    assert 1 == counters.preemptions
    assert waited
    assert (80, 100, 2) == (counters.prompt_tokens, counters.generation_tokens, counters.requests)


def test_a_request_longer_than_the_context_is_refused():
    with pytest.raises(ValueError, match="exceed the context of 100"):
        engine().submit(1, 90, 11, 0.0)


def test_a_pool_smaller_than_a_request_is_refused():
    with pytest.raises(ValueError, match="can't hold one request"):
        engine(kv_tokens=99)


def test_slowness_stretches_steps():
    model = EngineModel(COST, Limits(max_running_requests=1, context=100), slowness=lambda t_s: 2.0 if t_s > 1 else 1.0)
    model.submit(1, 10, 3, 0.0)
    model.step()
    model.step()

    assert 1.1 + 2 * (1.1 + 0.011) == pytest.approx(model.now_s)


def test_noise_is_one_factor_a_launch_and_one_a_block():
    launches = [Noise(launch_sd=0.1).slowness(seed) for seed in range(3)]
    blocks = Noise(block_sd=0.1, block_s=10.0).slowness(0)

    assert 3 == len({launch(0.0) for launch in launches})
    assert launches[0](0.0) == launches[0](1e6)
    assert blocks(0.0) == blocks(9.9) != blocks(10.0)
    assert Noise(block_sd=0.1).slowness(0)(5.0) == blocks(5.0)
    assert 1.0 == Noise().slowness(0)(5.0)


def test_users_stop_when_told_to():
    told = []

    def stop(now_ns, ended):
        told.append(now_ns)
        return len(ended) >= 3

    seen = closed_loop(COST, concurrency=1, isl=10, osl=4, duration_s=1e6, stop=stop)

    assert 3 == (seen.samples.error == "").sum()
    assert told == sorted(told)
    assert seen.counters[-1].requests == 3


def test_readings_come_every_second_and_at_both_ends():
    seen = closed_loop(COST, concurrency=2, isl=10, osl=4, duration_s=20.5)
    seconds = [(reading.t_ns - seen.samples.sent_ns.min()) / 1e9 for reading in seen.counters]

    assert list(range(len(seconds) - 1)) == seconds[:-1]
    assert seconds[-2] <= seconds[-1] <= 20.5

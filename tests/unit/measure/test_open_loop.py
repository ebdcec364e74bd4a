"""Points of an open loop: their window, their numbers, and a server that does not keep up."""

import dataclasses
from itertools import islice

import numpy as np
import pytest
from toys import STEP

from harness import metrics
from harness.arrivals import due_s
from harness.checks import Evidence, judge
from harness.emulator.profile import Limits
from harness.emulator.virtual_load import open_loop
from harness.load.steady import StopRule, find_window
from harness.metrics import METRICS
from harness.records import PER_REQUEST, NoWindow, Samples
from harness.spec import Arrivals, WindowSpec

OSL = 10
LIFE_S = OSL * STEP.fixed_s
SPEC = WindowSpec(min_s=10.0, max_s=60.0)


@pytest.fixture
def served(point_of):
    """A point of an open loop and what its load generator would have recorded."""

    def run(rate, *, seats=1000, seed=0, stop=True, most=None):
        seen = open_loop(
            STEP,
            due_s=due_s(Arrivals(), rate, np.random.default_rng(seed)),
            isl=10,
            osl=OSL,
            duration_s=100.0,
            limits=Limits(max_running_requests=seats, context=64),
            stop=StopRule(None, SPEC, rate=rate).look if stop else None,
            most=most,
        )
        return point_of(rate=rate, osl=OSL, isl=10), seen

    return run


def window_of(point, samples):
    return find_window(lambda: iter([samples]), concurrency=None, rate=point.rate, spec=SPEC)


def rows_where(samples, chosen):
    kept = np.flatnonzero(chosen)
    chunks = [np.arange(samples.offsets[row], samples.offsets[row + 1]) for row in kept]
    flat = np.concatenate(chunks)
    return Samples(
        chunk_ns=samples.chunk_ns[flat],
        chunk_tokens=samples.chunk_tokens[flat],
        offsets=np.concatenate([[0], np.cumsum([len(part) for part in chunks])]).astype(np.int64),
        **{name: getattr(samples, name)[kept] for name in PER_REQUEST},
    )


def score_of(point, seen):
    return metrics.score(point, lambda: iter([seen.samples]), seen.counters, window_of(point, seen.samples))


def judged(point, seen, **facts):
    window = window_of(point, seen.samples)
    return judge(Evidence(point=point, score=score_of(point, seen), window=window, **facts))


def test_as_many_are_in_flight_as_rate_times_life_says(served):
    """With seats for all; a request also waits for the step that is under way, half of one in the mean."""
    score = score_of(*served(100.0))

    assert 100.0 * (LIFE_S + STEP.fixed_s / 2) == pytest.approx(score.estimates["held_concurrency"].value, rel=0.1)
    assert 1.0 == pytest.approx(score.estimates["littles_law_ratio"].value)


def test_requests_are_sent_when_they_are_due_whatever_became_of_others(served):
    _, seen = served(40.0, seats=1)
    due = [1000 + at for at in islice(due_s(Arrivals(), 40.0, np.random.default_rng(0)), len(seen.samples))]
    order = np.argsort(seen.samples.index)

    assert due == pytest.approx((seen.samples.due_ns[order] / 1e9).tolist())
    assert (seen.samples.due_ns == seen.samples.sent_ns).all()
    assert seen.samples.slot.tolist() == seen.samples.index.tolist()
    assert not seen.samples.starter.any()


def test_a_server_that_keeps_up_raises_nothing(served):
    verdicts = judged(*served(40.0))

    assert ((), ()) == (verdicts.invalid, verdicts.warnings)


def test_a_server_whose_backlog_grows_is_overloaded_though_its_throughput_is_steady(served):
    point, seen = served(40.0, seats=3)  # 30 requests a second at most
    score = score_of(point, seen)

    assert "overloaded" in judged(point, seen).invalid
    assert window_of(point, seen.samples).steady
    assert 0.25 == pytest.approx(score.estimates["backlog_growth"].value, abs=0.06)
    assert score.estimates["backlog_growth"].lo > 0.01


def test_a_load_that_is_given_up_is_overloaded(served):
    point, seen = served(200.0, seats=3, most=50)

    assert 50 <= (seen.samples.error == "cancelled").sum() < 60
    assert "overloaded" in judged(point, seen, aborted="overloaded").invalid


@pytest.mark.parametrize("seed", range(3))
def test_the_window_found_afterwards_is_the_one_that_stopped_the_load(served, seed):
    point, seen = served(5.0, seed=seed)
    window = window_of(point, seen.samples)

    assert not window.capped
    assert 10 <= len(window.blocks_ns) - 1
    assert SPEC.min_s <= window.duration_s < 2 * SPEC.min_s


def test_blocks_hold_a_few_requests_where_these_are_rare(served):
    point, seen = served(2.0)
    window = window_of(point, seen.samples)

    assert 3 / 2.0 == pytest.approx(np.diff(window.blocks_ns)[0] / 1e9 / round(np.diff(window.blocks_ns)[0] / 1.5e9))
    assert 15.0 <= window.duration_s


def test_nothing_is_whole_after_a_request_that_has_not_ended_yet(served):
    """While the load runs, what has ended is all that is known; one long request hides the tokens that it has."""
    point, seen = served(40.0, stop=False)
    ended = seen.samples.error == ""
    long = 3000
    known = rows_where(seen.samples, ended & (seen.samples.index != long))
    sent_ns = int(seen.samples.sent_ns[seen.samples.index == long][0])

    assert window_of(point, known).end_ns <= sent_ns < window_of(point, seen.samples).end_ns


def test_without_an_answer_there_is_no_window(served):
    point, seen = served(0.001)

    assert isinstance(window_of(point, seen.samples), NoWindow)


def test_a_wait_begins_when_a_request_is_due(scored, request_of, point_of, at):
    held_back = [
        request_of(3.0 + i, [(3.5 + i, 1), (3.9 + i, 8)], index=i, slot=i, due_ns=at(2.0 + i)) for i in range(8)
    ]
    point = point_of(rate=1.0, ttft_limit_s=0.6)
    estimates = scored(held_back, point=point).estimates

    assert 0.5 == estimates["ttft_s"].value
    assert 1.0 == estimates["send_late_s"].value
    assert 1.5 == estimates["ttft_due_s"].value
    assert pytest.approx(1.9) == estimates["e2e_due_s"].value
    assert 0.0 == estimates["goodput_req_s"].value


def test_a_client_that_sends_late_is_the_bound(served):
    point, seen = served(40.0)
    samples = seen.samples
    late = dataclasses.replace(samples, due_ns=samples.due_ns - 200_000_000)
    verdicts = judged(point, dataclasses.replace(seen, samples=late))

    assert ("client_bound",) == verdicts.invalid
    assert "requests were sent 200 ms late at the 99th percentile" == verdicts.details["client_bound"]


def test_a_closed_loop_has_no_number_of_a_schedule(scored, user, point_of):
    due = {name for name, metric in METRICS.items() if metric.open_loop}

    assert {"send_late_s", "ttft_due_s", "e2e_due_s", "backlog_growth"} == due
    assert not due & scored(user(20)).estimates.keys()
    assert due <= scored(user(20), point=point_of(rate=1.0)).estimates.keys()

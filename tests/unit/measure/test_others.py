"""A server that serves others too is found out by its counters, and by nothing that an honest one's do."""

import pytest

from harness.checks import CHECKS, Evidence, judge
from harness.records import EngineCounters


@pytest.fixture
def said(scored, user, point_of, window_of, at):
    """Of two users' load, 18 tokens and 200 prompt tokens a second, on a server whose counters are given by second."""

    def of(tokens=lambda s: 18 * s, prompts=lambda s: 200 * s, *, load=None, step_s=1.0, **more):
        point = point_of(concurrency=2)
        readings = [
            EngineCounters(
                t_ns=at(step_s * i),
                generation_tokens=float(tokens(step_s * i)),
                prompt_tokens=float(prompts(step_s * i)),
                **{name: float(value(step_s * i)) for name, value in more.items()},
            )
            for i in range(int(14 / step_s))
        ]
        load = [*user(14), *user(14, slot=1)] if load is None else load
        score = scored(load, point=point, counters=readings)
        return judge(Evidence(point=point, score=score, window=window_of(2.0, 12.0))).details

    return of


def test_a_server_that_serves_its_load_alone_is_no_ones_else(said):
    assert {} == said()


@pytest.mark.parametrize("step_s", [1.0, 0.7, 3.1])
def test_counters_that_grow_as_requests_end_may_lead_or_lag_by_what_is_in_flight(said, step_s):
    assert {} == said(lambda s: 18 * int(s), lambda s: 200 * int(s), step_s=step_s)


def test_tokens_for_others_void_the_point(said):
    assert {"foreign_load": "36 % more tokens generated than this load's"} == said(lambda s: 27 * s)
    assert CHECKS["foreign_load"].invalid


def test_others_may_come_for_a_part_of_the_window_alone(said):
    assert "foreign_load" in said(lambda s: 18 * s + 40 * min(max(s - 5, 0), 2))


def test_prompts_of_others_who_want_few_tokens_void_it_too(said):
    assert {"foreign_load": "82 % more prompt tokens read than this load's"} == said(prompts=lambda s: 400 * s)


def test_a_prompt_that_is_read_again_after_a_preemption_is_no_ones_else(said):
    assert {"preempted"} == said(prompts=lambda s: 400 * s, preemptions=lambda s: s, requests=lambda s: 2 * s).keys()


def test_work_for_requests_that_failed_is_said_to_be_that(said, user, request_of, at):
    lost = [request_of(3.0 + i, [(3.2 + i, 1)], osl=9, error="early_eof", index=500 + i, slot=5) for i in range(4)]

    assert {"failed_requests"} == said(lambda s: 27 * s, load=[*user(14), *user(14, slot=1), *lost]).keys()


def test_nothing_is_said_where_readings_cover_little_of_the_window(said):
    assert {} == said(lambda s: 27 * s, step_s=6.0)

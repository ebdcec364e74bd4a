"""Times of a clock that goes faster than ours, and what of them can be had."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from toys import STEP

from harness import config
from harness.arrivals import schedule_s
from harness.emulator.virtual_load import EPOCH_NS, closed_loop
from harness.emulator_clock import EmulatorClock, load_in_real_time, refuse_speed, with_speed
from harness.errors import UserError
from harness.load import Measurement
from harness.records import ClientHealth, Reads, RequestSample
from harness.spec import Arrivals, expand

READS = Reads(count=9, late_p50_s=1e-5, late_p99_s=1e-4, late_max_s=1e-3, several=0.1, unstamped=0.0, clock_moved_s=0.0)
HEALTH = ClientHealth(busy=0.5, lateness_p50_s=0.001, lateness_p99_s=0.002, lateness_max_s=0.004, reads=READS)


def measured():
    seen = closed_loop(STEP, concurrency=2, isl=8, osl=5, duration_s=2.0)
    return Measurement(
        samples=seen.samples,
        counters=seen.counters,
        health=HEALTH,
        started_ns=EPOCH_NS,
        stopped_ns=seen.counters[-1].t_ns,
    )


def points(name, **more):
    return expand(config.load(Path(name), engine="emulator").model_copy(update=more))


def test_every_time_of_a_point_is_stretched_and_nothing_else_is():
    seen = measured()
    stretched = EmulatorClock(4.0, EPOCH_NS).measurement(seen)

    for name in ("sent_ns", "end_ns", "chunk_ns"):
        assert (4 * (getattr(seen.samples, name) - EPOCH_NS) == getattr(stretched.samples, name) - EPOCH_NS).all()
    assert [4 * (each.t_ns - EPOCH_NS) for each in seen.counters] == [
        each.t_ns - EPOCH_NS for each in stretched.counters
    ]
    assert 4 * (seen.stopped_ns - EPOCH_NS) == stretched.stopped_ns - EPOCH_NS
    assert (seen.samples.chunk_tokens == stretched.samples.chunk_tokens).all()
    assert [each.generation_tokens for each in seen.counters] == [each.generation_tokens for each in stretched.counters]


def test_a_schedule_comes_sooner_and_its_times_are_stretched_back():
    point, *_ = points("quickstart-emulator", concurrency=None, rate=(2.0,), arrivals=Arrivals())
    seen = measured()
    due_ns = np.where(seen.samples.index % 2, seen.samples.sent_ns - 1000, -1)
    stretched = (
        EmulatorClock(4.0, EPOCH_NS).measurement(replace(seen, samples=replace(seen.samples, due_ns=due_ns))).samples
    )

    assert 8.0 == load_in_real_time(point, 4.0).rate
    assert [4 * due for due in islice(schedule_s(load_in_real_time(point, 4.0)), 9)] == pytest.approx(
        list(islice(schedule_s(point), 9))
    )
    assert (stretched.due_ns[due_ns < 0] == -1).all()
    assert (stretched.sent_ns - stretched.due_ns)[due_ns >= 0].tolist() == [4000] * int((due_ns >= 0).sum())


def test_a_client_that_is_late_is_later_in_the_faster_clock():
    health = EmulatorClock(4.0, EPOCH_NS).measurement(measured()).health

    assert (0.5, 0.004, 0.016) == (health.busy, health.lateness_p50_s, health.lateness_max_s)
    assert (9, 4e-4, 0.1) == (health.reads.count, pytest.approx(health.reads.late_p99_s), health.reads.several)


def test_a_stop_rule_sees_the_faster_clock():
    heard = []

    class Rule:
        def look(self, now_ns, finished):
            heard.append((now_ns, [(request.sent_ns, request.end_ns) for request in finished]))
            return False

    rule = EmulatorClock(10.0, 0).rule(Rule())
    first, second = (
        RequestSample(
            index=index,
            slot=0,
            starter=False,
            prompt_hash="",
            isl=1,
            osl=1,
            sent_ns=index,
            chunk_ns=np.array([index]),
            chunk_tokens=np.array([1]),
            end_ns=index + 2,
        )
        for index in range(2)
    )
    rule.look(5, [first])
    rule.look(6, [first, second])

    assert [(50, [(0, 20)]), (60, [(0, 20), (10, 30)])] == heard


def test_speed_1_changes_neither_run_nor_measurement():
    seen, clock = measured(), EmulatorClock(1.0)

    assert seen is clock.measurement(seen)
    (point, *_) = points("quickstart-emulator")
    assert point.run is with_speed(point.run, 1.0)


def test_a_server_is_told_its_speed_after_its_own_arguments():
    (point, *_) = points("quickstart-emulator")

    assert ("--speed", "2.5") == with_speed(point.run, 2.5).engine.args[-2:]


@pytest.mark.parametrize(
    ("speed", "name", "how", "said"),
    [
        (0.0, "quickstart-emulator", {}, "give a number above 0"),
        (2.0, "quickstart-emulator", {"virtual": True}, "not with --virtual"),
        (2.0, "quickstart-emulator", {"metered": True}, "not with --require-power"),
        (50.0, "qwen3.5-fp8-h100-1k1k", {}, "128 users of off would get .* chunks a second, .* --speed 2.* at most"),
    ],
)
def test_a_speed_that_cannot_be_had_is_refused_in_a_line(speed, name, how, said):
    with pytest.raises(UserError, match=said) as refused:
        refuse_speed(speed, points(name), **{"metered": False, "virtual": False} | how)

    assert "\n" not in str(refused.value)


def test_a_real_engine_has_one_speed():
    with pytest.raises(UserError, match="vllm is a real engine"):
        refuse_speed(2.0, expand(config.load(Path("quickstart"))), metered=False, virtual=False)

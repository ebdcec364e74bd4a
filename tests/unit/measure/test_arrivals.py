"""Schedules of an open loop: whose they are, and what a trace makes of them."""

from itertools import islice

import numpy as np
import pytest

from harness.arrivals import due_s, most_in_flight, schedule_s
from harness.errors import UserError
from harness.spec import Arrivals, Trace
from harness.trace import BadTrace, digest, own_rate, read_trace


@pytest.fixture
def open_point(point_of):
    """A point at a rate."""
    return lambda rate, arrivals=None, **changes: point_of(rate=rate, arrivals=arrivals, **changes)


@pytest.fixture
def trace(tmp_path):
    """Writes lines of a trace and gives its file."""

    def write(text):
        file = tmp_path / "trace.jsonl"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


def first(count, point, **share):
    return list(islice(schedule_s(point, **share), count))


def test_a_constant_rate_has_equal_gaps(open_point):
    assert [0.25, 0.5, 0.75, 1.0] == first(4, open_point(4.0, Arrivals(process="constant")))


def test_both_arms_get_one_schedule_and_each_launch_its_own(open_point):
    off, mtp = open_point(2.0), open_point(2.0, draft_tokens=3)
    again = off.model_copy(update={"launch": 1})

    assert first(50, off) == first(50, mtp)
    assert first(50, off) != first(50, again)


def test_every_rate_has_the_same_pattern(open_point):
    slow, fast = first(50, open_point(1.0)), first(50, open_point(8.0))

    assert slow == pytest.approx([8 * due for due in fast])


def test_another_seed_is_another_schedule(open_point):
    assert first(5, open_point(1.0, seed=1)) != first(5, open_point(1.0, seed=-1))


def test_shares_together_are_the_schedule(open_point):
    point = open_point(3.0)
    shares = [first(40, point, share=share, shares=3) for share in range(3)]

    assert first(120, point) == sorted(due for share in shares for due in share)
    assert first(120, point)[1::3] == shares[1]


def test_gamma_with_shape_one_is_as_bursty_as_poisson():
    gaps = np.diff(
        list(islice(due_s(Arrivals(process="gamma", burstiness=1.0), 1.0, np.random.default_rng(0)), 20_000))
    )

    assert 1.0 == pytest.approx(gaps.std() / gaps.mean(), rel=0.03)


def test_a_trace_is_stretched_to_the_rate_and_begun_anew(open_point, trace):
    file = trace('{"timestamp": 1000}\n{"timestamp": 1100}\n\n{"timestamp": 1400}\n')
    arrivals = Arrivals(process="trace", trace=Trace(file=str(file), unit="ms"))

    recorded = np.diff(first(6, open_point(5.0, arrivals)), prepend=0)
    stretched = np.diff(first(6, open_point(1.0, arrivals)), prepend=0)

    assert [0.1, 0.2, 0.3] == pytest.approx(sorted(recorded[:3]))
    assert recorded[:3] == pytest.approx(recorded[3:])
    assert stretched == pytest.approx(5 * recorded)


def test_each_launch_begins_a_trace_at_a_place_of_its_own_in_both_arms(open_point, trace):
    file = trace("".join(f'{{"timestamp": {place * place}}}\n' for place in range(50)))
    arrivals = Arrivals(process="trace", trace=Trace(file=str(file), unit="s"))

    def begun(**more):
        point = open_point(1.0, arrivals, **more)
        return [tuple(first(3, point.model_copy(update={"launch": launch}))) for launch in range(4)]

    assert begun() == begun(draft_tokens=3)
    assert 4 == len(set(begun()))


def test_a_traces_own_rate_is_that_of_its_gaps(trace):
    times_s = read_trace(trace('{"t": 0, "isl": 7}\n{"t": 0.5}\n{"t": 4}'), "t", "s")

    assert 0.5 == own_rate(times_s)


def test_a_trace_that_is_not_the_one_that_was_checked_is_refused(open_point, trace):
    file = trace('{"timestamp": 0}\n{"timestamp": 1}\n')
    known = digest(read_trace(file, "timestamp", "s"))
    arrivals = Arrivals(process="trace", trace=Trace(file=str(file), unit="s", digest=known))

    assert 1.0 == first(1, open_point(1.0, arrivals))[0]

    trace('{"timestamp": 0}\n{"timestamp": 2}\n')
    with pytest.raises(UserError, match="not the trace that the sweep was checked with"):
        schedule_s(open_point(1.0, arrivals))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"timestamp": 1}\n{"timestamp": 0.5}', ":2:2: timestamp falls from 1 to 0.5; sort the lines by time"),
        ('{"timestamp": 1}\n{"a": 0, "timestamp": "2"}', ':2:10: timestamp must be a finite number, got "2"'),
        ('{"timestamp": NaN}', ":1:2: timestamp must be a finite number, got NaN"),
        ('{"timestamp": true}', ":1:2: timestamp must be a finite number, got true"),
        ('{"time": 1}', ":1:1: no object with 'timestamp'; name the key that holds the time in trace.field"),
        ("[1]", ":1:1: no object with 'timestamp'; name the key that holds the time in trace.field"),
        ('{"timestamp": 1}\n{"timestamp": 2', ":2:16: not JSON: expecting ',' delimiter"),
        ('{"timestamp": 1}', ": has 1 request(s), all at one time; a rate needs two at different times"),
        (
            '{"timestamp": 1}\n{"timestamp": 1}',
            ": has 2 request(s), all at one time; a rate needs two at different times",
        ),
        ("", ": has 0 request(s), all at one time; a rate needs two at different times"),
        (b"\xff\xfe", ": not UTF-8 text; save the file as UTF-8"),
    ],
)
def test_a_traces_faults_say_where(trace, text, expected):
    file = trace(text)

    with pytest.raises(BadTrace) as caught:
        read_trace(file, "timestamp", "s")

    assert f"{file}{expected}" == str(caught.value)


def test_a_trace_that_is_not_there_is_said(tmp_path):
    with pytest.raises(BadTrace, match="can't be read: no such file or directory"):
        read_trace(tmp_path / "none.jsonl", "timestamp", "s")


def test_a_backlog_of_several_batches_is_more_than_a_server_works_off(open_point):
    assert 64 + 4 * 64 == most_in_flight(open_point(1.0).run)

"""The Window of points that an emulated engine served in virtual time, found while they run and afterwards."""

import msgspec
import numpy as np
import pytest
import yaml

from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.profile import Noise, Profile
from harness.emulator.virtual_load import closed_loop
from harness.load.steady import StopRule, find_window
from harness.paths import packaged_configs
from harness.records import NoWindow, RequestSample, Samples, Window, columns
from harness.spec import WindowSpec

LOOK_NS = 250_000_000
SHORT = WindowSpec(min_s=5.0, max_s=60.0)


def requests_of(samples: Samples) -> list[RequestSample]:
    return [
        RequestSample(
            index=int(samples.index[i]),
            slot=int(samples.slot[i]),
            starter=bool(samples.starter[i]),
            prompt_hash=samples.prompt_hash[i],
            isl=int(samples.isl[i]),
            osl=int(samples.osl[i]),
            sent_ns=int(samples.sent_ns[i]),
            chunk_ns=samples.chunk_ns[samples.offsets[i] : samples.offsets[i + 1]],
            chunk_tokens=samples.chunk_tokens[samples.offsets[i] : samples.offsets[i + 1]],
            end_ns=int(samples.end_ns[i]),
            error=samples.error[i] or None,
        )
        for i in range(len(samples))
    ]


def stopped_at(requests: list[RequestSample], now_ns: int) -> list[RequestSample]:
    """What a load that stops now leaves behind: requests in flight are cut off with what they had received."""
    left = []
    for request in requests:
        if request.end_ns <= now_ns:
            left.append(request)
        elif request.sent_ns <= now_ns:
            came = request.chunk_ns <= now_ns
            chunks = {"chunk_ns": request.chunk_ns[came], "chunk_tokens": request.chunk_tokens[came]}
            left.append(msgspec.structs.replace(request, end_ns=now_ns, error="cancelled", **chunks))
    return left


@pytest.fixture(scope="module")
def served():
    """Requests of a point, in order of their end."""
    numbers = yaml.safe_load((packaged_configs() / "emulator" / "h100-like.yaml").read_text())
    profile = Profile(name="h100-like", **numbers)

    def run(concurrency=8, *, draft_tokens=0, isl=64, osl=96, duration_s=60.0, seed=0, block_sd=0.0):
        return requests_of(
            closed_loop(
                profile,
                concurrency=concurrency,
                isl=isl,
                osl=osl,
                duration_s=duration_s,
                speculation=Speculation.of_length(draft_tokens, 2.6) if draft_tokens else OFF,
                noise=Noise(block_sd=block_sd, block_s=1.0) if block_sd else None,
                seed=seed,
            ).samples
        )

    return run


def found(requests, concurrency=8, spec=SHORT, target_pct=None):
    samples = columns(requests)
    return find_window(lambda: iter([samples]), concurrency=concurrency, spec=spec, target_pct=target_pct)


def run_until_told(requests, concurrency=8, spec=SHORT, target_pct=None):
    """Ask the rule four times a second while requests end; the time of the stop and what is then left behind."""
    rule = StopRule(concurrency, spec, target_pct)
    now_ns = min(request.sent_ns for request in requests)
    last_ns = max(request.end_ns for request in requests)
    ends = np.array([request.end_ns for request in requests])
    while now_ns < last_ns:
        now_ns += LOOK_NS
        if rule.look(now_ns, requests[: int(np.searchsorted(ends, now_ns, side="right"))]):
            return now_ns, stopped_at(requests, now_ns)
    return None, requests


def test_the_window_starts_a_request_time_after_the_cut_when_all_users_are_past_their_first_request(served):
    requests = served()
    window = found(requests)
    begun_ns = min(request.sent_ns for request in requests)
    firsts = {}
    for request in requests:
        if not request.starter:
            firsts[request.slot] = min(firsts.get(request.slot, request.end_ns), request.end_ns)

    assert 8 == len(firsts)
    assert window.start_ns >= max(firsts.values())
    assert window.start_ns >= begun_ns + (window.cut_s + window.request_time_s) * 1e9 - 1


def test_blocks_are_equal_whole_request_times_and_thirty_at_most(served):
    window = found(served())
    lengths = np.diff(window.blocks_ns) / 1e9

    assert 10 <= len(lengths) <= 30
    assert np.ptp(lengths) < 1e-6
    assert lengths[0] / window.request_time_s == pytest.approx(round(lengths[0] / window.request_time_s), abs=1e-6)
    assert (window.start_ns, window.end_ns) == (window.blocks_ns[0], window.blocks_ns[-1])


def test_the_tail_in_which_users_stop_is_not_in_the_window(served):
    requests = served(duration_s=60.0)
    stop_ns = min(request.sent_ns for request in requests) + 30_000_000_000
    # As with draining: nothing new is sent after the stop, and what is in flight runs out.
    drained = [request for request in requests if request.sent_ns <= stop_ns and request.error is None]
    window = found(drained)
    first_gone_ns = min(max(r.end_ns for r in drained if r.slot == slot) for slot in range(8))

    assert window.end_ns <= first_gone_ns


def test_the_request_time_is_the_median_of_full_requests(served):
    requests = served()
    lives = [r.end_ns - r.sent_ns for r in requests if not r.starter and r.error is None]

    assert np.median(lives) / 1e9 == found(requests).request_time_s


def test_order_and_batches_of_the_samples_change_nothing(served):
    requests = served(duration_s=20.0)
    shuffled = [requests[i] for i in np.random.default_rng(0).permutation(len(requests))]
    batches = [columns(shuffled[i : i + 7]) for i in range(0, len(shuffled), 7)]

    assert found(requests) == find_window(lambda: iter(batches), concurrency=8, spec=SHORT)


def test_a_start_up_transient_is_cut_off(served):
    requests = served(duration_s=60.0)
    begun_ns = min(request.sent_ns for request in requests)

    def slowed(request):
        """The server's first 10 s deliver nothing: everything later than 2 s happens 8 s later."""
        move = 8_000_000_000
        late = np.where(request.chunk_ns > begun_ns + 2_000_000_000, request.chunk_ns + move, request.chunk_ns)
        sent = request.sent_ns + (move if request.sent_ns > begun_ns + 2_000_000_000 else 0)
        end = request.end_ns + (move if request.end_ns > begun_ns + 2_000_000_000 else 0)
        return msgspec.structs.replace(request, sent_ns=sent, end_ns=end, chunk_ns=late)

    window = found([slowed(request) for request in requests])

    assert window.steady
    assert 9.0 <= window.cut_s <= 14.0


def test_throughput_that_falls_to_the_end_is_not_steady(served):
    requests = served(duration_s=60.0)
    begun_ns = min(request.sent_ns for request in requests)

    def stretched(time_ns):
        """Time itself runs slower and slower: at the end, half as fast."""
        seconds = (np.asarray(time_ns) - begun_ns) / 1e9
        return (begun_ns + 1e9 * (seconds + seconds**2 / 120)).astype(np.int64)

    slowing = [
        msgspec.structs.replace(
            request,
            sent_ns=int(stretched(request.sent_ns)),
            end_ns=int(stretched(request.end_ns)),
            chunk_ns=stretched(request.chunk_ns),
        )
        for request in requests
    ]

    assert not found(slowing).steady


@pytest.mark.parametrize(
    ("missing", "what"),
    [(slice(0, 0), "not each of the 8 users finished"), (slice(0, 8), "not each of the 8 users finished")],
)
def test_without_a_full_request_of_every_user_there_is_no_window(served, missing, what):
    window = found(served()[missing])

    assert isinstance(window, NoWindow)
    assert "window_too_short" == window.reason
    assert what in window.text


def test_under_one_request_time_there_is_no_window(served):
    requests = served(1, osl=96, duration_s=1.6)
    window = found(requests, 1)

    assert isinstance(window, NoWindow)
    assert "under one request time" in window.text


def test_a_point_that_stops_short_says_that_it_was_capped(served):
    window = found(served(duration_s=5.0))

    assert window.capped
    assert len(window.blocks_ns) - 1 < 10


@pytest.mark.parametrize("concurrency", [1, 4, 16])
@pytest.mark.parametrize("draft_tokens", [0, 3])
def test_a_point_lasts_as_long_as_it_must_and_no_longer(served, concurrency, draft_tokens):
    requests = served(concurrency, draft_tokens=draft_tokens, duration_s=40.0)
    stopped_ns, left = run_until_told(requests, concurrency)
    window = found(left, concurrency)
    shortest_s = max(5.0, 10 * window.request_time_s)
    elapsed_s = (stopped_ns - min(request.sent_ns for request in requests)) / 1e9

    assert window.steady
    assert not window.capped
    assert len(window.blocks_ns) - 1 >= 10
    assert window.duration_s >= shortest_s
    assert elapsed_s <= window.cut_s + 1.4 * shortest_s + 4 * window.request_time_s + 1


@pytest.mark.parametrize("seed", range(12))
def test_what_the_rule_saw_is_what_is_found_afterwards(served, seed):
    requests = served(draft_tokens=3, block_sd=0.05, seed=seed)
    stopped_ns, left = run_until_told(requests)
    window = found(left)

    assert stopped_ns is not None
    assert isinstance(window, Window)
    assert window.steady
    assert not window.capped


def test_a_precision_asked_for_takes_as_long_as_it_needs(served):
    requests = served(block_sd=0.1, duration_s=120.0)
    loose_ns, _ = run_until_told(requests, target_pct=50.0)
    tight_ns, left = run_until_told(requests, target_pct=3.0)
    window = found(left, target_pct=3.0)

    assert tight_ns > loose_ns
    assert not window.capped
    assert 1 < window.looks <= 10


def test_a_precision_out_of_reach_ends_at_the_cap(served):
    requests = served(block_sd=0.2, duration_s=120.0)
    spec = WindowSpec(min_s=5.0, max_s=20.0)
    stopped_ns, left = run_until_told(requests, spec=spec, target_pct=0.01)
    window = found(left, spec=spec, target_pct=0.01)

    assert 20 <= (stopped_ns - min(request.sent_ns for request in requests)) / 1e9 <= 24
    assert window.capped


def test_precision_is_looked_at_ten_times_at_most(served):
    requests = served(block_sd=0.2, duration_s=80.0)
    rule = StopRule(8, SHORT, 0.0001)
    tested = []
    rule._precise = lambda: bool(tested.append(1))
    ends = [request.end_ns for request in requests]
    now_ns = requests[0].sent_ns
    while not rule.look(now_ns, requests[: int(np.searchsorted(ends, now_ns, side="right"))]):
        now_ns += LOOK_NS

    assert 5 <= len(tested) <= 10


def test_users_who_never_finish_end_at_twice_the_cap():
    rule = StopRule(4, WindowSpec(min_s=1.0, max_s=5.0))
    second = 1_000_000_000

    assert not rule.look(0, [])
    assert not rule.look(9 * second, [])
    assert rule.look(10 * second, [])


def test_the_expected_length_is_known_once_there_is_a_window(served):
    requests = served(duration_s=40.0)
    rule = StopRule(8, SHORT)
    rule.look(requests[0].sent_ns, [])
    before_s = rule.expected_s
    rule.look(requests[200].end_ns, requests[:201])

    assert 5.0 == before_s
    assert 6.0 < rule.expected_s < 15.0

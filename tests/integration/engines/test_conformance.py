"""What every engine must do, shown on the real vLLM, the real SGLang and the emulator: the two arms of conftest.py.

Arms are what they say, tokens are exact, counters agree with usage, death is noticed, a stop leaves nothing, and
version and configuration are read back.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from harness.atomic_files import read_json
from harness.load import Measurement
from harness.records import Samples


@dataclass(frozen=True)
class Tokens:
    """What came of a load: tokens received by the last count of each request, and chunks."""

    samples: Samples

    @property
    def received(self) -> int:
        last = self.samples.offsets[1:] - 1
        return int(self.samples.chunk_tokens[last[np.diff(self.samples.offsets) > 0]].sum())

    @property
    def per_chunk(self) -> float:
        return self.received / len(self.samples.chunk_ns)


def received(measurement: Measurement) -> int:
    return Tokens(measurement.samples).received


def test_it_serves_what_was_asked_for(arms):
    for arm in arms.both:
        assert () == arm.configuration.mismatches
        assert arm.configuration.read_back
        assert arm.version == read_json(arm.files.provenance)["engine_version"]
        assert arm.version.startswith(arms.tenant.version)


def test_arms_have_nothing_different_that_must_be_equal(arms):
    off, mtp = arms.off.configuration, arms.mtp.configuration

    assert off.must_equal == mtp.must_equal
    assert off.speculative.get(arms.tenant.drafts) in (None, 0)
    assert 2 == mtp.speculative[arms.tenant.drafts]
    assert off.derived[arms.tenant.pool] >= mtp.derived[arms.tenant.pool]


def test_records_differ_in_speculation_alone(arms):
    off, mtp = (read_json(arm.files.argv) for arm in arms.both)
    extra = mtp["argv"][len(off["argv"]) :]

    assert off["argv"] == mtp["argv"][: len(off["argv"])]
    assert extra == mtp["arm"]["argv"]
    assert arms.tenant.arm == extra[0]
    assert off["env"] | mtp["arm"]["env"] == mtp["env"]
    assert arms.tenant.stamps == off["stamps"]
    assert [*arms.tenant.stamps, "forced-acceptance"] == mtp["stamps"]


def test_records_hold_nothing_of_this_machine(arms, machine):
    for arm in arms.both:
        for path in (arm.files.argv, arm.files.configuration, arm.files.provenance):
            text = path.read_text()
            assert not [place for place in machine() if place in text]


def test_every_stream_has_the_tokens_asked_for(arms):
    for arm in arms.both:
        for events in arm.streams:
            usages = [event["usage"] for event in events if event.get("usage")]
            counts = [usage["completion_tokens"] for usage in usages]
            ids = [token for event in events for choice in event["choices"] for token in choice["token_ids"] or ()]

            assert counts == sorted(counts)
            assert (96, 96) == (counts[-1], len(ids))
            assert len(arm.chat) + 1 == usages[-1]["prompt_tokens"]


def test_counters_move_with_the_requests(arms):
    for arm in arms.both:
        requests = len(arm.streams)

        assert requests * 96 == arm.after.generation_tokens - arm.before.generation_tokens
        assert requests * (len(arm.chat) + 1) == arm.after.prompt_tokens - arm.before.prompt_tokens
        assert requests == arm.after.requests - arm.before.requests
        assert arm.before.t_ns < arm.after.t_ns


def test_off_drafts_nothing(arms):
    assert (None, None) == (arms.off.after.drafts, arms.off.after.accepted_per_position)
    assert {-1} == set(arms.off.drained.samples.drafts.tolist())


def test_mtp_accepts_as_forced(arms):
    before, after = arms.mtp.settled
    samples = arms.mtp.drained.samples
    drafts = after.drafts - before.drafts
    accepted = samples.accepted_drafts.sum()
    if arms.tenant.counts_accepted:
        accepted = after.accepted_tokens - before.accepted_tokens
    else:
        assert drafts == samples.drafts.sum()

    assert 2.2 == pytest.approx(1 + accepted / drafts, abs=0.25)


def test_a_chat_turn_stands_in_the_models_template(arms):
    for arm in arms.both:
        assert arm.plain == [token for token in arm.chat if token in arm.plain][: len(arm.plain)]
        assert len(arm.chat) > len(arm.plain)
    assert arms.off.chat == arms.mtp.chat


def test_the_prefix_cache_can_be_reset(arms):
    assert all(arm.reset for arm in arms.both)


def test_from_idle_to_idle_the_client_has_every_token_that_the_server_counts(arms):
    for arm in arms.both:
        before, after = arm.settled
        samples = arm.drained.samples

        assert {""} == set(samples.error)
        assert received(arm.drained) == samples.completion_tokens.sum()
        assert received(arm.drained) == after.generation_tokens - before.generation_tokens
        assert samples.prompt_tokens.sum() == after.prompt_tokens - before.prompt_tokens
        assert len(samples) == after.requests - before.requests


def test_readings_at_the_ends_of_a_drained_load_agree_too(arms):
    for arm in arms.both:
        first, last = arm.drained.counters[0], arm.drained.counters[-1]

        assert received(arm.drained) == last.generation_tokens - first.generation_tokens
        assert () == arm.drained.counter_failures


def test_prompts_and_outputs_have_the_lengths_asked_for(arms):
    for arm in arms.both:
        samples = arm.drained.samples

        assert {64} == set(samples.prompt_tokens.tolist())
        assert samples.osl.tolist() == samples.completion_tokens.tolist()
        assert {40} == set(samples.osl[~samples.starter].tolist())
        assert {"length"} == set(samples.finish_reason)


def test_both_arms_get_the_same_prompts_in_the_same_order(arms):
    walks = []
    for arm in arms.both:
        samples = arm.drained.samples
        order = np.argsort(samples.sent_ns, kind="stable")
        order = order[~samples.starter[order]]
        walks.append(list(zip(samples.index[order].tolist(), samples.prompt_hash[order].tolist(), strict=True)))
    shorter = min(map(len, walks))

    assert arms.off.stream.hash == arms.mtp.stream.hash
    assert shorter >= 36
    assert walks[0][:shorter] == walks[1][:shorter]


def test_in_open_loop_both_arms_are_sent_one_schedule_and_every_token_comes(arms):
    dues = []
    for arm in arms.both:
        samples = arm.opened.samples
        order = np.argsort(samples.index)
        dues.append(np.diff(samples.due_ns[order]).tolist())

        assert {""} == set(samples.error)
        assert list(range(len(samples))) == samples.index[order].tolist()
        assert (samples.sent_ns >= samples.due_ns).all()
        assert received(arm.opened) == 40 * len(samples)
    shorter = min(map(len, dues))

    assert shorter >= 11
    assert dues[0][:shorter] == pytest.approx(dues[1][:shorter], abs=2)


def test_under_mtp_a_chunk_is_several_tokens_and_off_it_hardly_is(arms):
    off, mtp = (Tokens(arm.drained.samples).per_chunk for arm in arms.both)

    assert 1.0 <= off < 1.3
    assert 1.3 < mtp <= 3.0


def test_time_runs_forward_in_every_request(arms):
    for arm in arms.both:
        samples = arm.drained.samples
        for number in range(len(samples)):
            chunks = samples.chunk_ns[samples.offsets[number] : samples.offsets[number + 1]]
            times = [samples.sent_ns[number], *chunks.tolist(), samples.end_ns[number]]

            assert times == sorted(times)


def test_what_is_cut_off_keeps_the_tokens_that_came(arms):
    for arm in arms.both:
        samples = arm.cut.samples

        assert {"", "cancelled"} >= set(samples.error)
        assert 1 <= (samples.error == "cancelled").sum() <= 4
        assert received(arm.cut) > 0


def test_the_death_of_what_does_the_work_ends_the_load(arms):
    samples = arms.mtp.died.samples

    assert arms.off.died is None
    assert arms.mtp.died.aborted in ("server_died", "failed_requests")
    assert len(samples) >= 4
    assert {"", "cancelled", "early_eof", "connect", "stream_error", "http_status"} >= set(samples.error)


def test_nothing_is_left_of_either_server(arms):
    for arm in arms.both:
        assert ((), True) == (arm.left, arm.port_is_free)

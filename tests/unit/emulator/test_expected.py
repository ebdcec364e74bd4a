"""The closed form against the emulator that steps, and a roofline against its own arithmetic."""

from pathlib import Path

import numpy as np
import pytest

from harness import config
from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.expected import Load, expected
from harness.emulator.profile import Profile, spread
from harness.emulator.roofline import SHARE_OF_PEAK, roofline
from harness.emulator.virtual_load import closed_loop

MOE = Profile(
    name="moe",
    fixed_s=0.006,
    per_position_s=5e-5,
    per_context_token_s=3e-9,
    per_prefill_token_s=5e-6,
    per_draft_s=0.001,
    spread_s=0.013,
    spread_positions=23,
    source="made up",
)


@pytest.mark.parametrize("users", [1, 8, 32])
@pytest.mark.parametrize("speculation", [OFF, Speculation.of_length(3, 2.6)], ids=["off", "mtp3"])
def test_closed_form_is_what_stepping_gives(users, speculation):
    load = Load(
        users=users,
        isl=256,
        osl=256,
        draft_tokens=speculation.draft_tokens,
        acceptance_length=speculation.acceptance_length,
    )
    foreseen = expected(MOE, load)
    seen = closed_loop(
        MOE, concurrency=users, isl=256, osl=256, duration_s=20 * foreseen.request_s, speculation=speculation
    ).samples
    whole = (seen.error == "") & ~seen.starter
    took_s = (seen.end_ns[whole] - seen.sent_ns[whole]) / 1e9

    assert foreseen.request_s == pytest.approx(float(np.mean(took_s)), rel=0.03)


def test_one_position_reads_its_own_experts_and_a_large_batch_all():
    assert 0.0 == spread(1, 23)
    assert spread(10, 23) == pytest.approx(1 - np.exp(-9 / 23))
    assert spread(1000, 23) == pytest.approx(1.0)


def test_a_rooflines_band_reaches_from_a_quarter_to_three_quarters_of_the_peaks():
    run = config.load(Path("dsr1-fp8-b200-8k1k-vllm")).all_runs()[0]
    usual, slow, fast = roofline(run), *(roofline(run, share) for share in SHARE_OF_PEAK)
    low, high = usual.band

    assert usual.spread_s * high == pytest.approx(slow.spread_s)
    assert usual.spread_s * low == pytest.approx(fast.spread_s)


def test_a_roofline_reads_all_weights_over_all_bandwidth_in_a_large_batch():
    run = config.load(Path("dsr1-fp8-b200-8k1k-vllm")).all_runs()[0]
    profile = roofline(run, 0.5, overhead_s=0.0)

    assert 689 / (8 * 8e3 * 0.5) == pytest.approx(profile.fixed_s + profile.spread_s)
    assert 2 * 37e9 / (8 * 4.5e15 * 0.5) == pytest.approx(profile.per_prefill_token_s)

"""A profile is found again from what it produced."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness.config import load_file
from harness.emulator.acceptance import OFF, Speculation
from harness.emulator.fit import Assumed, Measured, fit, usable
from harness.emulator.profile import Profile
from harness.emulator.virtual_load import closed_loop
from harness.errors import UserError

ROOT = Path(__file__).parents[3]
TRUE = Profile(
    name="true",
    fixed_s=0.04,
    per_position_s=0.0008,
    per_context_token_s=1e-6,
    per_prefill_token_s=3e-4,
    per_draft_s=0.005,
    source="made up",
)
GIVEN = {"per_context_token_s": 1e-6}


def row(users, speculation):
    """A row as it would be measured, from the median request's time per output token."""
    seen = closed_loop(TRUE, concurrency=users, isl=64, osl=64, duration_s=60.0, speculation=speculation).samples
    whole = (seen.error == "") & ~seen.starter
    first, last = seen.chunk_ns[seen.offsets[:-1][whole]], seen.chunk_ns[seen.offsets[1:][whole] - 1]
    return {
        "concurrency": users,
        "draft_tokens": speculation.draft_tokens,
        "acceptance_length": speculation.acceptance_length,
        "isl": 64,
        "osl": 64,
        "interactivity": float(np.median(63 / ((last - first) / 1e9))),
        "invalid": [],
    }


def test_a_profile_is_found_again_from_its_points():
    arms = (OFF, Speculation.of_length(1, 1.8), Speculation.of_length(3, 2.6))
    found = fit([Measured.of_row(row(users, arm)) for users in (1, 4, 16, 64) for arm in arms], given=GIVEN)

    assert (
        pytest.approx(TRUE.fixed_s, rel=0.05),
        pytest.approx(TRUE.per_position_s, rel=0.05),
        pytest.approx(TRUE.per_prefill_token_s, rel=0.15),
        pytest.approx(TRUE.per_draft_s, rel=0.15),  # the overshoot of last steps looks like a slower draft head
    ) == tuple(found.costs[name] for name in ("fixed_s", "per_position_s", "per_prefill_token_s", "per_draft_s"))
    assert found.rms < 0.03
    assert found.rms <= found.worst
    assert found.left_out_mean < 0.03


def test_a_term_that_rows_do_not_show_is_not_guessed():
    with pytest.raises(UserError, match="can't tell the terms apart"):
        fit([Measured.of_row(row(users, OFF)) for users in (1, 4, 16)], given=GIVEN)


def test_invalid_rows_are_left_out():
    good = row(1, OFF)
    lines = [json.dumps(good | change).encode() for change in ({}, {"invalid": ["not_steady"], "interactivity": None})]

    assert [good] == usable(lines)


def test_the_cpu_profile_is_what_the_example_gives():
    lines = (ROOT / "results" / "examples" / "crossover-vllm-cpu" / "points.jsonl").read_bytes().splitlines()
    profile = load_file(ROOT / "configs" / "emulator" / "cpu-like.yaml", Profile)
    points = [Measured.of_row(row) for row in usable(lines)]
    found = fit(points, given={"per_context_token_s": profile.per_context_token_s})

    for name in ("fixed_s", "per_position_s", "per_prefill_token_s", "per_draft_s"):
        assert pytest.approx(found.costs[name], rel=2e-3) == getattr(profile, name)
    # As the file says; the error that counts is of a concurrency that the fit has not seen.
    assert found.left_out_mean < 0.05
    assert found.left_out_worst < 0.12


def fit_of_published(profile, *given, assumed=None, **only):
    lines = (ROOT / "results" / "published" / "points.jsonl").read_bytes().splitlines()
    points = [Measured.of_row(row, assumed) for row in usable(lines, {"model": "qwen3.5", "isl": "1024"} | only)]
    costs = {name: getattr(profile, name) for name in ("per_context_token_s", "per_prefill_token_s", *given)}
    return fit(points, given=costs, spread_positions=profile.spread_positions if profile.spread_s else None)


def profile_named(name):
    return load_file(ROOT / "configs" / "emulator" / f"{name}.yaml", Profile)


def test_the_h100_profile_is_what_the_public_rows_give_with_the_error_that_it_says():
    profile = profile_named("qwen3.5-397b-fp8-h100x8")
    found = fit_of_published(profile, gpu="h100", assumed=Assumed(draft_tokens=3, acceptance_length=3.39))

    assert 13 == found.points
    assert 4 == len(found.fitted)
    for name in found.fitted:
        assert pytest.approx(found.costs[name], rel=2e-3) == getattr(profile, name)
    assert (0.153, 0.357, 0.155, 0.390) == pytest.approx(
        (found.rms, found.worst, found.left_out_mean, found.left_out_worst), abs=6e-4
    )
    assert pytest.approx((1 - found.left_out_worst, 1 + found.left_out_worst), abs=0.005) == profile.band


def test_the_mi325x_profile_is_fitted_to_off_alone():
    profile = profile_named("qwen3.5-397b-fp8-mi325xx8")
    found = fit_of_published(profile, "per_draft_s", gpu="mi325x", arm="off")

    assert (5, ("fixed_s", "per_position_s")) == (found.points, found.fitted)
    for name in found.fitted:
        assert pytest.approx(found.costs[name], rel=2e-3) == getattr(profile, name)
    assert (0.031, 0.049, 0.050, 0.083) == pytest.approx(
        (found.rms, found.worst, found.left_out_mean, found.left_out_worst), abs=6e-4
    )


def test_a_row_that_says_nothing_of_its_drafts_is_refused():
    with pytest.raises(UserError, match="--assumed"):
        Measured.of_row(row(1, OFF) | {"draft_tokens": None, "acceptance_length": None})


def test_a_cost_that_comes_out_negative_is_refused():
    profile = profile_named("qwen3.5-397b-fp8-h100x8")

    with pytest.raises(UserError, match="per_draft_s comes out negative"):
        fit_of_published(profile, gpu="h100", assumed=Assumed(draft_tokens=3, acceptance_length=2.0))

"""Which points a sweep has, as its rows come in: arms of known truth, measured point by point as a run does."""

import math
from pathlib import Path

import pytest

from harness import config, ladder
from harness.config import dump
from harness.errors import ConfigError
from harness.rundir import SweepDir
from harness.spec import Ladder

STEP_S = {0: 0.010, 3: 0.016}
PER_USER_S = {0: 0.0002, 3: 0.0008}
TOKENS = {0: 1.0, 3: 3.0}


def smooth(drafts, users):
    """Interactivity and throughput of an arm whose step grows with its users."""
    x = TOKENS[drafts] / (STEP_S[drafts] + PER_USER_S[drafts] * users)
    return x, 2 * users * x


def with_a_cliff(drafts, users):
    """The same, but MTP collapses above 20 users: its KV pool is full."""
    x, y = smooth(drafts, users)
    return (x / 2, y / 2) if drafts and users > 20 else (x, y)


def sweep_of(launches=1, **concurrency):
    asked = {"concurrency": Ladder.model_validate(concurrency), "launches": launches, "max_running_requests": 256}
    return config.load(Path("quickstart-emulator")).model_copy(update=asked)


def measure(results, sweep, truth, *, most=200, invalid=()):
    """Points in the order in which they were measured, until none is asked for any more."""
    measured = []
    while len(measured) < most:
        asked = ladder.points(sweep, results)
        left = [point for point in asked if not results.run(point.run.key).point(point.folder).done]
        if not left:
            break
        point = left[0]
        x, y = truth(point.run.mtp.draft_tokens, point.concurrency)
        bad = ["not_steady"] if (point.run.mtp.draft_tokens, point.concurrency) in invalid else []
        results.run(point.run.key).point(point.folder).finish(
            {"interactivity": x, "total_tok_s_gpu": y, "total_tok_s_gpu_lo": y, "total_tok_s_gpu_hi": y, "invalid": bad}
        )
        measured.append(point)
    return measured


def users_by_arm(points):
    found = {}
    for point in points:
        found.setdefault((point.run.mtp.draft_tokens, point.launch), []).append(point.concurrency)
    return found


def test_a_ladder_with_targets_ends_with_a_point_beside_each_in_both_arms(tmp_path):
    targets = (60.0, 80.0)
    points = measure(SweepDir(tmp_path), sweep_of(**{"from": 1, "to": 256, "targets": targets}), smooth)

    for (drafts, _), users in users_by_arm(points).items():
        for target in targets:
            assert min(abs(smooth(drafts, c)[0] / target - 1) for c in users) < 0.04
    assert len(points) < 20


def test_a_target_that_an_arm_does_not_reach_adds_nothing_to_it(tmp_path):
    points = measure(SweepDir(tmp_path), sweep_of(**{"from": 1, "to": 16, "targets": (150.0,)}), smooth)

    assert [1, 4, 16] == users_by_arm(points)[0, 0]
    assert len(users_by_arm(points)[3, 0]) > 3


def test_a_smooth_curve_is_not_refined(tmp_path):
    points = measure(SweepDir(tmp_path), sweep_of(**{"from": 1, "to": 64, "refine_pct": 2}), smooth)

    assert {(0, 0): [1, 2, 4, 8, 16, 32, 64], (3, 0): [1, 2, 4, 8, 16, 32, 64]} == users_by_arm(points)


def test_points_are_added_where_the_curve_bends_and_in_both_arms_alike(tmp_path):
    points = measure(SweepDir(tmp_path), sweep_of(**{"from": 1, "to": 64, "refine_pct": 2}), with_a_cliff)
    users = users_by_arm(points)
    added = set(users[0, 0]) - {1, 2, 4, 8, 16, 32, 64}

    assert added
    assert set(users[0, 0]) == set(users[3, 0])
    assert any(16 < place < 32 for place in added)


def test_later_launches_have_the_points_of_the_first(tmp_path):
    sweep = sweep_of(launches=3, **{"from": 1, "to": 64, "refine_pct": 2})
    users = users_by_arm(measure(SweepDir(tmp_path), sweep, with_a_cliff))

    assert {tuple(sorted(users[0, 0]))} == {tuple(sorted(found)) for found in users.values()}


def test_every_second_launch_goes_down(tmp_path):
    sweep = sweep_of(launches=2, **{"from": 1, "to": 8, "refine_pct": 50})
    users = users_by_arm(measure(SweepDir(tmp_path), sweep, smooth))

    assert [1, 2, 4, 8] == users[0, 0]
    assert [8, 4, 2, 1] == users[0, 1]


@pytest.mark.parametrize("asked", [{"targets": (60.0, 80.0)}, {"refine_pct": 2}], ids=str)
def test_a_sweep_that_was_killed_goes_on_with_the_same_points(tmp_path, asked):
    sweep = sweep_of(launches=2, **{"from": 1, "to": 64, **asked})
    whole = measure(SweepDir(tmp_path / "whole"), sweep, with_a_cliff)
    for stop in (3, 8, len(whole) - 2):
        results = SweepDir(tmp_path / str(stop))
        first = measure(results, sweep, with_a_cliff, most=stop)
        rest = measure(SweepDir(tmp_path / str(stop)), sweep, with_a_cliff)

        assert [(p.run.key, p.folder) for p in whole] == [(p.run.key, p.folder) for p in first + rest]


def test_an_invalid_point_is_no_knot(tmp_path):
    sweep = sweep_of(**{"from": 1, "to": 64, "targets": (60.0,)})
    points = measure(SweepDir(tmp_path), sweep, smooth, invalid={(3, 16), (3, 4)})

    assert min(abs(smooth(3, c)[0] / 60 - 1) for c in users_by_arm(points)[3, 0]) < 0.04


def test_noise_asks_for_no_more_than_a_few_points(tmp_path):
    def noisy(drafts, users):
        x, y = smooth(drafts, users)
        return x, y * (1 + 0.3 * math.sin(40 * users))

    sweep = sweep_of(**{"from": 1, "to": 256, "refine_pct": 0.1})
    users = users_by_arm(measure(SweepDir(tmp_path), sweep, noisy))

    assert len(users[0, 0]) <= 9 + 2 * ladder.MOST_ADDED


def test_a_change_within_a_points_noise_adds_nothing():
    knots = {1: ladder.Knot(100, 200, 5.0), 8: ladder.Knot(60, 1500, 5.0), 64: ladder.Knot(20, 2000, 5.0)}

    assert [] == ladder.between(knots, 0.001)
    assert [] != ladder.between({users: knot._replace(doubt=0.0) for users, knot in knots.items()}, 0.001)


def test_a_folder_without_rows_has_the_steps_alone(tmp_path):
    sweep = sweep_of(**{"from": 1, "to": 64, "targets": (60.0,)})

    assert [1, 4, 16, 64] == [point.concurrency for point in ladder.points(sweep, SweepDir(tmp_path))][:4]


def test_two_rules_at_once_are_refused(tmp_path):
    file = tmp_path / "both.yaml"
    sweep = dump(config.load(Path("quickstart-emulator")))
    start = sweep.index("concurrency:")
    end = sweep.index("\n", sweep.index("- 64", start))
    both = "concurrency: {from: 1, to: 64, refine_pct: 2, targets: [60]}"
    file.write_text(sweep[:start] + both + sweep[end:])

    with pytest.raises(ConfigError, match="leave one out"):
        config.load(file)

"""Arms with one launch, and a spread of launches that was recorded earlier."""

import json
import math

import numpy as np
import pytest

from analysis.compare import compare_paths, parse_options
from analysis.launch_spread import launch_spread
from analysis.pairing import find_pairs
from analysis.ratio import Verdict
from analysis.rows import load_table
from harness.errors import UserError


@pytest.fixture
def single(synthetic, tmp_path):
    return synthetic.Sweep(launches=1, block_noise=0.001, name="single").write(tmp_path / "single")


def recorded_at(synthetic, folder, noise, **more):
    return synthetic.Sweep(launches=5, launch_noise=noise, block_noise=0.001, seed=5, name="earlier", **more).write(
        folder
    )


def ratios(report):
    return [target.ratio for target in report.comparisons[0].targets]


def test_one_launch_alone_gets_no_verdict(single):
    report = compare_paths([single])

    assert {Verdict.NOT_RESOLVED} == {ratio.verdict() for ratio in ratios(report)}
    assert "one-launch" in {flag.code for flag in report.comparisons[0].flags}


def test_a_recorded_spread_gives_one_launch_a_verdict_and_says_so(synthetic, single, tmp_path):
    earlier = recorded_at(synthetic, tmp_path / "earlier", 0.01)
    report = compare_paths([single], parse_options(spread_from=earlier))

    assert Verdict.NOT_RESOLVED not in {ratio.verdict() for ratio in ratios(report)}
    assert any("10 launches recorded elsewhere" in flag.text for flag in report.comparisons[0].flags)
    assert not report.comparisons[0].within_launch


def test_the_interval_is_as_wide_as_the_recorded_launches_differ(synthetic, single, tmp_path):
    widths = {}
    for noise in (0.01, 0.04):
        earlier = recorded_at(synthetic, tmp_path / f"{noise}", noise)
        (comparison,) = compare_paths([single], parse_options(spread_from=earlier)).comparisons
        widths[noise] = [math.log(level.ratio.hi / level.ratio.value) for level in comparison.same_concurrency]

    for known, wide in zip(widths[0.01], widths[0.04], strict=True):
        # Two arms, each of 1 %, times Student's t.
        assert 2.2 * math.sqrt(2) * 0.01 == pytest.approx(known, rel=0.5)
        assert 4 == pytest.approx(wide / known, rel=0.1)


def test_arms_with_several_launches_keep_their_own_spread(synthetic, tmp_path):
    several = synthetic.Sweep(name="several").write(tmp_path / "several")
    earlier = recorded_at(synthetic, tmp_path / "earlier", 0.2)

    assert ratios(compare_paths([several])) == ratios(compare_paths([several], parse_options(spread_from=earlier)))


@pytest.mark.parametrize(
    "other", [{"gpu": "b200"}, {"model": "mimo-tiny"}, {"engine": "sglang"}, {"arrivals": "poisson"}], ids=str
)
def test_launches_of_another_system_tell_nothing(synthetic, single, tmp_path, other):
    earlier = recorded_at(synthetic, tmp_path / "earlier", 0.01, **other)

    with pytest.raises(UserError, match="no Run of the same model, GPU, precision, engine and arrivals"):
        compare_paths([single], parse_options(spread_from=earlier))


def test_a_launch_deviates_as_its_server_did_at_all_concurrencies(synthetic, tmp_path):
    folder = synthetic.Sweep(launches=200, launch_noise=0.03, block_noise=0.001, name="many").write(tmp_path)
    table = load_table([folder])
    (asked,), _ = find_pairs(table)
    spread = launch_spread(table.rows, asked.question)

    assert spread is not None
    assert 2 * 199 == spread.freedom
    assert 0.03 == pytest.approx(float(np.std(spread.deviations[:, 0])), rel=0.15)


def test_what_rows_warn_of_is_said_with_the_places(synthetic, tmp_path):
    folder = synthetic.Sweep(name="warned").write(tmp_path)
    rows = [json.loads(line) for line in (folder / "points.jsonl").read_text().splitlines()]
    for row in rows:
        if row["draft_tokens"] and row["concurrency"] == 64:
            row["warnings"] = ["preempted"]
    (folder / "points.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = {flag.code: flag.text for flag in compare_paths([folder]).comparisons[0].flags}

    assert "MTP 3 c64 (3x)" == flags["preempted"]

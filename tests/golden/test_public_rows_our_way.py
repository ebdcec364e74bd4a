"""What results/published/README.md says of our own answer on the public rows is what the rows give."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.compare import Options, compare_table
from analysis.pairs import BEST
from analysis.rows import load_table

PUBLISHED = Path(__file__).parents[2] / "results" / "published"
H100, MI325X = "qwen3.5/h100/fp8/1k1k", "qwen3.5/mi325x/fp8/1k1k"


@pytest.fixture(scope="module")
def table():
    return load_table([PUBLISHED])


@pytest.fixture(scope="module")
def answer(table):
    return compare_table(table, Options())


def comparisons(answer, question):
    return [comparison for comparison in answer.comparisons if comparison.pair.key.startswith(question)]


def codes(comparison):
    return {flag.code for flag in comparison.flags}


def test_mi325x_is_flagged_and_h100_is_not(answer):
    (mi325x,) = comparisons(answer, MI325X)

    assert "drafts-probably-not-used" in codes(mi325x)
    assert all("drafts-probably-not-used" not in codes(h100) for h100 in comparisons(answer, H100))


def test_h100_shares_little_ground_on_one_topology_and_says_what_the_front_hides(answer):
    matched, best = comparisons(answer, H100)

    assert ("59.4", "68.3") == tuple(f"{edge:.1f}" for edge in matched.overlap)
    assert matched.small_overlap
    assert any("c32 (42.0 tok/s/user at 294 tok/s/GPU)" in flag.text for flag in matched.flags)
    assert best.pair.view == BEST
    assert "unbalanced-search" in codes(best)
    assert [66, 88, 137] == [round(100 * (target.ratio.value - 1)) for target in best.targets]


def test_what_h100_says_on_one_topology_hangs_on_one_point(table, answer):
    matched = comparisons(answer, H100)[0]
    rows = tuple(row for row in table.rows if not (row.gpu == "h100" and row.is_off and row.concurrency == 32))
    without = compare_table(replace(table, rows=rows), Options(pair=matched.pair.key, at=(matched.targets[0].at,)))

    assert (61.6, 72) == (matched.targets[0].at, round(100 * (matched.targets[0].ratio.value - 1)))
    assert -12 == round(100 * (without.comparisons[0].targets[0].ratio.value - 1))


def test_no_verdict_is_stronger_than_the_rows_allow(answer):
    assert {"unknown", "unbalanced search"} == {comparison.verdict.value for comparison in answer.comparisons}


def test_engines_are_not_mixed_and_versions_that_differ_are_refused(answer):
    refused = {pair.key for pair in answer.refused}

    assert "dsv4/mi355x/fp4/8k1k/sglang/tp8/mtp" in refused
    assert any("mooncake-atom/off" in left.row for left in answer.unusable)

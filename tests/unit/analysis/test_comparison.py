"""One pair compared: numbers, verdicts, flags."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest

from analysis.assumptions import Assumptions
from analysis.compare import Options, Report, compare_table, parse_options
from analysis.pairing import find_pairs
from analysis.ratio import Verdict
from analysis.report import page as page_of
from analysis.rows import load_table, table
from analysis.tables import render
from analysis.targets import same_concurrency
from harness.errors import UserError

LADDER = (1, 2, 4, 8, 16, 32, 64)


def codes(comparison):
    return {flag.code for flag in comparison.flags}


def data_of(text):
    return json.loads(re.search('<script id="data" type="application/json">(.*?)</script>', text)[1])


def interactivity(arm, concurrency):
    return arm.interactivity(concurrency)


def test_targets_lie_at_quarters_of_the_overlap(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep())
    lo, hi = comparison.overlap

    parts = [(target.at - lo) / (hi - lo) for target in comparison.targets]

    assert [0.25, 0.5, 0.75] == pytest.approx(parts, abs=0.02)


def test_matched_throughput_is_near_the_truth(synthetic, comparison_of):
    quiet = synthetic.Sweep(concurrencies=LADDER, launch_noise=0, block_noise=0)

    for target in comparison_of(quiet).targets:
        for reading, arm in ((target.mtp, synthetic.MTP), (target.off, synthetic.OFF)):
            concurrency = (arm.tokens_per_step / target.at - arm.step_s) / arm.step_s_per_user
            assert concurrency == pytest.approx(reading.concurrency, rel=0.03)
            assert concurrency * target.at * 2 / 8 == pytest.approx(reading.total_tok_s_gpu, rel=0.03)


def test_equal_concurrency_splits_speed_into_tokens_a_step_and_time_a_step(synthetic, comparison_of):
    (first, *_) = comparison_of(synthetic.Sweep(launch_noise=0, block_noise=0)).same_concurrency

    step = (0.014 + 0.0006) / (0.010 + 0.0002)
    assert 2.4 / step == pytest.approx(first.speedup.value, rel=1e-4)
    assert step == pytest.approx(first.step_time_ratio, rel=1e-4)


def test_mtp_that_is_faster_everywhere_is_better(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(concurrencies=LADDER))

    assert Verdict.MTP_BETTER == comparison.verdict
    assert () == comparison.crossovers


def test_mtp_that_costs_more_than_it_brings_is_worse(synthetic, comparison_of):
    slow = synthetic.Arm(draft_tokens=3, tokens_per_step=1.5, step_s=0.020, step_s_per_user=0.0006)

    assert (
        Verdict.OFF_BETTER == comparison_of(synthetic.Sweep(arms=(synthetic.OFF, slow), concurrencies=LADDER)).verdict
    )


def test_where_mtp_stops_paying_the_curves_cross(synthetic, comparison_of):
    # Equal speed at concurrency c means equal throughput: 2.4 (0.010 + 0.0002 c) = 0.014 + 0.0008 c at c = 31.25.
    early = synthetic.Arm(draft_tokens=3, tokens_per_step=2.4, step_s=0.014, step_s_per_user=0.0008)
    comparison = comparison_of(synthetic.Sweep(arms=(synthetic.OFF, early), concurrencies=(*LADDER, 128)))

    (crossing,) = comparison.crossovers

    assert synthetic.OFF.interactivity(31.25) == pytest.approx(crossing.at, rel=0.02)
    assert crossing.lo < crossing.at < crossing.hi
    assert crossing.mtp_better_above


def test_one_launch_resolves_nothing(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(launches=1, concurrencies=LADDER))

    assert Verdict.NOT_RESOLVED == comparison.verdict
    assert "one-launch" in codes(comparison)
    assert all(target.ratio.lo is not None for target in comparison.targets)


def said(comparison, code):
    return [flag.text for flag in comparison.flags if flag.code == code]


def test_a_pair_over_two_nodes_says_so(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(nodes={(3, 1): "node-2"}))
    rest = "what these nodes differ in counts as a difference between the arms"

    assert [f"launch 2: Off on node-1, MTP on node-2: {rest}"] == said(comparison, "nodes-differ")
    assert [] == said(comparison, "several-nodes")


def test_arms_of_two_folders_on_two_nodes_say_so(synthetic, comparison_of):
    off = synthetic.Sweep(arms=(synthetic.OFF,))
    mtp = synthetic.Sweep(arms=(synthetic.MTP,), name="other", nodes={(3, launch): "node-2" for launch in range(3)})
    [text] = said(comparison_of(off, mtp), "nodes-differ")

    assert text.startswith("Off on node-1, MTP on node-2: ")


def test_launches_on_several_nodes_say_so_where_both_arms_moved_together(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(nodes={(0, 2): "node-2", (3, 2): "node-2"}))
    [text] = said(comparison, "several-nodes")

    assert text.startswith("launches ran on node-1, node-2, both arms of each on the same")
    assert [] == said(comparison, "nodes-differ")


def test_launches_that_one_arm_alone_has_elsewhere_say_so(synthetic, comparison_of):
    days = {launch: f"2026-02-0{launch + 1}T00:00:00Z" for launch in range(3)}
    alone = synthetic.Sweep(
        arms=(synthetic.OFF,), name="earlier", started=days, nodes={(0, launch): "node-2" for launch in range(3)}
    )
    comparison = comparison_of(alone, synthetic.Sweep())

    [text] = said(comparison, "nodes-differ")

    assert text.startswith("Off on node-1 (3 launches), node-2 (3 launches), MTP on node-1: ")
    assert [] == said(comparison, "several-nodes")
    assert ["first measured 2026-02-01 (Off) and 2026-08-01 (MTP)"] == said(comparison, "far-in-time")


def test_arms_of_two_folders_that_ran_alike_on_the_same_nodes_say_how(synthetic, comparison_of):
    nodes = {(arm, launch): f"node-{launch}" for arm in (0, 3) for launch in range(3)}
    arms = [
        synthetic.Sweep(arms=(arm,), name=f"of-{arm.draft_tokens}", nodes=nodes)
        for arm in (synthetic.OFF, synthetic.MTP)
    ]
    [text] = said(comparison_of(*arms), "several-nodes")

    assert text.startswith("launches ran on node-0, node-1, node-2, as many of each arm on each: ")


def test_an_arm_that_tells_no_node_is_said(synthetic, tmp_path):
    sweep = synthetic.Sweep()
    rows = [row | ({"node": None} if row["draft_tokens"] else {}) for row in sweep.rows()]
    (tmp_path / "points.jsonl").write_text(sweep.lines(rows))
    (comparison,) = compare_table(load_table([tmp_path]), Options()).comparisons

    [text] = said(comparison, "nodes-differ")

    assert text.startswith("Off on node-1, MTP on nodes that are not told: ")


def test_one_node_says_nothing_of_nodes(synthetic, comparison_of):
    assert not {"nodes-differ", "several-nodes"} & codes(comparison_of(synthetic.Sweep()))


def test_a_demo_has_no_verdict(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(demo=True))

    assert comparison.verdict is None
    assert [None] * 3 == [comparison.verdict_at(target) for target in comparison.targets]
    assert "demo" in comparison.stamps


def test_one_launch_without_blocks_is_unknown(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(launches=1, blocks=1))

    assert Verdict.UNKNOWN == comparison.verdict


def test_forced_acceptance_is_stamped_and_said(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(arms=(synthetic.OFF, replace(synthetic.MTP, forced=2.4))))

    assert "forced-acceptance" in comparison.stamps
    assert "forced-acceptance" in codes(comparison)


def test_forced_acceptance_gives_no_verdict_where_experts_are_routed(synthetic, comparison_of):
    forced = (synthetic.OFF, replace(synthetic.MTP, forced=2.4))

    comparison = comparison_of(synthetic.Sweep(arms=forced, model="a-model-nobody-knows", concurrencies=LADDER))

    assert "routing-not-representative" in codes(comparison)
    assert Verdict.UNKNOWN == comparison.verdict


def test_a_single_place_has_no_verdict_that_the_pair_may_not_have(synthetic, report_of):
    def said(*sweeps):
        (comparison,) = report_of(*sweeps).comparisons
        targets = [comparison.verdict_at(target) for target in comparison.targets]
        page = data_of(page_of(Report((comparison,), (), (), ())))["pairs"][0]
        lines = list(csv.DictReader(io.StringIO(render(Report((comparison,), (), (), ()), "csv"))))
        levels = [comparison.verdict_of(level.ratio) for level in comparison.same_concurrency]
        return {*targets, *levels, comparison.verdict, page["verdicts"], *(line["verdict"] for line in lines)} - {""}

    forced = (synthetic.OFF, replace(synthetic.MTP, forced=2.4))
    routed = synthetic.Sweep(arms=forced, model="a-model-nobody-knows", concurrencies=LADDER)
    off = synthetic.Sweep(arms=(synthetic.OFF,), tp=4, concurrencies=LADDER)
    mtp = synthetic.Sweep(arms=(synthetic.MTP,), concurrencies=LADDER, name="mtp")

    assert {Verdict.UNKNOWN} == said(routed)
    assert {Verdict.UNBALANCED} == said(off, mtp)


def test_emulated_rows_are_stamped(synthetic, comparison_of):
    assert ("emulated",) == comparison_of(synthetic.Sweep(emulated=True)).stamps


def test_a_target_beyond_an_arm_is_clamped_and_has_no_ratio(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(), at=(120.0,))

    (target,) = comparison.targets

    assert ("off",) == target.clamped
    assert target.ratio is None
    assert comparison.off.curve.span[1] == pytest.approx(target.off.interactivity)
    assert Verdict.UNKNOWN == comparison.verdict_at(target)
    assert "clamped" in codes(comparison)


def test_a_stamp_that_bars_engines_from_comparison_is_explained(synthetic, comparison_of):
    found = comparison_of(synthetic.Sweep(stamps=("cpu-plugin",)))

    [said] = [flag.text for flag in found.flags if flag.code == "cpu-plugin"]

    assert said.endswith("nor to set beside another engine's")


def test_ttft_that_differs_much_is_flagged(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(), at=(60.0, 95.0))

    # At 95 tok/s/user MTP holds 19 users and Off 3: the wait for a first token is not the same service.
    assert ["at 95 tok/s/user"] == [
        flag.text.partition(":")[0] for flag in comparison.flags if flag.code == "ttft-differs"
    ]


def test_a_small_overlap_is_said_and_the_best_of_topologies_is_shown_unbalanced(synthetic, report_of):
    # Off ran few users on another topology: the shared topology leaves the curves almost nothing in common.
    crowded = synthetic.Sweep(arms=(synthetic.OFF,), concurrencies=(64, 128, 256))
    lonely = synthetic.Sweep(arms=(synthetic.OFF,), concurrencies=(1, 4, 16), tp=4, name="tp4")
    mtp = synthetic.Sweep(arms=(synthetic.MTP,), concurrencies=(1, 4, 16, 64), name="mtp")

    matched, best = report_of(crowded, lonely, mtp).comparisons

    assert ("matched", "best-of-topologies") == (matched.pair.view, best.pair.view)
    assert codes(matched) & {"small-overlap", "no-overlap"}
    assert "unbalanced-search" in codes(best)
    assert Verdict.UNBALANCED == best.verdict


def test_a_view_may_be_asked_for(synthetic, report_of):
    report = report_of(synthetic.Sweep(), view="best-of-topologies")

    assert ["best-of-topologies"] == [comparison.pair.view for comparison in report.comparisons]


def test_pairs_may_be_asked_for_by_glob(synthetic, report_of):
    sweeps = (synthetic.Sweep(), synthetic.Sweep(gpu="h200", name="other"))

    report = report_of(*sweeps, pair="*/h200/*")

    assert ["mimo-163m/h200/bf16/1k1k/vllm/tp8/mtp3"] == [c.pair.key for c in report.comparisons]


def test_several_draft_lengths_get_a_choice(synthetic, report_of):
    short = synthetic.Arm(draft_tokens=1, tokens_per_step=1.7, step_s=0.0115, step_s_per_user=0.0003)
    report = report_of(synthetic.Sweep(arms=(synthetic.OFF, short, synthetic.MTP)))

    (choice,) = report.choices

    assert [(1, "MTP 3"), (4, "MTP 3"), (16, "MTP 1"), (64, "MTP 1")] == [
        (best.place, best.best.label) for best in choice.by_concurrency
    ]


@pytest.mark.parametrize(
    "other", [{"workload": "8k1k", "isl": 8192}, {"arrivals": "poisson"}, {"demo": True}, {"emulated": True}]
)
def test_one_draft_length_asked_two_questions_is_no_choice(synthetic, report_of, other):
    report = report_of(synthetic.Sweep(), synthetic.Sweep(name="other", **other))

    assert 2 == len(report.comparisons)
    assert () == report.choices


def test_each_question_has_a_choice_of_its_own(synthetic, report_of):
    arms = (synthetic.OFF, synthetic.Arm(draft_tokens=1, tokens_per_step=1.7), synthetic.MTP)

    report = report_of(synthetic.Sweep(arms=arms), synthetic.Sweep(arms=arms, arrivals="poisson", name="open"))

    assert ["concurrency", "requests/s"] == sorted(choice.loads for choice in report.choices)
    assert [{"Off", "MTP 1", "MTP 3"}] * 8 == [
        {arm.label for arm in best.tok_s_gpu} for choice in report.choices for best in choice.by_concurrency
    ]


@pytest.mark.parametrize("change", [{"demo": True}, {"model": "a-model-nobody-knows"}])
def test_without_a_verdict_nothing_is_to_be_run(synthetic, report_of, change):
    forced = [replace(synthetic.MTP, draft_tokens=length, forced=1.5) for length in (1, 3)]

    report = report_of(synthetic.Sweep(arms=(synthetic.OFF, *forced), **change))

    assert 2 == len(report.comparisons)
    assert () == report.choices


def test_an_arm_compared_by_force_is_no_choice(synthetic, report_of):
    arms = (synthetic.OFF, synthetic.Arm(draft_tokens=1, tokens_per_step=1.7), synthetic.MTP)

    report = report_of(synthetic.Sweep(arms=arms, differs={3: {"dtype": "fp16"}}), force=True)

    assert 2 == len(report.comparisons)
    assert () == report.choices


def test_an_arm_without_a_partner_is_named(synthetic, report_of):
    report = report_of(synthetic.Sweep(arms=(synthetic.MTP,)))

    assert () == report.comparisons
    assert "no Off arm" in report.unusable[0].reason


@pytest.mark.parametrize("at", ["", "fast", "10,-5", "0", "10;20", "nan", "inf"])
def test_places_that_are_none_are_refused(at):
    with pytest.raises(UserError, match="comma-separated"):
        parse_options(at=at)


def test_an_unknown_view_is_refused():
    with pytest.raises(UserError, match="matched and best-of-topologies"):
        parse_options(view="both")


@pytest.mark.parametrize(("alone", "arm"), [("OFF", "off"), ("MTP", "mtp3")])
def test_rows_of_a_topology_that_one_arm_alone_ran_are_named(synthetic, report_of, alone, arm):
    narrow = synthetic.Sweep(tp=4, name="narrow", arms=(getattr(synthetic, alone),), launches=1)
    sweeps = (narrow, synthetic.Sweep(concurrencies=LADDER))

    matched, asked, best = (
        report_of(*sweeps),
        report_of(*sweeps, pair="*/tp8/*"),
        report_of(*sweeps, view="best-of-topologies"),
    )

    assert ["matched"] == [comparison.pair.view for comparison in matched.comparisons]
    assert [(True, "one arm alone ran tp4: it counts in `--view best-of-topologies`")] * 4 == [
        (f"x4-vllm-{arm}" in left.row, left.reason) for left in matched.unusable
    ]
    assert () == asked.unusable == best.unusable


def test_at_option_parses_interactivities():
    assert (84.0, 108.5) == parse_options(at="84,108.5").at


def test_blocks_that_follow_each_other_count_for_less(synthetic):
    def half_width(order):
        sweep = synthetic.Sweep(launches=1, blocks=24, block_noise=0.02)
        rows = sweep.rows()
        for row in rows:
            for name in ("interactivity", "total_tok_s_gpu", "output_tok_s_gpu"):
                row[f"blocks_{name}"] = order(row[f"blocks_{name}"])
        (asked,), _ = find_pairs(table((row, None) for row in rows))
        (first, *_) = same_concurrency(asked.matched[0], Assumptions(None, "", None, ""), within_launch=True)
        return first.ratio.half_width

    # The same values, once as they came and once drifting slowly: one drift is one thing seen, not 24.
    assert 2 * half_width(list) < half_width(sorted)

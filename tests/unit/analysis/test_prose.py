"""Sentences that can't be misread."""

from dataclasses import replace

import pytest

from analysis.choices import Best
from analysis.compare import Options, compare_table
from analysis.crossovers import Crossover
from analysis.pairs import Arm
from analysis.prose import choice, crossover, doubt, more_or_less, paragraph
from analysis.ratio import Ratio
from analysis.rows import load_table
from harness.units import number


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1.94, "94 % more"),
        (1 / 1.94, "48.5 % less"),
        (2.0, "100 % more"),
        (0.5, "50 % less"),
        (1.004, "the same within 0.5 %"),
        (0.9785, "2.1 % less"),
        (4.99, "399 % more"),
        (14.2, "14.2 times as much"),
    ],
)
def test_more_and_less_mean_what_a_reader_takes_them_to_mean(ratio, words):
    assert words == more_or_less(ratio)


def test_cost_falls_by_less_than_throughput_rises(synthetic, comparison_of):
    comparison = comparison_of(synthetic.Sweep(concurrencies=(1, 2, 4, 8, 16, 32, 64)), at=(60.0,), prices="2026-07-13")
    ratio = comparison.targets[0].ratio.value

    text = paragraph(comparison)

    assert f"{100 * (ratio - 1):.3g} % more" in text
    assert f"A million tokens cost {100 * (1 - 1 / ratio):.3g} % less with MTP at 60.0 tok/s/user" in text


def test_stamps_come_first(synthetic, comparison_of):
    emulated = synthetic.Sweep(emulated=True, arms=(synthetic.OFF, replace(synthetic.MTP, forced=2.4)))

    assert paragraph(comparison_of(emulated)).startswith("[emulated, forced-acceptance] ")


def test_a_demo_says_that_it_has_no_verdict(synthetic, comparison_of):
    assert "Measured for show (demo): no verdict." in paragraph(comparison_of(synthetic.Sweep(demo=True)))


def test_a_difference_between_deployments_is_never_worded_as_mtps(synthetic, report_of):
    off = synthetic.Sweep(arms=(synthetic.OFF,), tp=4)
    mtp = synthetic.Sweep(arms=(synthetic.MTP,), name="mtp")

    (comparison,) = report_of(off, mtp).comparisons
    text = paragraph(comparison)

    assert "not an effect of MTP" in text
    assert "MTP delivers" not in text
    assert "with MTP at" not in text


@pytest.mark.parametrize(
    ("launches", "said"),
    [(3, "The best with MTP is better: every interval"), (1, "launches: the best with MTP is better within this one")],
)
def test_the_best_of_the_same_topologies_is_no_effect_of_mtp_either(synthetic, report_of, launches, said):
    early = synthetic.Arm(draft_tokens=3, tokens_per_step=2.4, step_s=0.014, step_s_per_user=0.0002)
    ladder, arms = (1, 2, 4, 8, 16, 32, 64), (synthetic.OFF, early)
    sweeps = [
        synthetic.Sweep(arms=arms, tp=tp, launches=launches, concurrencies=ladder, name=f"tp{tp}") for tp in (4, 8)
    ]

    (comparison,) = report_of(*sweeps, view="best-of-topologies", prices="2026-07-13").comparisons
    text = paragraph(comparison)

    assert text.startswith(
        "The arms searched the same topologies (MTP: tp4, tp8; Off: tp4, tp8): what follows is a difference between "
        "deployments, not an effect of MTP. "
    )
    assert "the best with MTP against the best without" in text
    assert "with the best MTP deployment at" in text
    assert said in text
    assert "MTP delivers" not in text


def test_a_crossing_of_deployments_is_not_worded_as_mtps(synthetic, report_of):
    early = synthetic.Arm(draft_tokens=3, tokens_per_step=2.4, step_s=0.014, step_s_per_user=0.0008)
    sweep = synthetic.Sweep(arms=(synthetic.OFF, early), concurrencies=(1, 2, 4, 8, 16, 32, 64, 128))

    (comparison,) = report_of(sweep, view="best-of-topologies").comparisons

    assert "above it the deployments with MTP deliver more per GPU, below it those without" in paragraph(comparison)


def test_a_crossing_says_on_which_side_mtp_wins():
    text = crossover(Crossover(at=40.0, lo=38.0, hi=None, mtp_better_above=True))

    assert (
        "the curves cross at 40.0 tok/s/user (95 % interval 38.0 to beyond the overlap): above it MTP delivers more "
        "per GPU, below it Off"
    ) == text


def test_a_crossing_without_an_interval_says_so():
    assert "no interval is known" in crossover(Crossover(at=40.0, lo=None, hi=None, mtp_better_above=False))


def test_of_several_crossings_each_says_what_is_so_beside_it():
    text = crossover(Crossover(at=40.0, lo=38.0, hi=42.0, mtp_better_above=True), several=True)

    assert text.endswith(": just above it MTP delivers more per GPU, just below it Off")


def test_curves_that_cross_twice_are_not_told_as_if_each_crossing_were_alone(synthetic, tmp_path):
    sweep = synthetic.Sweep(concurrencies=(1, 4, 16, 64, 256), launch_noise=0.001, block_noise=0.001)
    off = {row["concurrency"]: row for row in sweep.rows() if not row["draft_tokens"] and not row["launch"]}
    times = {1: 0.9, 4: 1.2, 16: 1.2, 64: 0.8, 256: 0.8}
    rows = []
    for row in sweep.rows():
        c = row["concurrency"]
        y = {"interactivity": off[c]["interactivity"], "total_tok_s_gpu": off[c]["total_tok_s_gpu"] * times[c]}
        rows.append(row | (y if row["draft_tokens"] else {}))
    (tmp_path / "points.jsonl").write_text(sweep.lines(rows))

    (comparison,) = compare_table(load_table([tmp_path]), Options()).comparisons
    text = paragraph(comparison)

    assert 2 == len(comparison.crossovers)
    assert (2, 2) == (text.count(": just above it"), text.count("just below it"))


def test_an_arm_of_one_point_is_said_to_have_one(synthetic, report_of):
    off = synthetic.Sweep(arms=(synthetic.OFF,))
    mtp = synthetic.Sweep(arms=(synthetic.MTP,), concurrencies=(32,), name="mtp", launch_noise=0, block_noise=0)

    (comparison,) = report_of(off, mtp, view="matched").comparisons
    text = "MTP has one point, at 72.3 tok/s/user: a curve needs two"

    assert f"{text}, so nothing can be said at one speed for the user." in paragraph(comparison)
    assert [text] == [flag.text for flag in comparison.flags if flag.code == "no-overlap"]


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (Ratio(2, 1.9, 2.1, 1.53), "95 % interval +90 % to +110 %, a point left out moves it by 153 %"),
        (Ratio(9, 7, 10.997), "95 % interval +600 % to +1000 %"),
        (Ratio(9, 0.5, 12), "95 % interval -50 % to over +1000 %"),
        (Ratio(1.02, 1.015, 1.025), "95 % interval +1.5 % to +2.5 %"),
    ],
)
def test_doubt_is_told_in_digits_that_people_read(ratio, words):
    assert words == doubt(ratio)


def test_a_choice_names_what_is_tied():
    best = Best(16, {Arm(1): 400.0, Arm(3): 399.0}, Arm(1), (Arm(3),))

    assert "concurrency 16.0: MTP 1 (400 tok/s/GPU, tied with MTP 3)" == choice(best, "concurrency")


def judged(comparison, *ratios):
    """The comparison as if its targets had these ratios."""
    targets = [replace(target, ratio=ratio) for target, ratio in zip(comparison.targets, ratios, strict=True)]
    return replace(comparison, targets=tuple(targets))


BETTER, WORSE, TIED, OPEN = Ratio(1.2, 1.1, 1.3), Ratio(0.8, 0.7, 0.9), Ratio(1.0, 0.99, 1.01), Ratio(1.1, 0.8, 1.5)


@pytest.mark.parametrize(
    ("ratios", "word", "sentence"),
    [
        (
            (BETTER, OPEN, OPEN),
            "mtp better in places",
            "MTP is better at {0} tok/s/user; not resolved at {1} and {2}.",
        ),
        ((TIED, TIED, WORSE), "off better in places", "Off is better at {2} tok/s/user; tied at {0} and {1}."),
        ((OPEN, TIED, OPEN), "not resolved", "Tied at {1} tok/s/user; not resolved at {0} and {2}."),
        ((OPEN, OPEN, OPEN), "not resolved", "The measurements don't resolve which is better."),
        (
            (BETTER, OPEN, WORSE),
            "depends on the interactivity",
            "Which is better depends on the interactivity: see each",
        ),
    ],
)
def test_that_one_arm_is_better_at_some_places_does_not_make_it_depend(
    synthetic, comparison_of, ratios, word, sentence
):
    comparison = judged(comparison_of(synthetic.Sweep(concurrencies=(1, 2, 4, 8, 16, 32, 64))), *ratios)
    places = [number(target.at) for target in comparison.targets]

    assert word == comparison.verdict
    assert sentence.format(*places) in paragraph(comparison)


def test_within_one_launch_too(synthetic, comparison_of):
    one = comparison_of(synthetic.Sweep(launches=1, concurrencies=(1, 2, 4, 8, 16, 32, 64)))
    said = [
        paragraph(judged(one, *(replace(ratio, within_launch=True) for ratio in ratios)))
        for ratios in ((BETTER, OPEN, TIED), (BETTER, WORSE, TIED))
    ]

    assert "launches: MTP is better at some interactivities within this one launch; measure more launches." in said[0]
    assert "launches: which is better within this one launch depends on the interactivity; measure" in said[1]

"""What a task's scores mean, and what of it a sweep file may ask for."""

from pathlib import Path

import pytest

from harness import config
from harness.accuracy.lm_eval import Evaluated, found_in
from harness.errors import ConfigError
from harness.spec import Evaluation

SWEEP = Path("dsr1-fp8-b200-8k1k")


def evaluated(**scores):
    return Evaluated(
        task="gsm8k",
        floor=0.91,
        scores={f"exact_match,{name.replace('_', '-')}": score for name, score in scores.items()},
        questions=1319,
    )


def test_every_score_must_reach_the_floor():
    assert evaluated(strict_match=0.91, flexible_extract=0.95).below is None
    assert (
        "gsm8k: exact_match,strict-match 0.850 of 1319 questions, floor 0.91"
        == evaluated(strict_match=0.85, flexible_extract=0.95).below
    )


def test_a_task_without_scores_is_below_nothing():
    assert Evaluated(task="gsm8k", floor=0.91, reason="no network").below is None


RESULTS = """{
"results": {"gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": "N/A"}},
"n-samples": {"gsm8k": {"original": 1319, "effective": 8}}}"""


def found(folder, text):
    (folder / "model").mkdir()
    (folder / "model" / "results_2026-07-01T00-00-00.json").write_text(text)
    return found_in(folder, "gsm8k", 0.9)


@pytest.mark.parametrize("stderr", ['"N/A"', "NaN", "0.1"])
def test_results_of_lm_eval_are_read(tmp_path, stderr):
    expected = Evaluated(task="gsm8k", floor=0.9, scores={"exact_match,strict-match": 0.5}, questions=8)

    assert expected == found(tmp_path, RESULTS.replace('"N/A"', stderr))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not understood"),
        ("[]", "not understood: Expected `object`"),
        ("{}", "not understood: Object missing required field `results`"),
        (RESULTS.replace('"n-samples"', '"samples"'), "missing required field `n-samples`"),
        (RESULTS.replace('"effective"', '"used"'), "missing required field `effective`"),
        (RESULTS.replace('"gsm8k": {', '"gsm8k_cot": {'), "no exact match"),
        (RESULTS.replace('"gsm8k": {"original"', '"gsm8k_cot": {"original"'), "no number of questions"),
        (RESULTS.replace("exact_match,", "acc,"), "no exact match"),
        (RESULTS.replace("0.5", '"N/A"'), "Expected `float`, got `str`"),
        (RESULTS.replace("0.5", "NaN"), "Expected `float`, got `str`"),
    ],
)
def test_results_that_are_not_as_foreseen_are_a_reason(tmp_path, text, said):
    lacking = found(tmp_path, text)

    assert ({}, None) == (lacking.scores, lacking.questions)
    assert said in lacking.reason


def test_no_results_are_a_reason(tmp_path):
    assert "lm-eval left no results" == found_in(tmp_path, "gsm8k", 0.9).reason


def test_a_model_has_its_own_floor_and_a_sweep_may_set_another():
    model = config.load(SWEEP).model

    assert 0.91 == Evaluation().floor_for(model)
    assert 0.90 == Evaluation(task="other").floor_for(model)
    assert 0.5 == Evaluation(floor=0.5).floor_for(model)


def written(tmp_path, line, acceptance="natural"):
    text = (config.packaged_configs() / "sweeps" / f"{SWEEP}.yaml").read_text()
    file = tmp_path / "sweep.yaml"
    file.write_text(text.replace("acceptance: natural", f"acceptance: {acceptance}") + f"{line}\n")
    return config.load(file)


def test_a_task_by_name_is_enough(tmp_path):
    assert Evaluation(task="gsm8k") == written(tmp_path, "accuracy: gsm8k").accuracy


def test_a_task_of_ones_own_lies_beside_the_sweep(tmp_path):
    (tmp_path / "tiny.yaml").touch()

    assert str(tmp_path / "tiny.yaml") == written(tmp_path, "accuracy: ./tiny.yaml").accuracy.task


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("accuracy: ./missing.yaml", "there is no .*missing.yaml"),
        ("accuracy: {task: gsm8k, floor: 1.5}", "accuracy.floor"),
        ("accuracy: {tsak: gsm8k}", "tsak"),
    ],
)
def test_a_wrong_task_is_said_where_it_stands(tmp_path, line, said):
    with pytest.raises(ConfigError, match=said):
        written(tmp_path, line)


def test_forced_acceptance_has_no_answers_to_be_right(tmp_path):
    with pytest.raises(ConfigError, match="forced acceptance writes other tokens"):
        written(tmp_path, "accuracy: gsm8k", acceptance="2.0")

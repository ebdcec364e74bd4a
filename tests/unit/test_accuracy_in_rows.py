"""What a task of lm-eval says of an arm stands in every row of it, whichever start measured the point.

Points in virtual time and files as lm-eval's scores leave them: what matters is which file counts, and for which rows.
"""

import asyncio
import shutil

import msgspec
import pytest
from toys import CPU, MODEL

from harness.accuracy.agreement import Answers
from harness.atomic_files import write_json
from harness.config import dump
from harness.errors import UserError
from harness.rundir import SweepDir
from harness.scoring import rescore, score_answers_anew
from harness.spec import EngineSpec, Evaluation, Sweep, WindowSpec, Workload, expand
from harness.sweep import run_sweep

SWEEP = Sweep(
    name="accuracy",
    model=MODEL,
    gpu=CPU,
    precision="bf16",
    engine=EngineSpec(name="emulator"),
    max_running_requests=8,
    mtp=(3,),
    workload=Workload(name="short", isl=32, osl=24),
    concurrency=(2, 4),
    window=WindowSpec(min_s=5, max_s=20),
)
ASKED = SWEEP.model_copy(update={"accuracy": Evaluation(floor=0.5)})


@pytest.fixture
def results(tmp_path):
    """A sweep that asks for a task: all of its points are done, none of its servers was asked yet."""
    found = SweepDir(tmp_path / "results")
    asyncio.run(run_sweep(SWEEP, found.path, in_virtual_time=True))
    found.lock.write_text(dump(ASKED))
    return found


def scored(results, score=None, **said):
    """A further start of the arm, and what came of the task on it."""
    (run,) = results.runs()
    scores = {} if score is None else {"exact_match,strict-match": score}
    write_json(run.new_attempt().accuracy, {"task": "gsm8k", "floor": 0.5, "scores": scores, "questions": 9} | said)


def codes_after_resuming(results):
    """Of every row, what is said of its answers once the sweep was called again; no server is started for it."""
    rows = asyncio.run(run_sweep(ASKED, results.path))
    return [[code for code in (*row["invalid"], *row["warnings"]) if code.startswith("accuracy")] for row in rows]


def test_a_score_that_reaches_the_floor_says_nothing(results):
    scored(results, 0.9)

    assert [[], []] == codes_after_resuming(results)


def test_a_score_below_the_floor_voids_the_points_of_earlier_starts_too(results):
    scored(results, 0.1)

    assert [["accuracy_differs"]] * 2 == codes_after_resuming(results)
    assert 0 == rescore(results.path).changed


def test_the_newest_score_counts(results):
    scored(results, 0.1)
    first = codes_after_resuming(results)
    scored(results, 0.9)

    assert ([["accuracy_differs"]] * 2, [[], []]) == (first, codes_after_resuming(results))


def test_a_task_that_failed_is_unknown_until_it_is_put_again(results):
    scored(results, reason="no network")
    first = codes_after_resuming(results)
    scored(results, 0.9)

    assert ([["accuracy_unknown"]] * 2, [[], []]) == (first, codes_after_resuming(results))


def test_a_task_that_was_never_put_is_unknown_once_the_arm_is_done(results):
    assert [["accuracy_unknown"]] * 2 == codes_after_resuming(results)
    assert 0 == rescore(results.path).changed


def test_a_task_may_still_be_put_while_points_are_missing(results):
    (run,) = results.runs()
    shutil.rmtree(run.points()[-1].path)
    rescore(results.path)

    assert [[]] == [files.row()["warnings"] for files in results.done()]


def test_rows_are_mended_one_by_one_and_gathered_by_the_caller(results):
    scored(results, 0.1)
    gathered = results.rows.read_bytes()

    assert [True, False] == [score_answers_anew(ASKED, results, expand(ASKED)) for _ in range(2)]
    assert [["accuracy_differs"]] * 2 == [files.row()["invalid"] for files in results.done()]
    assert gathered == results.rows.read_bytes()


def test_virtual_time_has_no_answers_to_look_at(tmp_path):
    with pytest.raises(UserError, match=r"--virtual: accuracy puts a task to a server"):
        asyncio.run(run_sweep(ASKED, tmp_path / "results", in_virtual_time=True))

    assert not (tmp_path / "results").exists()


PAIR = SWEEP.model_copy(update={"mtp": (0, 3), "concurrency": (2,)})


@pytest.fixture
def pair(tmp_path):
    """Off and MTP, each measured on one start, by draft tokens: the folders of these starts."""
    found = SweepDir(tmp_path / "pair")
    asyncio.run(run_sweep(PAIR, found.path, in_virtual_time=True))
    return {run.mtp.draft_tokens: found.run(run.key).attempts()[0] for run in PAIR.all_runs()}, found


def unknown(results):
    """By draft tokens, what is said of answers that are not known."""
    asyncio.run(run_sweep(PAIR, results.path))
    said = [msgspec.json.decode(files.point.read_bytes()) for files in results.done()]
    return {point["row"]["draft_tokens"]: point["details"].get("accuracy_unknown") for point in said}


def answered(attempt, times):
    attempt.answers.write_bytes(b"".join(msgspec.json.encode(SAME) + b"\n" for _ in range(times)))


SAME = Answers(when="before", answers=((1, 2, 3),) * 10)
LOST = "the ten questions: {} x answered by this start of MTP, 1 needed; {} x by Off, 2 needed"


def test_a_start_that_nobody_asked_is_not_missed(pair):
    _, results = pair

    assert {0: None, 3: None} == unknown(results)


@pytest.mark.parametrize(("off", "mtp"), [(1, 2), (0, 1), (2, 0)])
def test_mtp_that_can_not_be_set_beside_off_is_unknown(pair, off, mtp):
    starts, results = pair
    answered(starts[0], off)
    answered(starts[3], mtp)

    assert {0: None, 3: LOST.format(mtp, off)} == unknown(results)
    assert 0 == rescore(results.path).changed


def test_an_answer_that_comes_later_is_counted(pair):
    starts, results = pair
    answered(starts[0], 1)
    answered(starts[3], 2)
    first = unknown(results)
    (off,) = (run for run in PAIR.all_runs() if run.is_off)
    answered(results.run(off.key).new_attempt(), 2)

    assert (LOST.format(2, 1), None) == (first[3], unknown(results)[3])


def test_off_may_still_answer_while_a_point_of_it_is_missing(pair):
    starts, results = pair
    answered(starts[0], 1)
    answered(starts[3], 2)
    (off,) = (run for run in PAIR.all_runs() if run.is_off)
    shutil.rmtree(results.run(off.key).points()[0].path)
    rescore(results.path)

    assert [[]] == [files.row()["warnings"] for files in results.done()]

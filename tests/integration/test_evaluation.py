"""The real lm-eval puts a task of GSM8K's shape to the very servers measured: an arm below its floor is void."""

import asyncio
import json

import pytest

from harness.accuracy.lm_eval import require_loadable_task
from harness.config import load
from harness.errors import MachineUnfit
from harness.sweep import run_sweep

PROFILE = """
fixed_s: 0.002
per_position_s: 0.00001
per_context_token_s: 0.0
per_prefill_token_s: 0.000001
per_draft_s: 0.0
source: made up, quick
"""
QUESTIONS = (
    ("Tom has 3 apples and buys 4. How many has he?", 7),
    ("Half of 18?", 9),
    ("5 cars of 20 seats each?", 100),
)
TASK = r"""
task: tiny
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl}}
output_type: generate_until
test_split: test
fewshot_split: test
num_fewshot: 1
doc_to_text: "Question: {{question}}\nAnswer:"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["Question:"], do_sample: false}
filter_list:
  - name: strict-match
    filter: [{function: regex, regex_pattern: '#### (\-?[0-9\.\,]+)'}, {function: take_first}]
  - name: flexible-extract
    filter: [{function: regex, group_select: -1, regex_pattern: '(-?[$0-9.,]{2,})|(-?[0-9]+)'}, {function: take_first}]
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    regexes_to_ignore: ['(?s).*#### ']
"""
SWEEP = """
model: mimo-163m
gpu: cpu-2core
precision: bf16
engine: {{name: emulator, args: [--profile, {folder}/quick.yaml]}}
max_running_requests: 4
mtp: [3]
workload: {{name: any, isl: 512, osl: 32}}
concurrency: [4]
window: {{min_s: 1, max_s: 4}}
idle_power_s: 0
accuracy: {{task: {task}, floor: {floor}, questions: 2, venv: {venv}}}
"""


@pytest.fixture
def sweep(tmp_path, lm_eval_venv):
    """A sweep with a floor."""
    (tmp_path / "quick.yaml").write_text(PROFILE)
    (tmp_path / "tiny.yaml").write_text(TASK)
    lines = [{"question": asked, "answer": f"So it is\n#### {answer}"} for asked, answer in QUESTIONS]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def written(floor, task="./tiny.yaml"):
        file = tmp_path / "evaluated.yaml"
        file.write_text(SWEEP.format(folder=tmp_path, floor=floor, task=task, venv=lm_eval_venv))
        return load(file)

    return written


def test_scores_are_held_to_the_floor(sweep, tmp_path):
    rows = asyncio.run(run_sweep(sweep(0.5), tmp_path / "results"))
    said = [json.loads(file.read_text()) for file in sorted((tmp_path / "results").glob("*/attempt-1/accuracy.json"))]

    # What an emulator says has no meaning, so it answers nothing right.
    scores = {"exact_match,strict-match": 0.0, "exact_match,flexible-extract": 0.0}
    assert [{"task": "tiny", "floor": 0.5, "scores": scores, "questions": 2, "reason": None}] == said
    assert [True] == ["accuracy_differs" in row["invalid"] for row in rows]


def test_a_task_without_its_data_stops_before_any_server_starts(sweep, tmp_path):
    asked = sweep(0.5)
    (tmp_path / "questions.jsonl").unlink()

    with pytest.raises(MachineUnfit, match="lm-eval can't load tiny"):
        asyncio.run(run_sweep(asked, tmp_path / "results"))

    assert [] == list((tmp_path / "results").glob("*/attempt-1"))


def test_an_environment_without_lm_eval_is_said_in_a_line(sweep, tmp_path):
    asked = sweep(0.5)
    elsewhere = asked.accuracy.model_copy(update={"venv": str(tmp_path)})

    with pytest.raises(MachineUnfit, match=r"pip install 'mtpbench\[accuracy\]'") as stopped:
        asyncio.run(require_loadable_task(asked.model_copy(update={"accuracy": elsewhere})))

    assert "\n" not in str(stopped.value)

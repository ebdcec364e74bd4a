"""The real vLLM as a step of a real job: both arms, measured, compared."""

import os

import pytest

from harness import config
from harness.atomic_files import read_json
from harness.rundir import SweepDir
from harness.slurm.files import ClusterDir
from harness.slurm.submissions import submissions
from harness.slurm.submit import submit

from .conftest import idle, until

pytestmark = [pytest.mark.slurm, pytest.mark.vllm]

SWEEP = """
model: mimo-tiny
gpu: cpu-2core
precision: bf16
engine: {name: vllm, venv: $MTPBENCH_VLLM_CPU, env: {VLLM_CPU_KVCACHE_SPACE: "1"}}
max_running_requests: 4
mtp: [off, 1]
workload: 64x96
concurrency: [2]
window: {min_s: 4, max_s: 8}
demo: true
"""


def test_a_sweep_of_the_real_vllm_ends_in_an_answer(box, vllm_venv, tmp_path, monkeypatch):
    monkeypatch.setenv("MTPBENCH_VLLM_CPU", os.fspath(vllm_venv))
    (tmp_path / "real.yaml").write_text(SWEEP)
    sweep = config.load(tmp_path / "real.yaml")
    files = ClusterDir(SweepDir(tmp_path / "results"))
    submit(sweep, files.results.path, config.load_cluster("slurm-box", tmp_path / "real.yaml"))
    until(lambda: idle(submissions(files)), limit_s=500)
    rows = [point.row() for point in files.results.done()]
    [off, mtp] = sorted(rows, key=lambda row: row["draft_tokens"])
    argv = [read_json(attempt.argv)["argv"] for run in files.results.runs() for attempt in run.attempts()]

    assert (0, 1) == (off["draft_tokens"], mtp["draft_tokens"])
    assert "arm_not_active" not in mtp["invalid"]
    assert off["node"] == mtp["node"]
    assert all("srun" == words[0] and "serve" in words for words in argv)
    assert "mimo-tiny" in (files.results.path / "comparison.md").read_text()

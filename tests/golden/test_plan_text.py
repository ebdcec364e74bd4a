"""The plan as a person sees it, for a sweep of every kind of fact."""

from pathlib import Path

from harness import config
from harness.paths import packaged_configs
from harness.plan import plan, render

FOLDER = Path(__file__).parent / "plan"


def test_the_plan_of_a_sweep_on_gpus(monkeypatch):
    monkeypatch.chdir(FOLDER)

    assert Path("gpus.txt").read_text() == render(plan(config.load(Path("gpus.yaml")), day="2026-08-20")) + "\n"


def test_the_plan_of_the_quickstart(monkeypatch):
    monkeypatch.delenv("MTPBENCH_VLLM_CPU", raising=False)

    text = render(plan(config.load(Path("quickstart")))).replace(str(packaged_configs()), "<configs>")

    assert (FOLDER / "quickstart.txt").read_text() == text + "\n"

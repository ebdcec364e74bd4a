"""The benchmarks' scripts still fit the code that they measure; what they measure is for no test."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "scripts" / "benchmarks"


@pytest.mark.parametrize("script", sorted(FOLDER.glob("[a-z]*.py")), ids=lambda script: script.stem)
def test_a_script_finds_all_that_it_imports(script, monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location(f"benchmark_{script.stem}", script)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)

    spec.loader.exec_module(module)

    assert module.__doc__


def test_a_small_file_is_scored_within_the_memory_asked_for():
    command = [sys.executable, FOLDER / "score_memory.py", "--requests", "12000"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (0, "") == (ended.returncode, ended.stderr)
    assert "8000 requests in the window" in ended.stdout

"""The command line and environment of every arm of every sweep for GPUs, whole, as its server will be started.

A golden file that is missing is written and fails its test once: after a change that is meant, delete the file, run the
test twice and read the difference. Whether an engine takes these words is asked of its own parser, in integration/argv.
"""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness import config
from harness.paths import packaged_configs
from harness.plan import PlannedRun, plan

GOLDEN = Path(__file__).parent / "argv"
SWEEPS = [path for path in sorted((packaged_configs() / "sweeps").glob("*.yaml")) if config.load(path).engine.image]


def rendered(planned: PlannedRun) -> Iterator[str]:
    run, command = planned.run, planned.command
    yield f"# {run.mtp.label} on {run.parallel.gpus} {run.gpu.label}, {run.engine.image}"
    yield from (f"{name}={value}" for name, value in command.env.items())
    yield from options(command.argv)


def options(argv: Sequence[str]) -> Iterator[str]:
    """An option a line, with its values."""
    line: list[str] = []
    for word in argv:
        if word.startswith("-"):
            yield " ".join(line)
            line = []
        line.append(word if word.startswith("<") else shlex.quote(word))
    yield " ".join(line)


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: path.stem)
def test_every_arm_is_started_as_recorded(sweep):
    golden = GOLDEN / f"{sweep.stem}.txt"
    blocks = ["\n".join(rendered(planned)) + "\n" for planned in plan(config.load(sweep), day="2026-11-01").runs]
    text = "\n".join(blocks)
    if not golden.exists():
        golden.write_text(text)
        pytest.fail(f"{golden.name} was not there: read it, and commit it")

    assert golden.read_text() == text


def test_no_golden_file_outlives_its_sweep():
    assert {path.stem for path in SWEEPS} == {path.stem for path in GOLDEN.glob("*.txt")}

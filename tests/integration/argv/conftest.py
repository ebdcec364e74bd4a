"""Engines' own parsers, asked once a version about every command line that the sweeps mean."""

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CONFIGS = {name: entry["config"] for name, entry in json.loads((HERE / "model_configs.json").read_text()).items()}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the parser of one version says.

    Attributes:
        parser: the file that it is written in.
        commands: in the order asked: `options` as they were read, or a `fault`.
        unknown_env: variables that the engine never reads.
        mtp: for each model config, the `architectures` and number of `modules` that draft.
    """

    parser: Path
    version: str
    commands: list[dict]
    unknown_env: list[str]
    mtp: dict[str, dict]


Ask = Callable[[str, str, Sequence[Sequence[str]], Sequence[str]], Verdict]


@pytest.fixture(scope="session")
def ask(wheels, vllm_venv) -> Ask:
    """Put command lines and variable names to the parser of an engine's version."""

    def asked(engine: str, version: str, commands: Sequence[Sequence[str]], env: Sequence[str]) -> Verdict:
        question = {"commands": [list(argv) for argv in commands], "env": list(env), "model_configs": CONFIGS}
        done = subprocess.run(
            [vllm_venv / "bin" / "python", HERE / f"{engine}_parser.py"],
            input=json.dumps(question),
            env={
                "PATH": os.environ["PATH"],
                "HOME": os.environ["HOME"],
                "PYTHONPATH": str(wheels / f"{engine}-{version}"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        said = json.loads(done.stdout.splitlines()[-1])
        return Verdict(**said | {"parser": Path(said["parser"])})

    return asked

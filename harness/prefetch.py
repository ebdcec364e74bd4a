"""Stage a sweep's weights where its engine will look for them, so that no GPU waits for a download.

The download is done by the huggingface_hub of the engine's own environment, into the cache that the engine reads; a
folder is only looked at.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EngineMissing, UserError
from harness.paths import expand, is_local
from harness.spec import Run, Sweep
from harness.units import number

DOWNLOAD = """
import json, sys
try:
    from huggingface_hub import snapshot_download
except ImportError:
    sys.exit(3)
print(snapshot_download(**json.loads(sys.argv[1])))
"""
"""Run by the engine's Python. The hub's command lines differ between versions; this function has stayed the same."""

NO_HUB = 3

WITHOUT_WEIGHTS = ("*.json", "*.jinja", "*.model", "*.txt", "*.py", "*.tiktoken")
WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Something that an engine will read.

    Attributes:
        place: hub id, or a folder as the Sweep keeps it.
        revision: of a hub id; None is its main branch.
        weights: whether its weights are wanted; without them config and tokenizer do.
        run: the Run that wants it.
    """

    place: str
    revision: str | None
    weights: bool
    run: Run


def prefetch(sweep: Sweep) -> str:
    """Stage everything that the sweep's Runs will read; one line a place, saying what is there.

    Raises:
        UserError: a folder is not there or lacks files, or a download failed.
        EngineMissing: nothing to download with.
    """
    lines = dict.fromkeys(_staged(wanted) for run in sweep.all_runs() for wanted in wanted_by(run))
    return "\n".join(lines) or "nothing to stage: the server runs already"


def wanted_by(run: Run) -> Iterator[Wanted]:
    """Weights and, where it lies elsewhere, the tokenizer."""
    if run.engine.endpoint is not None:
        return
    model = run.model
    revision = run.revision or model.revision
    yield Wanted(place=model.weights, revision=revision, weights=model.load_format != "dummy", run=run)
    if model.tokenizer not in (None, model.weights):
        yield Wanted(place=str(model.tokenizer), revision=None, weights=False, run=run)


def download_command(wanted: Wanted, python: str) -> list[str]:
    """The command that stages a hub id and prints the folder."""
    patterns = None if wanted.weights else WITHOUT_WEIGHTS
    asked = {"repo_id": wanted.place, "revision": wanted.revision, "allow_patterns": patterns}
    return [python, "-c", DOWNLOAD, json.dumps(asked)]


def looked_at(folder: Path, *, weights: bool) -> str:
    """What lies in a folder that a model is served from, in a line.

    Raises:
        UserError: files are missing.
    """
    if not (folder / "config.json").is_file() and not (folder / "tokenizer_config.json").is_file():
        raise UserError(f"{folder}: no config.json there: put the model's files into it, or correct the path")
    if not weights:
        return f"{folder}: there"
    files = [path for pattern in WEIGHTS for path in folder.glob(pattern) if path.exists()]
    if not files:
        raise UserError(f"{folder}: no weight files ({', '.join(WEIGHTS)}): put them there, or use load_format: dummy")
    missing = sorted(_shards(folder) - {path.name for path in files})
    if missing:
        raise UserError(
            f"{folder}: {len(missing)} weight files of its index are not there, like {missing[0]}: stage it again"
        )
    return f"{folder}: there, {len(files)} weight files, {number(sum(f.stat().st_size for f in files) / 1e9)} GB"


def _shards(folder: Path) -> set[str]:
    """Names of all files that the weights are spread over, where an index says so.

    Source: https://huggingface.co/docs/transformers/big_models (sharded checkpoints).
    """
    indices = [json.loads(path.read_text()) for path in folder.glob("*.safetensors.index.json") if path.exists()]
    return {str(name) for index in indices for name in index["weight_map"].values()}


def _staged(wanted: Wanted) -> str:
    if is_local(wanted.place):
        return looked_at(Path(expand(wanted.place)), weights=wanted.weights)
    return _downloaded(wanted)


def _downloaded(wanted: Wanted) -> str:
    python = _python(wanted.run)
    # Its progress and its errors go to the terminal.
    done = subprocess.run(download_command(wanted, python), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == NO_HUB:
        raise EngineMissing(f"{python} has no huggingface_hub: install it there, or stage {wanted.place} by hand")
    if done.returncode:
        raise UserError(f"{wanted.place}: the download ended with {done.returncode}; what it said stands above")
    return f"{wanted.place}: staged in {done.stdout.strip()}"


def _python(run: Run) -> str:
    """The Python of the engine's environment, or the one on PATH beside an engine on PATH."""
    engine = run.engine
    if engine.image is not None:
        raise EngineMissing(f"engine.image: stage {run.model.weights} with a Python that has huggingface_hub, by hand")
    folder = None if engine.venv is None else str(Path(expand(engine.venv)) / "bin")
    found = shutil.which("python3", path=folder)
    if found is None:
        raise EngineMissing(f"no python3 in {folder or 'PATH'}: install {engine.name} there, or name another venv")
    return found

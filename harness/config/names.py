"""Names to files, and written paths to real ones: what a sweep or a model points at beside itself.

Works on trees, before anything is validated. A thing's file is looked for beside the file that names it, then among
the package's own configs; one file holds one thing, named by its stem.
"""

import difflib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harness.config.text import Faults, Node, Place, read
from harness.errors import UserError
from harness.paths import CONFIGS, expand, is_local, packaged_configs, portable

FOLDERS = {"model": "models", "gpu": "gpus", "workload": "workloads", "golden": "acceptance"}
"""Keys that hold a name, and the folder of configs/ that has its file."""

ALL_FOLDERS = {**FOLDERS, "cluster": "clusters"}
"""And what a command names, but no key."""


def known(kind: str, beside: Path | None = None) -> list[str]:
    """Names that a key of `kind` can hold in the file `beside`, or in the package alone."""
    found = {path.stem for folder in _folders(kind, beside) for path in folder.glob("*.yaml")}
    return sorted(found)


def nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def nearest_or_all(word: str, words: Iterable[str]) -> str:
    """The nearest of few or many words, or what there is to choose from."""
    choice = sorted(words)
    return nearest(word, choice) or (f"; there are {', '.join(choice)}" if choice else "")


def named(kind: str, node: Node, faults: Faults) -> Node:
    """The mapping that `node` names or is, with what it points at resolved in turn."""
    if isinstance(node.value, str):
        file = _file(kind, node.value, node.place.file)
        if file is None:
            faults.at(node, f"'{node.value}' has no file{nearest_or_all(node.value, known(kind, node.place.file))}")
            return replace(node, value=None, broken=True)
        return from_file(kind, file, faults)
    return _pointing(kind, node, faults)


def from_file(kind: str, file: Path, faults: Faults) -> Node:
    """The mapping that a file of `kind` holds, its name filled in."""
    node = read(file, faults)
    if node is None:
        return Node(None, Place(file), broken=True)
    if not isinstance(node.value, dict):
        faults.at(node, f"must be a mapping of a {kind}'s keys")
        return replace(node, value=None, broken=True)
    node = with_name(node, file.stem)
    name = child(node, "name")
    if name and name.value != file.stem:
        faults.at(name, f"must be {file.stem} as the file is called, got {name.text}; leave it out")
    return _pointing(kind, node, faults)


def with_name(node: Node, stem: str) -> Node:
    """A mapping with a `name`: its own, or that of its file."""
    if not isinstance(node.value, dict) or "name" in node.value:
        return node
    return replace(node, value={"name": Node(stem, node.place, "name", stem), **node.value})


def child(node: Node, key: str) -> Node | None:
    """What a mapping holds under `key`; None when it holds nothing or is no mapping."""
    return node.value.get(key) if isinstance(node.value, dict) else None


def located(node: Node, faults: Faults, *, must_exist: bool = True) -> Node:
    """A written path as one that holds wherever the Sweep goes; relative ones start at the file that has them."""
    text = node.value
    if not isinstance(text, str) or not text or text.startswith(CONFIGS):
        return node
    if not text.isprintable():
        faults.at(node, "no path has such characters")
        return replace(node, value=None, broken=True)
    kept = text if text.startswith(("~", "$")) else portable(node.place.file.parent / text)
    must_exist = must_exist and not node.place.file.name.endswith(".lock.yaml")  # a record may come from elsewhere
    if must_exist and not _exists(kept):
        faults.at(node, f"there is no {expand(kept)}; make it, or correct the path")
    return replace(node, value=kept)


def _pointing(kind: str, node: Node, faults: Faults) -> Node:
    """`node` with what it points at resolved: a model's golden table and folders, a workload's text."""
    if not isinstance(node.value, dict):
        return node
    children = dict(node.value)
    if kind == "model":
        for key in {"weights", "tokenizer"} & children.keys():
            if is_local(str(children[key].value)):
                children[key] = located(children[key], faults)
        if "golden" in children and children["golden"].value is not None:
            children["golden"] = named("golden", children["golden"], faults)
    if kind == "workload" and children.get("source", node).value not in (node.value, "builtin", "random"):
        children["source"] = located(children["source"], faults)
    return replace(node, value=children)


def _folders(kind: str, beside: Path | None) -> list[Path]:
    folder = ALL_FOLDERS[kind]
    near = [] if beside is None else [beside.parent.parent / folder]
    return [*near, packaged_configs() / folder]


def _file(kind: str, name: str, beside: Path) -> Path | None:
    if "/" in name or name.endswith(".yaml"):
        candidates = [beside.parent / (expand(name) if name.startswith("~") else name)]
    else:
        candidates = [folder / f"{name}.yaml" for folder in _folders(kind, beside)]
    return next((Path(os.path.normpath(candidate)) for candidate in candidates if _is_file(candidate)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long, a folder that may not be entered
        return False


def _exists(kept: str) -> bool:
    """Whether a kept path is there; one with a variable that is not set here is taken on trust."""
    try:
        return Path(expand(kept)).exists()
    except UserError:
        return True
    except OSError:
        return False

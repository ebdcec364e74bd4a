"""YAML text to a tree that remembers where everything stands, and plain data back to text.

The only module that imports yaml. It knows nothing of sweeps. It reads a small YAML: mappings, lists and scalars, one
document, no anchors, aliases or tags; `1e3` is a number, `010`, `1:30` and `2026-05-01` are text, keys are text.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import yaml

from harness.errors import ConfigError

Scalar = str | int | float | bool | None

LARGEST_FILE = 256 * 1024  # bytes; far above any sweep, and a megabyte would keep the parser busy for a minute
DEEPEST = 20  # levels; a sweep has six

_WORDS: dict[str, bool | None] = {
    spelling: value
    for word, value in {
        "": None, "~": None, "null": None,
        "true": True, "yes": True, "on": True,
        "false": False, "no": False, "off": False,
    }.items()
    for spelling in (word, word.capitalize(), word.upper())
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,30}|[1-9][0-9]{0,2}(_[0-9]{3}){1,9})")
_REAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,4})?")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands; line and column count from 1, 0 means the file as a whole."""

    file: Path
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        file = self.file
        if file.is_absolute() and file.is_relative_to(Path.cwd()):
            file = file.relative_to(Path.cwd())
        return f"{file}:{self.line}:{self.column}" if self.line else str(file)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands.

    Attributes:
        path: how to reach it inside its file: `window.min_s`, `mtp[1]`; empty for the whole.
        text: a scalar as it was written, quotes included.
        keys: where each key of a mapping stands.
        broken: a fault was reported for it; whoever finds it wrong again keeps quiet.
    """

    value: "Scalar | Mapping[str, Node] | list[Node]"
    place: Place
    path: str = ""
    text: str = ""
    keys: Mapping[str, Place] = field(default_factory=dict)
    broken: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong in a file; `path` leads to it inside the file."""

    place: Place
    path: str
    says: str

    def __str__(self) -> str:
        line = ": ".join(filter(None, (str(self.place), self.path, self.says)))
        # One line, and nothing that a terminal would obey.
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


class Faults:
    """All that is wrong so far."""

    def __init__(self) -> None:
        self._all: list[Fault] = []

    def at(self, node: Node, says: str) -> None:
        """One more, about a value."""
        self.add(node.place, node.path, says)

    def add(self, place: Place, path: str, says: str) -> None:
        """One more; a file that is named twice is at fault once."""
        fault = Fault(place, path, says)
        if fault not in self._all:
            self._all.append(fault)

    def error(self) -> ConfigError:
        """All of them, a line each, in the order of the files."""
        return ConfigError("\n".join(str(fault) for fault in sorted(self._all)))

    def __bool__(self) -> bool:
        return bool(self._all)


def read(path: Path, faults: Faults) -> Node | None:
    """The tree of one file; None, with a fault, where it can't be read as YAML of our kind."""
    text = _content(path, faults)
    if text is None:
        return None
    try:
        return _Builder(path, faults).build(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as e:
        faults.add(_place(path, e.problem_mark or e.context_mark), "", f"not YAML: {_explained(e.problem or str(e))}")
    except yaml.reader.ReaderError as e:
        line = text.count("\n", 0, e.position) + 1
        column = e.position - text.rfind("\n", 0, e.position)
        faults.add(Place(path, line, column), "", "a control character; delete it")
    except (ValueError, OverflowError):  # the scanner meets an escape such as "\UFFFFFFFF"
        faults.add(Place(path), "", "not YAML: an escape in quotes that is no character")
    return None


def scalar(text: str) -> Scalar:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def write(data: Mapping[str, object]) -> str:
    """YAML text that `read` takes back to the same plain data; keys keep their order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110)


def _content(path: Path, faults: Faults) -> str | None:
    try:
        raw = path.read_bytes()
    except OSError as e:
        problem = (e.strerror or str(e)).lower()
        faults.add(Place(path), "", f"can't be read: {problem}; give the path of a YAML file")
        return None
    if len(raw) > LARGEST_FILE:
        faults.add(Place(path), "", f"{len(raw)} bytes; the largest file taken is {LARGEST_FILE}")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        column = e.start - raw.rfind(b"\n", 0, e.start)
        faults.add(Place(path, line, column), "", "not UTF-8 text; save the file as UTF-8")
        return None


class _Mark(Protocol):
    line: int
    column: int


def _place(path: Path, mark: _Mark | None) -> Place:
    return Place(path, mark.line + 1, mark.column + 1) if mark else Place(path)


def _explained(problem: str) -> str:
    if "'\\t'" in problem:
        return f"{problem}; indent with spaces"
    if "mapping values are not allowed" in problem:
        return f"{problem}; mind the indentation, and quote a value that holds ': '"
    return problem


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    place: Place
    path: str
    children: dict[str, Node] | list[Node]
    keys: dict[str, Place] = field(default_factory=dict)
    key: str | None = None

    def next_path(self) -> str:
        """Path of the value that comes next."""
        if isinstance(self.children, list):
            return f"{self.path}[{len(self.children)}]"
        return ".".join(filter(None, (self.path, self.key)))

    def node(self) -> Node:
        return Node(self.children, self.place, self.path, keys=self.keys)


class _Builder:
    """Builds the tree from parse events, by a stack: no depth and no alias can blow it up."""

    def __init__(self, file: Path, faults: Faults) -> None:
        self._file = file
        self._faults = faults
        self._open: list[_Open] = []
        self._root: Node | None = None

    def build(self, events: Iterator[yaml.Event]) -> Node | None:
        """The document's tree, or None when it has none or goes too deep."""
        for event in events:
            place = _place(self._file, event.start_mark)
            if isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
                self._faults.add(place, "", "a second document; a file holds one")
                return self._root
            if isinstance(event, yaml.CollectionStartEvent) and len(self._open) == DEEPEST:
                self._faults.add(place, "", f"nested deeper than {DEEPEST} levels")
                return None
            self._take(event, place)
        if self._root is None:
            self._faults.add(Place(self._file), "", "is empty")
        return self._root

    def _take(self, event: yaml.Event, place: Place) -> None:
        path = self._open[-1].next_path() if self._open else ""
        broken = isinstance(event, yaml.NodeEvent) and self._uses_magic(event, place, path)
        if isinstance(event, yaml.CollectionEndEvent):
            self._add(self._open.pop().node())
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open.append(_Open(place, path, {} if isinstance(event, yaml.MappingStartEvent) else []))
        elif isinstance(event, yaml.ScalarEvent):
            plain = event.style is None
            value = scalar(event.value) if plain else event.value
            text = event.value if plain else repr(event.value)
            self._add(Node(None if broken else value, place, path, text, broken=broken))
        elif isinstance(event, yaml.AliasEvent):
            self._add(Node(None, place, path, broken=True))

    def _uses_magic(self, event: yaml.NodeEvent, place: Place, path: str) -> bool:
        if event.anchor is not None:
            self._faults.add(place, path, "anchors and aliases are not taken; write the value out")
            return True
        tag = getattr(event, "tag", None)
        if tag is not None:
            self._faults.add(place, path, f"the tag {tag} is not taken; write the plain value")
        return tag is not None

    def _add(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent.children, list):
            parent.children.append(node)
        elif parent.key is None:
            parent.key = self._key(node, parent)
        else:
            if parent.key:
                parent.children.setdefault(parent.key, node)
            parent.key = None

    def _key(self, node: Node, parent: _Open) -> str:
        key = node.value if isinstance(node.value, str) else node.text
        if not key:
            self._faults.at(node, "a key must be text")
            return ""
        if key in parent.keys:
            path = ".".join(filter(None, (parent.path, key)))
            self._faults.add(node.place, path, f"is there twice, first on line {parent.keys[key].line}; leave one out")
        parent.keys.setdefault(key, node.place)
        return key


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, _data: object) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if scalar(text) == text else "'"
    # In double quotes the dumper escapes what the reader would take for the end of a line.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_text)

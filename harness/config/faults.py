"""A tree to a validated value, or to every fault in it, each at the place where it stands in its file."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.config.names import FOLDERS, nearest, nearest_or_all
from harness.config.text import Faults, Node, Place, scalar
from harness.spec import Spec

S = TypeVar("S", bound=Spec)
Steps = tuple[str | int, ...]

SAYS = {
    "missing": "is missing; add it",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "mapping_type": "must be a mapping",
    "model_type": "must be a mapping",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "needs at least {min_length} entry",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}
"""What a fault of pydantic's kind is, in words of a YAML file; other kinds say it themselves."""

PATTERNS = {
    r"^\d{4}-\d{2}-\d{2}$": "must be a date as 2026-07-31",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "must be letters, digits, '.', '_' and '-' alone: folders are named by it",
}
WORDS_TAKEN = {
    "mtp": "must be off, on or a number of draft tokens",
    "acceptance": "must be natural, golden or a number of tokens a step",
    "concurrency": "must be a list of whole numbers, one, or {from, to}",
}
"""Keys that take more than the type of what a file's value is turned into."""

COMBINATION = "value_error"


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a fault's location leads in the tree: the deepest node, the real steps to it, and what is absent."""

    node: Node
    steps: Steps
    absent: str | None = None
    key_place: Place | None = None


def validated(spec: type[S], root: Node, faults: Faults) -> S:
    """The value that a tree describes.

    Raises:
        ConfigError: every fault, those found before included.
    """
    try:
        value = spec.model_validate(_plain(root))
    except ValidationError as e:
        _report(spec, root, e, faults)
        raise faults.error() from None
    if faults:
        raise faults.error()
    return value


def _report(spec: type[Spec], root: Node, error: ValidationError, faults: Faults) -> None:
    errors = error.errors(include_url=False)
    dropped = set()
    for details in errors:
        found = _find(root, details)
        _explain(spec, found, details, faults)
        dropped.add((*found.steps, found.absent) if found.absent else found.steps)
    # What can't be read is left out and the rest is judged again: combinations are faults too, and come last.
    if any(details["type"] != COMBINATION for details in errors):
        _report_combinations(spec, root, dropped, faults)


def _report_combinations(spec: type[Spec], root: Node, dropped: Collection[Steps], faults: Faults) -> None:
    try:
        spec.model_validate(_plain(root, dropped))
    except ValidationError as e:
        suspect = {str(step) for steps in dropped for step in steps[-2:] if not isinstance(step, int)}
        suspect |= {guess for word in suspect for guess in re.findall("'(.*)'", nearest(word, _all_keys(spec)))}
        for details in e.errors(include_url=False):
            # One that mentions what was left out may go away when that is right.
            if details["type"] == COMBINATION and not suspect & set(re.findall(r"\w+", details["msg"])):
                _explain(spec, _find(root, details), details, faults)


def _explain(spec: type[Spec], found: _Found, details: ErrorDetails, faults: Faults) -> None:
    node, kind = found.node, details["type"]
    if node.broken or (kind == "too_short" and node.value):
        return
    path = ".".join(filter(None, (node.path, found.absent)))
    if kind == COMBINATION:
        for place, where, says in _combinations(node, details):
            faults.add(place, where, says)
    elif kind == "extra_forbidden":
        keys = _keys(_spec_at(spec, found.steps))
        says = f"unknown key{nearest_or_all(found.absent or '', keys)}"
        faults.add(found.key_place or node.place, path, says)
    elif kind == "missing":
        faults.add(node.place, path, SAYS[kind])
    else:
        faults.add(found.key_place or node.place, path, f"{_says(node, details)}, got {_got(node, kind)}")


def _says(node: Node, details: ErrorDetails) -> str:
    kind, limits = details["type"], details.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return PATTERNS.get(limits["pattern"], f"must match {limits['pattern']}")
    key = re.sub(r"^(mtp|acceptance)\[.*", r"\1", node.path.rpartition(".")[2])
    if kind == "model_type" and key in FOLDERS:
        return "must be a name or a mapping"
    if (kind.endswith("_type") or kind == "literal_error") and key in WORDS_TAKEN:
        return WORDS_TAKEN[key]
    template = SAYS.get(kind)
    return template.format(**limits) if template else details["msg"][:1].lower() + details["msg"][1:]


def _got(node: Node, kind: str) -> str:
    """What stands there, as it was written, and how to write what was meant."""
    value = node.value
    if isinstance(value, Mapping | list):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if value is None:
        return "nothing"
    if kind == "string_type":
        return f"{node.text}; put it in quotes"
    if isinstance(value, bool):
        return f"{node.text}, which YAML reads as {str(value).lower()}"
    if (
        kind in {"int_type", "float_type", "bool_type"}
        and node.text != value
        and not isinstance(scalar(str(value)), str)
    ):
        return f"{node.text}; take the quotes away"
    if kind == "int_type" and re.fullmatch("0+[1-9][0-9]*", str(value)):
        return f"{node.text}, which some read as octal; write {str(value).lstrip('0')}"
    if kind == "int_type" and isinstance(value, float) and value.is_integer():
        return f"{node.text}; write {int(value)}"
    return node.text


def _combinations(node: Node, details: ErrorDetails) -> Iterator[tuple[Place, str, str]]:
    """The faults of one validator: a line each, led by the key that it is about where there is one."""
    for line in details["msg"].removeprefix("Value error, ").splitlines():
        key, _, says = line.partition(": ")
        about = node.value.get(key) if isinstance(node.value, Mapping) else None
        yield (about.place, about.path, says) if about else (node.place, node.path, line)


def _find(root: Node, details: ErrorDetails) -> _Found:
    """Follow a location; steps that YAML has no node for (the branch of a union) are skipped."""
    node, steps = root, list[str | int]()
    for number, step in enumerate(details["loc"], start=1):
        is_last = number == len(details["loc"])
        if isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        elif isinstance(node.value, Mapping) and isinstance(step, str) and step in node.value:
            if is_last and details["type"] == "extra_forbidden":
                return _Found(node, tuple(steps), step, node.keys.get(step))
            node = node.value[step]
        elif is_last and details["type"] == "missing":
            return _Found(node, tuple(steps), str(step))
        else:
            continue
        steps.append(step)
    return _Found(node, tuple(steps))


def _plain(node: Node, without: Collection[Steps] = (), at: Steps = ()) -> object:
    """The tree as plain data, less the branches at `without`."""
    if isinstance(node.value, Mapping):
        kept = {key: item for key, item in node.value.items() if (*at, key) not in without}
        return {key: _plain(item, without, (*at, key)) for key, item in kept.items()}
    if isinstance(node.value, list):
        return [
            _plain(item, without, (*at, number))
            for number, item in enumerate(node.value)
            if (*at, number) not in without
        ]
    return node.value


def _keys(spec: type[Spec]) -> list[str]:
    return [field.alias or name for name, field in spec.model_fields.items()]


def _all_keys(spec: type[Spec]) -> set[str]:
    inner = {one for field in spec.model_fields.values() for one in _specs_in(field.annotation)}
    return set(_keys(spec)).union(*(_all_keys(one) for one in inner))


def _spec_at(spec: type[Spec], steps: Steps) -> type[Spec]:
    """The class whose keys the mapping at `steps` may hold."""
    for step in steps:
        fields = {field.alias or name: field for name, field in spec.model_fields.items()}
        if step in fields:
            spec = next(_specs_in(fields[str(step)].annotation), spec)
    return spec


def _specs_in(annotation: object) -> Iterator[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    for inner in get_args(annotation):
        yield from _specs_in(inner)

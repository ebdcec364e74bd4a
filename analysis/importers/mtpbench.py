"""Lines of our own points.jsonl, checked and passed through: a file may have been edited, or be of another version."""

from collections.abc import Mapping
from typing import Any

from analysis.importers.fields import LARGEST, Fields, UnusableRow, clean_text
from analysis.importers.row import FlatRow
from harness.records import SCHEMA

NAMES = ("run_key", "pair_key", "model", "gpu", "precision", "engine")
COUNTS = ("gpus", "isl", "osl")
CODES = ("stamps", "invalid", "warnings")
OTHER_SCHEMA = "schema "
"""How the reason begins when a line is of another version than this program's."""


def matches(record: Mapping[str, Any]) -> bool:
    """Whether this is a line of a points.jsonl."""
    return "schema" in record and "run_key" in record


def row(record: Mapping[str, Any]) -> FlatRow:
    """The record itself, once it is known to hold what a row must hold.

    Raises:
        UnusableRow: it is of another schema, or something in it is missing or wrong.
    """
    fields = Fields(record)
    if record["schema"] != SCHEMA:
        raise UnusableRow(f"{OTHER_SCHEMA}{clean_text(record['schema'])[:20]}; this version reads schema {SCHEMA}")
    for name in NAMES:
        fields.needed_text(name)
    if "draft_tokens" not in record:  # null is MTP of a length that nobody told
        raise UnusableRow("draft_tokens is missing")
    fields.count("draft_tokens")
    for name in COUNTS:
        fields.positive_count(name)
    if record.get("arrivals") is None:
        fields.positive_count("concurrency")
    else:
        fields.needed_text("arrivals")
        fields.positive("rate")
    for name in CODES:
        if not isinstance(record.get(name, []), list):
            raise UnusableRow(f"{name} is not a list")
    if not record.get("invalid"):
        fields.positive("interactivity")
        fields.positive("total_tok_s_gpu")
    return {clean_text(name): _plain(name, value) for name, value in record.items()}


def _plain(name: str, value: object) -> object:
    """A scalar, or a flat list of them, that a table and an encoder can take."""
    if isinstance(value, list) and not any(isinstance(item, list) for item in value):
        return [_plain(name, item) for item in value]
    if isinstance(value, str):
        return clean_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) <= LARGEST else None
    raise UnusableRow(f"{clean_text(name)} holds a nested value")

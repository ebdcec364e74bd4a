"""The text that prompts are cut from, out of the files that people have.

Knows file formats and nothing of tokens, lengths or servers. Whatever the format, the result is a list of pieces of
text in file order; a prompt of the file is not sent as such but becomes part of one long text, because a workload
asks for an exact length.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.errors import UserError

LIMIT_CHARS = 8_000_000
"""Text beyond this is left in the file: about two million tokens, more than most sweeps send."""


@dataclass(frozen=True)
class Corpus:
    """Text, and where it is from.

    Attributes:
        pieces: texts of a few thousand to tens of thousands of characters, in order.
    """

    name: str
    pieces: tuple[str, ...]

    @cached_property
    def sha256(self) -> str:
        """Hex digest over the text, the same however it is cut."""
        return hashlib.sha256("".join(self.pieces).encode()).hexdigest()


def read_corpus(source: str, kind: str) -> Corpus:
    """The text behind a workload's `source`, in pieces.

    Args:
        source: `builtin`, `random` (which takes its token ids from the built-in text), or a path.
        kind: a workload's `format`: text, jsonl, sharegpt or speedbench; for a path only.

    Raises:
        UserError: the file can't be read as what it is said to be; says where.
    """
    if source in ("builtin", "random"):
        return Corpus("builtin", tuple(_cut(_builtin())))
    path = Path(source)
    try:
        texts = list(_limited(_READERS[kind](path)))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; workload.source names a file that can be read") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text at byte {error.start}") from error
    if not any(text.strip() for text in texts):
        raise UserError(f"{path}: no text in it, read as {kind}")
    return Corpus(path.name, tuple(_cut(texts)))


def _builtin() -> list[str]:
    """Python's own language reference, as `help()` prints it: prose and code.

    The same on every system for one version of Python; a new version changes the text, so its hash goes into the
    prompt stream's.
    """
    from pydoc_data.topics import topics

    return [topics[name] for name in sorted(topics)]


def _limited(texts: Iterator[str]) -> Iterator[str]:
    left = LIMIT_CHARS
    for text in texts:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _cut(texts: list[str], chars: int = 16_000) -> Iterator[str]:
    """The texts one after the other, a blank line between them, cut at line ends where there are any.

    A request to a tokenizer has a limit, and a cut inside a word would make tokens that no text has.
    """
    whole = "\n\n".join(texts)
    start = 0
    while start < len(whole):
        end = start + chars
        if end < len(whole):
            line_end = whole.rfind("\n", start, end) + 1
            end = line_end if line_end > start else end
        yield whole[start:end]
        start = end


def _text(path: Path) -> Iterator[str]:
    yield path.read_text(encoding="utf-8")


def _jsonl(path: Path) -> Iterator[str]:
    """One object a line with a `prompt` or a `text`."""
    for at, record in _lines(path):
        text = record.get("prompt", record.get("text"))
        if not isinstance(text, str):
            raise UserError(f"{at}: no text under 'prompt' or 'text'")
        yield text


def _speedbench(path: Path) -> Iterator[str]:
    """Records with `turns`, a list of texts, as JSONL or parquet; SpecBench's question.jsonl has them too.

    Source: https://huggingface.co/datasets/nvidia/SPEED-Bench.
    """
    records = _parquet(path) if path.suffix == ".parquet" else _lines(path)
    for at, record in records:
        turns = record.get("turns")
        if not isinstance(turns, list) or not all(isinstance(turn, str) for turn in turns):
            raise UserError(f"{at}: 'turns' must be a list of texts")
        yield from turns


def _sharegpt(path: Path) -> Iterator[str]:
    """One JSON list of conversations, each a list of turns `{from, value}`: all turns, both sides."""
    try:
        conversations = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    if not isinstance(conversations, list):
        raise UserError(f"{path}:1: a ShareGPT file is one JSON list of conversations")
    for number, conversation in enumerate(conversations, start=1):
        turns = conversation.get("conversations") if isinstance(conversation, dict) else None
        if not isinstance(turns, list):
            raise UserError(f"{path}: conversation {number} of {len(conversations)} has no list 'conversations'")
        for turn in turns:
            if not isinstance(turn, dict) or not isinstance(turn.get("value"), str):
                raise UserError(f"{path}: conversation {number}: a turn has no text under 'value'")
            yield turn["value"]


def _lines(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """`file:line` and the object there."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            at = f"{path}:{number}"
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{at}: not JSON: {error.msg} (column {error.colno})") from error
            if not isinstance(record, dict):
                raise UserError(f"{at}: a line must be a JSON object")
            yield at, record


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """`file: row` and the record there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise UserError(f"{path}: not a parquet file: {error}") from error
    for number, record in enumerate(table.to_pylist(), start=1):
        yield f"{path}: row {number}", record


_READERS: dict[str, Callable[[Path], Iterator[str]]] = {
    "text": _text,
    "jsonl": _jsonl,
    "speedbench": _speedbench,
    "sharegpt": _sharegpt,
}

"""A file's bytes -> records: JSON, JSON lines, CSV or parquet, told apart by content, never by name.

Knows containers only; what a record means is for the module of each origin (bench, inferencex, mtpbench).
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ResultsError

PARQUET = b"PAR1"
WRAPPERS = ("rows", "data", "results", "benchmarks")
"""Keys under which services put their list of records."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record and where it stood: `row 3`, `line 17`.

    Attributes:
        fault: why the place holds no record; `fields` is then empty.
    """

    place: str
    fields: Mapping[str, Any]
    fault: str | None = None


def read_records(path: Path) -> list[Record]:
    """All records of a file, in its order.

    Raises:
        ResultsError: the file can't be opened or is in no form that is known here; one line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path}: can't be read: {error.strerror or error}") from error
    try:
        return list(_parquet(content) if content.startswith(PARQUET) else _text(_decoded(content)))
    except _Unreadable as error:
        raise ResultsError(f"{path}: {error}") from error


class _Unreadable(Exception):
    """The reason, without the file's name."""


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable(f"neither text nor parquet (byte {error.start} is not UTF-8)") from error


def _text(text: str) -> Iterator[Record]:
    start = text.lstrip()[:1]
    if not start:
        raise _Unreadable("empty")
    if start not in "[{":
        return _csv(text)
    try:
        return _json(json.loads(text))
    except RecursionError as error:
        raise _Unreadable("JSON nested too deep") from error
    except ValueError as error:
        if _looks_like_lines(text):
            return _json_lines(text)
        raise _Unreadable(f"broken JSON: {_first_line(error)}") from error


def _json(value: object) -> Iterator[Record]:
    if isinstance(value, dict):
        wrapped = next((value[key] for key in WRAPPERS if isinstance(value.get(key), list)), None)
        value = [value] if wrapped is None else wrapped
    if not isinstance(value, list):
        raise _Unreadable("JSON that holds no records")
    return (_record(f"row {number}", item) for number, item in enumerate(value, 1))


def _looks_like_lines(text: str) -> bool:
    first = next(line for line in text.splitlines() if line.strip())
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _json_lines(text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield _record(f"line {number}", json.loads(line))
        except (ValueError, RecursionError) as error:
            yield Record(f"line {number}", {}, f"broken JSON: {_first_line(error)}")


def _record(place: str, item: object) -> Record:
    if isinstance(item, dict):
        return Record(place, item)
    return Record(place, {}, f"a {type(item).__name__}, not a record")


def _csv(text: str) -> Iterator[Record]:
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [name.strip() for name in next(reader)]
        if len(header) < 2 or len(set(header)) < len(header):
            raise _Unreadable("neither JSON, CSV with a header of distinct names, nor parquet")
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise _Unreadable(f"broken CSV in line {reader.line_num}: {error}") from error
    return (_csv_record(f"line {line}", header, row) for line, row in rows)


def _csv_record(place: str, header: list[str], row: list[str]) -> Record:
    if len(row) == len(header):
        return Record(place, dict(zip(header, row, strict=True)))
    return Record(place, {}, f"{len(row)} columns where the header has {len(header)}")


def _parquet(content: bytes) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # ParquetFile, for read_table would import pandas to answer.
        table = pq.ParquetFile(pa.BufferReader(content)).read()
        columns = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _Unreadable(f"broken parquet: {_first_line(error)}") from error
    names = table.column_names
    rows = zip(*columns, strict=True)
    return (Record(f"row {number}", dict(zip(names, row, strict=True))) for number, row in enumerate(rows, 1))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

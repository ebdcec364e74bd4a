"""Results of other tools -> rows of ours, told apart by content.

`read` takes a file apart into records, one module for each origin makes a row of a record or says why it can't, `lines`
keeps the newest run of every line of a public dashboard. A new format is one function and one entry of FORMATS. What
can't be used is counted and named.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from analysis.importers import bench, inferencex, mtpbench
from analysis.importers.fields import UnusableRow, clean_text
from analysis.importers.lines import newest_runs
from analysis.importers.read import Record, read_records
from analysis.importers.report import Imported, ImportReport, Unusable, reasons
from analysis.importers.row import FlatRow
from harness.atomic_files import atomic
from harness.errors import ResultsError, UserError
from harness.rundir import SweepDir

__all__ = [
    "FORMATS",
    "FlatRow",
    "ImportReport",
    "Imported",
    "Unusable",
    "facts_of",
    "import_files",
    "newest_runs",
    "read_files",
]


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of record.

    Attributes:
        matches: whether a record is of this kind.
        row: the record as a row; raises UnusableRow.
        lacks_facts: its files don't say where they were measured, so the user may add it.
    """

    name: str
    matches: Callable[[Mapping[str, Any]], bool]
    row: Callable[[Mapping[str, Any]], FlatRow]
    lacks_facts: bool = False


FORMATS = (
    Format("our own points.jsonl", mtpbench.matches, mtpbench.row),
    Format("InferenceX artifact, API answer, CSV or parquet", inferencex.matches, inferencex.row),
    Format("vllm bench serve", bench.is_vllm, bench.vllm_row, lacks_facts=True),
    Format("sglang.bench_serving", bench.is_sglang, bench.sglang_row, lacks_facts=True),
)


def read_files(files: Iterable[Path], facts: Mapping[str, str] | None = None) -> Imported:
    """All rows of all files, in any format of FORMATS; the newest run of each public line stands.

    A file that can't be read is one Unusable. `facts` is what files of some formats don't say, by our column names:
    gpu, gpus, precision, draft_tokens, ...
    """
    rows: list[FlatRow] = []
    unusable: list[Unusable] = []
    for file in files:
        try:
            records = read_records(file)
        except ResultsError as error:
            unusable.append(Unusable(file.name, None, str(error).removeprefix(f"{file}: ")))
            continue
        for record in records:
            made = _row(record, facts or {})
            if isinstance(made, str):
                unusable.append(Unusable(file.name, record.place, made))
            else:
                rows.append(_placed(made, file, record))
    return Imported(tuple(newest_runs(rows)), tuple(unusable))


def import_files(files: Sequence[Path], out: Path, facts: Mapping[str, str] | None = None) -> ImportReport:
    """Write the rows of `files` to `out`/points.jsonl, in one step.

    Raises:
        ResultsError: there was no usable row in any of them, or the folder can't be written or holds measurements.
    """
    folder = SweepDir(out)
    if folder.lock.exists():
        raise ResultsError(
            f"{out}: holds a measured sweep, whose points.jsonl would be lost; import into another folder"
        )
    imported = read_files(files, facts)
    if not imported.usable:
        raise ResultsError("\n".join(["no usable row", *reasons(imported)]))
    try:
        with atomic(folder.rows) as partial:
            partial.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in imported.rows))
    except OSError as error:
        raise ResultsError(f"{folder.rows}: can't be written: {error.strerror or error}") from error
    return ImportReport(folder.rows, imported)


def facts_of(words: Iterable[str]) -> dict[str, str]:
    """`gpu=h200` as a fact.

    Raises:
        UserError: a word is of another form, or its key is none that a file could lack.
    """
    facts = {}
    for word in words:
        name, equals, value = word.partition("=")
        if name not in bench.FACTS or not equals or not value:
            raise UserError(f"--set {word}: write KEY=VALUE with a KEY of {', '.join(bench.FACTS)}")
        facts[name] = value
    return facts


def _row(record: Record, facts: Mapping[str, str]) -> FlatRow | str:
    """The row, or the reason why there is none."""
    if record.fault:
        return record.fault
    for known in FORMATS:
        if known.matches(record.fields):
            try:
                return known.row({**record.fields, **facts} if known.lacks_facts else record.fields)
            except UnusableRow as error:
                return str(error)
    return f"no format that import knows ({', '.join(known.name for known in FORMATS)})"


def _placed(row: FlatRow, file: Path, record: Record) -> FlatRow:
    """The row, saying what file it came from; one of ours keeps what it said already."""
    for name, value in (("sweep", file.stem), ("source", f"{file.name} {record.place}")):
        if row.get(name) is None:
            row[name] = clean_text(value)
    return row

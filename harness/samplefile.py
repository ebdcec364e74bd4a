"""A point's raw samples on disk: one Parquet file, one row a request, read back by row group.

Exact both ways. Chunk times lie as differences, the first from the request's send, so that a chunk takes a few bytes.
Knows nothing of where the file lies or when it is complete: the caller writes under a temporary name and renames.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import ResultsError
from harness.records import PER_REQUEST, SCHEMA, Int64, Samples

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Column = NDArray[Any]
Integers = NDArray[np.signedinteger[Any]]

CHUNKS_PER_GROUP = 1_000_000
_ADDED = ("drafts", "accepted_drafts")
_OPEN_LOOP = ("due_ns",)
_OFTEN_ABSENT = (*_ADDED, *_OPEN_LOOP)  # not in every file of this schema: -1, None, where they are missing
_LISTS = (("chunk_ns", np.int64), ("chunk_tokens", np.int32))
_SMALL_SETS = [
    "slot",
    "isl",
    "osl",
    "finish_reason",
    "error",
    "error_text",
    "prompt_tokens",
    "completion_tokens",
    *_ADDED,
]
_PACKED = ["index", "sent_ns", "end_ns", "eos_at", "chunk_ns.list.element", "chunk_tokens.list.element"]


def write_samples(
    path: Path,
    samples: Samples,
    meta: Mapping[str, object] | None = None,
    *,
    chunks_per_group: int = CHUNKS_PER_GROUP,
) -> None:
    """Write a point's samples.

    Args:
        path: a file that nobody reads yet.
        samples: in the order in which they are to be read back.
        meta: plain facts that scoring the file again needs; `read_meta` gives them back.
        chunks_per_group: chunks of a row group, which is what `sample_batches` gives at a time.
    """
    import pyarrow.parquet as pq

    columns = _columns(samples)
    schema = _schema(columns, {"schema": SCHEMA, **(meta or {})})
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=_SMALL_SETS,  # type: ignore[arg-type] # the stub knows only bool
        column_encoding=dict.fromkeys([*_PACKED, *(set(_OPEN_LOOP) & columns.keys())], "DELTA_BINARY_PACKED"),
    ) as writer:
        for first, last in _groups(samples.offsets, chunks_per_group):
            writer.write_table(_table(rows(samples, first, last), schema))


def read_samples(path: Path) -> Samples:
    """All of a file's samples at once.

    Raises:
        ResultsError: not a file of ours.
    """
    return joined(list(sample_batches(path)))


def sample_batches(path: Path) -> Iterator[Samples]:
    """A file's samples by row group: about a million chunks at a time.

    Raises:
        ResultsError: not a file of ours.
    """
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            yield _samples(file.read_row_group(group, use_threads=False))


def read_meta(path: Path) -> dict[str, object]:
    """The facts that were written beside the samples, `schema` among them.

    Raises:
        ResultsError: not a file of ours.
    """
    with _opened(path) as file:
        return _meta(file, path)


def rows(samples: Samples, first: int, last: int) -> Samples:
    """Requests `first` to `last - 1`, as views where numpy can."""
    start, stop = samples.offsets[first], samples.offsets[last]
    flat = {name: getattr(samples, name)[first:last] for name, _ in PER_REQUEST.items()}
    lists = {name: getattr(samples, name)[start:stop] for name, _ in _LISTS}
    return Samples(offsets=samples.offsets[first : last + 1] - start, **flat, **lists)


def joined(parts: list[Samples]) -> Samples:
    """Several pieces as one, in order."""

    def of(name: str, dtype: type) -> Column:
        return np.concatenate([np.empty(0, dtype), *(getattr(part, name) for part in parts)]).astype(dtype)

    lengths = np.concatenate([np.empty(0, np.int64), *(np.diff(part.offsets) for part in parts)])
    arrays = {name: of(name, dtype) for name, dtype in (*PER_REQUEST.items(), *_LISTS)}
    return Samples(offsets=_edges(lengths), **arrays)


def _groups(offsets: Int64, most: int) -> Iterator[tuple[int, int]]:
    """Runs of requests with at most so many chunks and requests; one longer request makes a group of its own."""
    first, requests = 0, len(offsets) - 1
    while first < requests:
        full = int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1
        last = min(max(full, first + 1), first + most, requests)
        yield first, last
        first = last


def _columns(samples: Samples) -> dict[str, type]:
    """What has one value a request; nothing is due in a closed loop, and its files know no such column."""
    absent = () if (samples.due_ns >= 0).any() else _OPEN_LOOP
    return {name: dtype for name, dtype in PER_REQUEST.items() if name not in absent}


def _schema(columns: Mapping[str, type], meta: Mapping[str, object]) -> "pa.Schema":
    import pyarrow as pa

    def arrow(dtype: type) -> "pa.DataType":
        return pa.string() if dtype is np.object_ else pa.from_numpy_dtype(np.dtype(dtype))

    flat = [pa.field(name, arrow(dtype)) for name, dtype in columns.items()]
    lists = [pa.field(name, pa.list_(pa.field("element", arrow(dtype)))) for name, dtype in _LISTS]
    return pa.schema([*flat, *lists], metadata={"mtpbench": json.dumps(dict(meta), allow_nan=False)})


def _table(samples: Samples, schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    def chunks(differences: Integers, name: str) -> "pa.Array[Any]":
        values: Any = pa.array(differences)
        return pa.ListArray.from_arrays(offsets, values, type=schema.field(name).type)

    offsets: Any = pa.array(samples.offsets.astype(np.int32))
    flat = [pa.array(getattr(samples, name), schema.field(name).type) for name in PER_REQUEST if name in schema.names]
    zeros = np.zeros(len(samples), np.int32)
    lists = [
        chunks(_differences(samples.chunk_ns, samples.offsets, samples.sent_ns), "chunk_ns"),
        chunks(_differences(samples.chunk_tokens, samples.offsets, zeros), "chunk_tokens"),
    ]
    return pa.table([*flat, *lists], schema=schema)


def _samples(table: "pa.Table") -> Samples:
    columns: dict[str, Any] = {name: table.column(name).combine_chunks() for name in table.column_names}
    flat: dict[str, Any] = {
        name: columns[name].to_numpy(zero_copy_only=False).astype(dtype)
        for name, dtype in PER_REQUEST.items()
        if name in columns
    }
    flat |= {name: np.full(len(table), -1, PER_REQUEST[name]) for name in _OFTEN_ABSENT if name not in columns}
    times, tokens = columns["chunk_ns"], columns["chunk_tokens"]
    offsets = times.offsets.to_numpy().astype(np.int64)
    zeros = np.zeros(len(offsets) - 1, np.int32)
    return Samples(
        offsets=offsets,
        chunk_ns=_sums(times.values.to_numpy(), offsets, flat["sent_ns"]),
        chunk_tokens=_sums(tokens.values.to_numpy(), offsets, zeros).astype(np.int32),
        **flat,
    )


def _differences(values: Integers, offsets: Int64, bases: Integers) -> Integers:
    """Each value less the one before it in its request; the first less the request's base."""
    before = np.empty_like(values)
    before[1:] = values[:-1]
    held = offsets[:-1] < offsets[1:]
    before[offsets[:-1][held]] = bases[held]
    return values - before


def _sums(differences: Integers, offsets: Int64, bases: Integers) -> Int64:
    """`_differences` undone."""
    lengths = np.diff(offsets)
    total = np.concatenate([np.zeros(1, np.int64), np.cumsum(differences, dtype=np.int64)])
    summed: Int64 = total[1:] + np.repeat(bases - total[offsets[:-1]], lengths)
    return summed


def _edges(lengths: Int64) -> Int64:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


@contextmanager
def _opened(path: Path) -> Iterator["pq.ParquetFile"]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _meta(file, path)
            yield file
    except pa.ArrowInvalid as error:
        raise ResultsError(f"{path}: not a Parquet file: {error}") from error


def _meta(file: "pq.ParquetFile", path: Path) -> dict[str, object]:
    text = (file.schema_arrow.metadata or {}).get(b"mtpbench")
    if text is None:
        raise ResultsError(f"{path}: a Parquet file, but not of samples: it lacks the metadata key mtpbench")
    meta: dict[str, object] = json.loads(text)
    if meta["schema"] != SCHEMA:
        raise ResultsError(f"{path}: schema {meta['schema']}; this version of mtpbench reads schema {SCHEMA}")
    return meta

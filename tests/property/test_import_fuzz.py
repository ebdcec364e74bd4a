"""No file that import is given makes a traceback: it gives rows, or reasons, or one clear line."""

import io
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis import rows
from analysis.importers import import_files, read_files
from analysis.published import as_published
from harness.errors import MtpbenchError, ResultsError

QUIET = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

ARTIFACT = {
    "hw": "h100",
    "conc": 4,
    "framework": "sglang",
    "infmax_model_prefix": "dsr1",
    "precision": "fp8",
    "spec_decoding": "mtp",
    "disagg": False,
    "isl": 1024,
    "osl": 1024,
    "tp": 8,
    "tput_per_gpu": 100.0,
    "median_intvty": 50.0,
    "median_tpot": 0.02,
    "date": "2026-07-05",
    "run": "1/1",
}
VLLM = {
    "date": "20260705-101112",
    "model_id": "some/model",
    "max_concurrency": 4,
    "request_rate": "inf",
    "duration": 10.0,
    "completed": 40,
    "failed": 0,
    "total_input_tokens": 40960,
    "total_output_tokens": 40960,
    "total_token_throughput": 8192.0,
    "median_tpot_ms": 10.0,
    "gpu": "h200",
    "gpus": "8",
    "precision": "fp8",
    "spec_decode_num_drafts": 100,
    "spec_decode_draft_tokens": 300,
}
SGLANG = {
    "server_info": {"tp_size": 8, "model_path": "some/model", "speculative_num_steps": 3},
    "max_concurrency": 4,
    "request_rate": "inf",
    "duration": 10.0,
    "completed": 40,
    "total_input_tokens": 40960,
    "total_output_tokens": 40960,
    "output_throughput": 4096.0,
    "median_e2e_latency_ms": 900.0,
    "median_tpot_ms": 10.0,
    "accept_length": 2.5,
    "gpu": "h200",
    "precision": "fp8",
}
API = {k: ARTIFACT[k] for k in ("conc", "framework", "precision", "disagg", "isl", "osl")} | {
    "hardware": "h100",
    "model": "dsr1",
    "spec_method": "none",
    "decode_tp": 8,
    "metrics": {"tput_per_gpu": 100.0, "median_intvty": 50.0},
}
KNOWN = [ARTIFACT, VLLM, SGLANG, API]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([0, -1, 1e308, 5e-324, math.nan, math.inf, 10**400, "", "nan", "1e999", "8p+8d", "\udcff", "\x00"]),
    st.text(max_size=20),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def changed_records(draw):
    record = dict(draw(st.sampled_from(KNOWN)))
    for name in draw(st.lists(st.sampled_from(sorted(record)), max_size=4)):
        record[name] = draw(values)
    return record


def answered(path):
    """Everything a user can do with the file; only errors that carry a message may come out."""
    try:
        table = rows.load_table([path])
        for output_format in ("md", "csv", "json"):
            as_published(table, output_format=output_format).encode()
    except MtpbenchError as error:
        assert str(error)
    try:
        report = import_files([path], path.parent / "out")
    except ResultsError as error:
        assert str(error)
    else:
        str(report).encode()
        again = read_files([report.written])
        assert len(report.imported.rows) == len(again.rows)


@QUIET
@given(content=st.binary(max_size=300) | st.binary(max_size=100).map(b"PAR1".__add__))
def test_any_bytes_are_answered(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)

    answered(path)


@QUIET
@given(value=values)
def test_any_json_is_answered(tmp_path, value):
    path = tmp_path / "file"
    path.write_text(json.dumps(value))

    answered(path)


@QUIET
@given(records=st.lists(changed_records(), min_size=1, max_size=4), lines=st.booleans())
def test_records_with_anything_in_any_place_are_answered(tmp_path, records, lines):
    path = tmp_path / "file"
    path.write_text("\n".join(map(json.dumps, records)) if lines else json.dumps(records))

    answered(path)


@QUIET
@given(records=st.lists(changed_records(), min_size=1, max_size=4), keep=st.floats(0, 1))
def test_truncated_files_are_answered(tmp_path, records, keep):
    path = tmp_path / "file"
    text = "\n".join(map(json.dumps, records))
    path.write_text(text[: int(keep * len(text))])

    answered(path)


@QUIET
@given(
    cells=st.lists(st.tuples(st.sampled_from(sorted(ARTIFACT)), st.text(max_size=12)), max_size=4),
    junk=st.text(max_size=30),
)
def test_tables_with_anything_in_any_cell_are_answered(tmp_path, cells, junk):
    path = tmp_path / "file"
    header = ",".join(ARTIFACT)
    row = ",".join(str(v) for v in (ARTIFACT | dict(cells)).values())
    path.write_text(f"{header}\n{row}\n{junk}\n{row}", "utf-8", errors="replace")

    answered(path)


@pytest.fixture(scope="module")
def parquet():
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([ARTIFACT, ARTIFACT | {"conc": 8}]), out)
    return out.getvalue()


@QUIET
@given(data=st.data())
def test_damaged_parquet_is_answered(tmp_path, parquet, data):
    path = tmp_path / "file"
    damaged = bytearray(parquet[: data.draw(st.just(len(parquet)) | st.integers(4, len(parquet)))])
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(4, len(damaged) - 1)) if len(damaged) > 4 else 3] ^= data.draw(
            st.integers(1, 255)
        )
    path.write_bytes(bytes(damaged))

    answered(path)


@QUIET
@given(record=changed_records())
def test_a_usable_row_can_be_computed_with(tmp_path, record):
    path = tmp_path / "file"
    path.write_text(json.dumps(record))
    for row in read_files([path]).usable:
        assert 0 < row["interactivity"] < math.inf
        assert 0 < row["total_tok_s_gpu"] < math.inf
        assert row["gpus"] >= 1
        assert row["concurrency"] >= 1
        assert all(text.isprintable() for text in row.values() if isinstance(text, str))

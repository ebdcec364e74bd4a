import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness import samplefile
from harness.errors import ResultsError
from harness.records import RequestSample, columns


def stream(index, chunks=256, seed=0):
    """One request of an MTP server: about 12 ms a step, one to four tokens each, on a clock far from zero."""
    rng = np.random.default_rng((seed, index))
    sent = 1_234_567_890_123_456 + 40_000_000 * index
    gaps = rng.lognormal(np.log(12e6), 0.08, chunks).astype(np.int64)
    return RequestSample(
        index=index, slot=index % 32, starter=False, prompt_hash=f"{rng.integers(2**62):016x}", isl=1024, osl=1024,
        sent_ns=sent, chunk_ns=sent + 50_000_000 + np.cumsum(gaps),
        chunk_tokens=np.cumsum(rng.integers(1, 5, chunks)).astype(np.int32), end_ns=sent + 4_000_000_000,
        prompt_tokens=1024, completion_tokens=1024, finish_reason="length",
    )  # fmt: skip


def test_a_chunk_takes_under_five_bytes(tmp_path):
    path = tmp_path / "requests.parquet"
    samplefile.write_samples(path, columns([stream(i) for i in range(400)]))

    assert path.stat().st_size / (400 * 256) < 5


def test_batches_hold_whole_requests_in_order(tmp_path):
    path = tmp_path / "requests.parquet"
    samplefile.write_samples(path, columns([stream(i, chunks=10) for i in range(7)]), chunks_per_group=25)

    assert [[0, 1], [2, 3], [4, 5], [6]] == [b.index.tolist() for b in samplefile.sample_batches(path)]


def test_a_request_longer_than_a_batch_is_not_cut(tmp_path):
    path = tmp_path / "requests.parquet"
    samplefile.write_samples(path, columns([stream(i, chunks=10) for i in range(2)]), chunks_per_group=4)

    assert [10, 10] == [len(batch.chunk_ns) for batch in samplefile.sample_batches(path)]


def test_a_point_without_requests_reads_back_empty(tmp_path):
    path = tmp_path / "requests.parquet"
    samplefile.write_samples(path, columns([]))

    assert 0 == len(samplefile.read_samples(path))


def test_a_foreign_file_is_named_with_what_it_lacks(tmp_path):
    path = tmp_path / "requests.parquet"
    pq.write_table(pa.table({"x": [1]}), path)

    with pytest.raises(ResultsError, match=r"requests.parquet: .* lacks the metadata key mtpbench"):
        samplefile.read_samples(path)


def test_a_torn_file_is_an_error_of_the_results_not_a_traceback(tmp_path):
    path = tmp_path / "requests.parquet"
    samplefile.write_samples(path, columns([stream(0)]))
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(ResultsError, match="not a Parquet file"):
        samplefile.read_samples(path)


def test_another_schema_version_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "requests.parquet"
    monkeypatch.setattr(samplefile, "SCHEMA", 99)
    samplefile.write_samples(path, columns([stream(0)]))
    monkeypatch.undo()

    with pytest.raises(ResultsError, match="schema 99; this version of mtpbench reads schema 1"):
        samplefile.read_samples(path)

"""What is written is what is read: every field, bit for bit, whatever the requests are."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import samplefile
from harness.records import RequestSample, Samples, columns

INT64 = st.integers(-(2**63), 2**63 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)
COUNT = st.none() | st.integers(0, 2**31 - 1)
TEXT = st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@st.composite
def requests(draw):
    chunks = draw(st.integers(0, 6))
    return RequestSample(
        index=draw(INT64),
        slot=draw(INT32),
        starter=draw(st.booleans()),
        prompt_hash=draw(st.text(st.characters(codec="utf-8"), max_size=16)),
        isl=draw(INT32),
        osl=draw(INT32),
        sent_ns=draw(INT64),
        chunk_ns=np.array(draw(st.lists(INT64, min_size=chunks, max_size=chunks)), np.int64),
        chunk_tokens=np.array(draw(st.lists(INT32, min_size=chunks, max_size=chunks)), np.int32),
        end_ns=draw(INT64),
        prompt_tokens=draw(COUNT),
        completion_tokens=draw(COUNT),
        finish_reason=draw(TEXT),
        eos_at=draw(COUNT),
        error=draw(TEXT),
        error_text=draw(TEXT),
        reconnected=draw(st.booleans()),
    )


def assert_same(expected: Samples, got: Samples) -> None:
    for name in Samples.__dataclass_fields__:
        one, other = getattr(expected, name), getattr(got, name)
        assert one.dtype == other.dtype, name
        assert one.tolist() == other.tolist(), name


@settings(max_examples=60, deadline=None)
@given(st.lists(requests(), max_size=8), st.integers(1, 9))
def test_samples_come_back_as_they_were(rows, chunks_per_group):
    samples = columns(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "requests.parquet")
        samplefile.write_samples(path, samples, {"attempt": 3}, chunks_per_group=chunks_per_group)

        assert_same(samples, samplefile.read_samples(path))
        assert {"schema": 1, "attempt": 3} == samplefile.read_meta(path)
        assert len(rows) == sum(len(batch) for batch in samplefile.sample_batches(path))

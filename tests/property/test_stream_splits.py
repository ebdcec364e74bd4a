"""However the bytes of a stream are cut into reads, the same request is recorded."""

import json

from hypothesis import given
from hypothesis import strategies as st

from harness.load.recording import Job, Recording
from harness.load.sse import EventStream

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
NOISE = st.sampled_from([b": keep-alive", b"id: 3", b"retry: 10", b"unknown", b"event: message"])
SCRAPS = st.sampled_from([b"\r", b"\n", b"\r\n", b"data:x", b"data", b":", b" ", b"event:e", b"\xef", b"\xbb\xbf"])
TEXT = st.text(max_size=8)


@st.composite
def streams(draw) -> tuple[bytes, list[int]]:
    """A well-formed stream with any legal wording, and the cumulative counts in it."""
    counts = [0]
    text = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    for rise in draw(st.lists(st.integers(0, 4), max_size=8)):
        counts.append(counts[-1] + rise)
        text += draw(events({"choices": [{"index": 0, "text": draw(TEXT)}], "usage": usage(counts[-1])}))
    text += draw(events({"choices": [], "usage": usage(counts[-1])}))
    text += b"data: [DONE]\n\n"
    return text, sorted(set(counts) - {0})


@st.composite
def events(draw, message: dict) -> bytes:
    """One event: over several data lines or one, among comments, with one kind of line end."""
    end = draw(LINE_ENDS)
    data = json.dumps(message, indent=draw(st.sampled_from([None, 1])), ensure_ascii=draw(st.booleans()))
    space = draw(st.sampled_from([b"", b" "]))
    lines = [b"data:" + space + line.encode() for line in data.split("\n")]
    for noise in draw(st.lists(NOISE, max_size=2)):
        lines.insert(draw(st.integers(0, len(lines))), noise)
    return end.join([*lines, b"", b""])


def usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 3, "completion_tokens": tokens}


@st.composite
def cut_streams(draw) -> tuple[bytes, list[bytes], list[int]]:
    text, counts = draw(streams())
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=30)))
    return text, [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)], counts


def recorded(reads: list[bytes], t_ns: int | None = None):
    job = Job(index=0, slot=0, starter=False, prompt_hash="", isl=3, osl=9, body=b"")
    recording = Recording(job)
    recording.sent(1)
    for at, read in enumerate(reads, start=2):
        recording.read(read, t_ns or at)
    recording.closed(10_000)
    return recording.sample(10_001)


@given(cut_streams())
def test_any_cut_records_the_same_tokens(case):
    text, reads, counts = case
    cut, whole = recorded(reads), recorded([text])

    assert counts == cut.chunk_tokens.tolist() == whole.chunk_tokens.tolist()
    assert (cut.error, cut.completion_tokens, cut.prompt_tokens) == (None, (counts or [0])[-1], 3)
    assert (whole.error, whole.completion_tokens) == (None, cut.completion_tokens)


@given(cut_streams())
def test_a_chunk_has_the_time_of_the_read_that_completed_it(case):
    _, reads, _ = case
    sample = recorded(reads)
    seen = 0
    prefix = b""
    times = []
    for t_ns, read in enumerate(reads, start=2):
        prefix += read
        here = len(recorded([prefix]).chunk_tokens)
        times += [t_ns] * (here - seen)
        seen = here

    assert times == sample.chunk_ns.tolist()


@given(st.lists(SCRAPS, max_size=20).map(b"".join), st.integers(1, 3))
def test_any_bytes_at_all_give_the_same_events_however_cut(text, size):
    stream = EventStream()
    reads = [text[at : at + size] for at in range(0, len(text), size)]

    assert EventStream().feed(text) == [event for read in reads for event in stream.feed(read)]


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_raise(reads):
    sample = recorded([b"data: " + read + b"\n\n" for read in reads])

    assert sample.error is not None

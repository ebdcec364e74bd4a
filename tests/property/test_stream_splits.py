"""However the bytes of a stream are cut into reads, the same request is recorded."""

import json

from hypothesis import given
from hypothesis import strategies as st

from harness.load.recording import Job, Recording
from harness.load.response_reader import ResponseReader
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


def blank() -> Recording:
    recording = Recording(Job(index=0, slot=0, starter=False, prompt_hash="", isl=3, osl=9, body=b""), frozenset({7}))
    recording.sent(1)
    return recording


def recorded(reads: list[bytes], t_ns: int | None = None):
    recording = blank()
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


PLAIN = st.builds(
    lambda rise, text, finish, ids: {
        "choices": [{"index": 0, "text": text, "finish_reason": finish, "token_ids": ids}],
        "usage": {"prompt_tokens": 3, "completion_tokens": rise},
    },
    st.integers(0, 4),
    st.text(max_size=6) | st.sampled_from(['"completion_tokens":9,', "data: {", "\r\n", "\\n\n"]),
    st.sampled_from([None, None, None, "length", "abort"]),
    st.none() | st.lists(st.integers(0, 9), max_size=3),
)
ODD = st.sampled_from(
    [
        b"event: error\ndata: {}\n\n",
        b'data: {"error": {"message": "no"}}\n\n',
        b'data: {"object": "error", "message": "no"}\n\n',
        b"data: {broken}\n\n",
        b"data: {}\n\n",
        b"data: [DONE]\n\n",
        b"data: {\ndata: }\n\n",
        b"data: {}\r\n\r\n",
        b": ping\n\n",
        b"data: {}\n",
        b"\n",
    ]
)


@st.composite
def bodies(draw) -> list[bytes]:
    """What the chunks of an HTTP body hold: one event each as a rule, whole or not, sane or not."""
    tokens = 0
    pieces = []
    for message in draw(st.lists(PLAIN | ODD, max_size=8)):
        if isinstance(message, bytes):
            pieces.append(message)
            continue
        tokens += message["usage"]["completion_tokens"]
        message["usage"]["completion_tokens"] = tokens
        data = json.dumps(message, separators=draw(st.sampled_from([(",", ":"), (", ", ": ")])))
        pieces.append(b"data: " + data.encode() + b"\n\n")
    pieces.append(b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":%d}}\n\n' % tokens)
    pieces.append(b"data: [DONE]\n\n")
    if draw(st.booleans()):
        body = b"".join(pieces)
        cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    return [piece for piece in pieces if piece]


@st.composite
def responses(draw) -> tuple[bytes, bytes]:
    """The bytes of a connection, perhaps with an early end, and how much of the body they hold."""
    form = draw(st.sampled_from([b"%x\r\n%b\r\n", b"%X\r\n%b\r\n", b"0%x ;n=1\r\n%b\r\n"]))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = draw(bodies())
    wire = head + b"".join(form % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    return wire, b"".join(pieces)


def cut(wire: bytes, places: list[int]) -> list[bytes]:
    places = sorted(min(place, len(wire)) for place in places)
    reads = [wire[a:b] for a, b in zip([0, *places], [*places, len(wire)], strict=True)]
    return [read for read in reads if read]


def answered(reads: list[bytes], t_ns: int | None = None):
    """What a connection records that brings these reads and is then closed."""
    reader = ResponseReader(blank())
    for at, read in enumerate(reads, start=2):
        if not reader.over:
            reader.read(read, t_ns or at)
    if not reader.over:
        reader.closed(10_000)
    return reader.recording.sample(10_001)


def told(sample) -> dict:
    """Everything that a sample says, to compare."""
    fields = {name: getattr(sample, name) for name in sample.__struct_fields__}
    return fields | {"chunk_ns": sample.chunk_ns.tolist(), "chunk_tokens": sample.chunk_tokens.tolist()}


PLACES = st.lists(st.integers(0, 3000), max_size=40)


@given(responses(), PLACES)
def test_any_cut_of_a_connection_records_the_same(response, places):
    wire, _ = response

    assert told(answered([wire], 5)) == told(answered(cut(wire, places), 5))


@given(responses())
def test_the_straight_way_records_what_the_long_way_does(response):
    wire, body = response
    head_and_chunks = cut(wire, [wire.index(b"\r\n\r\n") + 4])

    assert told(recorded_until_over([body], 5)) == told(answered(head_and_chunks, 5))


@given(responses())
def test_an_ordinary_chunk_is_recorded_as_the_general_way_records_it(response):
    _, body = response
    general = blank()
    general._is_plain = lambda *_: False

    assert told(recorded_until_over([body], 5, general)) == told(recorded_until_over([body], 5))


def recorded_until_over(reads: list[bytes], t_ns: int, recording: Recording | None = None):
    recording = recording or blank()
    for read in reads:
        recording.read(read, t_ns)
    recording.closed(t_ns)
    return recording.sample(10_001)


@given(responses(), st.integers(0, 3000), PLACES)
def test_an_early_end_keeps_every_event_that_had_come(response, end, places):
    wire, _ = response
    whole, early = answered([wire], 5), answered(cut(wire[:end], places), 5)
    count = len(early.chunk_tokens)

    assert whole.chunk_tokens.tolist()[:count] == early.chunk_tokens.tolist()
    assert end >= len(wire) or early.error is not None


@given(responses(), PLACES)
def test_an_event_has_the_time_of_the_read_that_completed_it(response, places):
    wire, _ = response
    reads = cut(wire, places)
    times = []
    for count in range(1, len(reads) + 1):
        seen = len(answered([b"".join(reads[:count])]).chunk_tokens)
        times += [count + 1] * (seen - len(times))

    assert times == answered(reads).chunk_ns.tolist()


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_no_bytes_of_a_connection_raise(reads):
    sample = answered([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *filter(None, reads)])

    assert sample.error is not None

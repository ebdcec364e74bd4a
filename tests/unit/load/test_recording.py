import json

import pytest

from harness.load.recording import Job, Recording


def job(**changes) -> Job:
    facts = {"index": 0, "slot": 0, "starter": False, "prompt_hash": "0" * 16, "isl": 5, "osl": 4, "body": b"{}"}
    return Job(**(facts | changes))


def message(tokens: int | None, text: str = "x", final: bool = False, **choice) -> bytes:
    usage = None if tokens is None else {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}
    choices = [] if final else [{"index": 0, "text": text, "finish_reason": None, **choice}]
    return b"data: " + json.dumps({"id": "a", "choices": choices, "usage": usage}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def recorded(*reads: bytes, eos_ids=frozenset(), secret=None, close=True):
    recording = Recording(job(), eos_ids, secret)
    recording.sent(1)
    for t_ns, read in enumerate(reads, start=10):
        recording.read(read, t_ns)
    if close:
        recording.closed(99)
    return recording.sample(100)


def test_tokens_are_counted_by_usage_and_not_by_chunks():
    sample = recorded(message(1), message(4), message(4, final=True), DONE)

    assert [1, 4] == sample.chunk_tokens.tolist()
    assert [10, 11] == sample.chunk_ns.tolist()
    assert (4, 5, None) == (sample.completion_tokens, sample.prompt_tokens, sample.error)


def test_a_chunk_that_brings_no_token_is_not_recorded():
    sample = recorded(message(0, text=""), message(2), message(2), message(2, final=True), DONE)

    assert [2] == sample.chunk_tokens.tolist()
    assert [11] == sample.chunk_ns.tolist()


def test_a_token_without_text_counts_when_it_comes():
    sample = recorded(message(1, text=""), message(2), message(2, final=True), DONE)

    assert [10, 11] == sample.chunk_ns.tolist()


def test_events_of_one_read_share_its_time():
    sample = recorded(message(1) + message(2) + message(2, final=True) + DONE)

    assert [1, 2] == sample.chunk_tokens.tolist()
    assert [10, 10] == sample.chunk_ns.tolist()


def test_a_chat_stream_that_opens_with_a_role_reads_the_same():
    role = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}\n\n'
    text = b'data: {"choices":[{"index":0,"delta":{"reasoning":"hm"}}],"usage":{"completion_tokens":2}}\n\n'
    sample = recorded(role, text, message(2, final=True), DONE)

    assert ([11], [2], None) == (sample.chunk_ns.tolist(), sample.chunk_tokens.tolist(), sample.error)


def test_the_request_ends_when_its_body_does():
    assert 99 == recorded(message(1), message(1, final=True), DONE).end_ns


@pytest.mark.parametrize(
    ("reads", "error"),
    [
        ([message(1), message(2), message(3, final=True), DONE], "usage_mismatch"),
        ([message(2), message(1), message(2, final=True), DONE], "usage_mismatch"),
        ([message(2, token_ids=[7]), message(2, final=True), DONE], "usage_mismatch"),
        ([message(1), message(2), DONE], "usage_missing"),
        ([message(None), message(None), message(2, final=True), DONE], "usage_missing"),
        ([message(None), DONE], "usage_missing"),
        ([message(1), message(2)], "early_eof"),
        ([message(1), message(1, final=True)], "early_eof"),
        ([], "early_eof"),
        ([message(1), b'data: {"error": {"message": "out of memory", "code": 500}}\n\n', DONE], "stream_error"),
        ([message(1), b'data: {"object": "error", "message": "boom"}\n\n', DONE], "stream_error"),
        ([message(1), b"event: error\ndata: {}\n\n", DONE], "stream_error"),
        ([message(1), b"data: <html>\n\n", DONE], "stream_error"),
        ([message(1), b'data: {"usage": {"completion_tokens": "2"}}\n\n', DONE], "stream_error"),
        ([message(1, finish_reason="abort"), message(1, final=True), DONE], "stream_error"),
    ],
)
def test_a_stream_that_can_not_be_counted_is_an_error(reads, error):
    assert error == recorded(*reads).error


def test_a_failed_request_keeps_what_came_before():
    sample = recorded(message(1), message(3), b"data: {\n\n", message(4), DONE)

    assert ([1, 3], 12) == (sample.chunk_tokens.tolist(), sample.end_ns)


def test_the_first_error_is_the_one_that_is_kept():
    recording = Recording(job())
    recording.fail("stall", "nothing came", 5)
    recording.fail("early_eof", "and then it closed", 6)

    sample = recording.sample(7)

    assert ("stall", "nothing came", 5) == (sample.error, sample.error_text, sample.end_ns)


def test_what_goes_on_when_the_point_ends_is_cancelled_and_keeps_its_tokens():
    sample = recorded(message(1), message(3), close=False)

    assert ("cancelled", 100, [1, 3]) == (sample.error, sample.end_ns, sample.chunk_tokens.tolist())


def test_a_request_that_never_left_takes_no_time():
    recording = Recording(job())
    recording.fail("connect", "refused", 50)

    sample = recording.sample(60)

    assert (50, 50) == (sample.sent_ns, sample.end_ns)


def test_a_second_writing_does_not_move_the_time_of_the_first():
    recording = Recording(job())
    recording.sent(5)
    recording.sent(9)

    assert 5 == recording.sample(10).sent_ns


def test_the_first_eos_is_found_by_token_id():
    reads = [message(2, token_ids=[7, 8]), message(5, token_ids=[9, 2, 2]), message(5, final=True), DONE]

    assert 3 == recorded(*reads, eos_ids=frozenset({2})).eos_at
    assert recorded(*reads, eos_ids=frozenset({4})).eos_at is None
    assert recorded(*reads).eos_at is None


def test_the_key_is_in_no_error_text():
    echo = b'data: {"error": {"message": "bad key sk-123"}}\n\n'

    assert "sk-123" not in recorded(echo, secret="sk-123").error_text
    assert "sk-123" in recorded(echo).error_text


def test_an_error_text_is_one_short_line():
    sample = recorded(b'data: {"error": "' + b"a\\n\\u00e9 " * 2000 + b'"}\n\n')

    assert len(sample.error_text) < 400
    assert "\n" not in sample.error_text


def test_what_the_engine_tells_of_a_requests_drafts_is_kept():
    drafting = b'data: {"choices": [], "sglext": {"spec_tokens_details": {"spec_verify_ct": 3, '
    drafting += b'"spec_num_correct_drafts": 5, "spec_accept_rate": 0.6}}}\n\n'
    told, silent = recorded(message(1), message(8), drafting, message(8, final=True)), recorded(message(1))

    assert (3, 5) == (told.drafts, told.accepted_drafts)
    assert (None, None) == (silent.drafts, silent.accepted_drafts)

"""One request over real sockets: what is recorded is what the server did."""

import asyncio

import pytest

from harness.load.client import HttpClient
from harness.load.recording import Job, Recording

KEY = "sk-do-not-show"


def job(osl: int = 6) -> Job:
    body = b'{"prompt": [1, 2, 3], "max_tokens": %d}' % osl
    return Job(index=4, slot=1, starter=False, prompt_hash="ab", isl=3, osl=osl, body=body)


async def streamed(server, count: int = 1, osl: int = 6, stall_s: float = 10.0):
    """The samples of requests sent one after the other over one client."""
    samples = []
    async with HttpClient(
        server.url + "/v1/completions", {"Authorization": f"Bearer {KEY}"}, stall_s=stall_s
    ) as client:
        for _ in range(count):
            recording = Recording(job(osl), secret=KEY)
            await client.stream(recording)
            samples.append(recording.sample(0))
    return samples


@pytest.mark.parametrize("per_chunk", [(1,), (3,), (1, 4, 2)])
async def test_a_sample_holds_the_servers_chunks_in_order_of_time(server, script, per_chunk):
    server.script = lambda _: script(per_chunk=per_chunk, gap_s=0.002)
    [sample] = await streamed(server, osl=11)
    [served] = server.served
    sent_ns = [t_ns for t_ns, _ in served.sent]

    assert [tokens for _, tokens in served.sent] == sample.chunk_tokens.tolist()
    assert all(a <= b for a, b in zip(sent_ns, sample.chunk_ns.tolist(), strict=True))
    assert sample.sent_ns <= served.arrived_ns <= sample.chunk_ns[0]
    assert sample.chunk_ns[-1] <= sample.end_ns
    assert (None, 11, 3) == (sample.error, sample.completion_tokens, sample.prompt_tokens)


async def test_the_body_arrives_as_it_was_encoded(server):
    await streamed(server)

    assert {"prompt": [1, 2, 3], "max_tokens": 6} == server.served[0].body
    assert "application/json" == server.served[0].headers["content-type"]


async def test_one_connection_carries_request_after_request(server):
    samples = await streamed(server, count=5)

    assert [None] * 5 == [sample.error for sample in samples]
    assert {1} == {served.connection for served in server.served}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("early_eof", "early_eof"),
        ("error_event", "stream_error"),
        ("stall", "stall"),
        ("wrong_usage", "usage_mismatch"),
        ("no_usage", "usage_missing"),
    ],
)
async def test_a_fault_in_the_stream_is_named_and_what_came_before_is_kept(server, script, fault, error):
    server.script = lambda _: script(fault=fault)
    [sample] = await streamed(server, stall_s=0.3)
    [served] = server.served

    assert error == sample.error
    assert sample.error_text
    assert [tokens for _, tokens in served.sent] == sample.chunk_tokens.tolist()
    assert sample.end_ns >= sample.chunk_ns[-1]


async def test_a_server_that_never_answers_is_a_stall(server, script):
    server.script = lambda _: script(first_s=60.0)
    [sample] = await streamed(server, stall_s=0.2)

    assert ("stall", 0) == (sample.error, len(sample.chunk_ns))


async def test_an_error_status_says_what_the_server_said_without_the_key(server, script):
    server.script = lambda _: script(fault="http_500")
    [sample] = await streamed(server)

    assert "http_status" == sample.error
    assert "HTTP 500" in sample.error_text
    assert f"Bearer {KEY}" == server.served[0].headers["authorization"]
    assert KEY not in sample.error_text


async def test_nobody_there_is_a_connect_error(server):
    await server.stop()
    [sample] = await streamed(server)

    assert "connect" == sample.error
    assert sample.sent_ns == sample.end_ns


async def test_a_kept_connection_that_proves_closed_is_tried_once_more_and_flagged(server, script):
    server.script = lambda number: script(fault="close" if number == 1 else None)
    samples = await streamed(server, count=3)

    assert [None] * 3 == [sample.error for sample in samples]
    assert [False, True, False] == [sample.reconnected for sample in samples]
    assert samples[1].sent_ns <= server.served[1].arrived_ns
    assert [1, 1, 2, 2] == [served.connection for served in server.served]


async def test_a_request_is_resent_once_at_most(server, script):
    server.script = lambda number: script(fault="close" if number > 0 else None)
    samples = await streamed(server, count=2)

    assert [None, "early_eof"] == [sample.error for sample in samples]
    assert 3 == len(server.served)


async def test_a_fresh_connection_that_closes_is_the_servers_fault(server, script):
    server.script = lambda _: script(fault="close")
    [sample] = await streamed(server)

    assert ("early_eof", False) == (sample.error, sample.reconnected)
    assert 1 == len(server.served)


async def test_a_broken_stream_does_not_poison_the_next_request(server, script):
    server.script = lambda number: script(fault="error_event" if number == 0 else None)
    samples = await streamed(server, count=2)

    assert ["stream_error", None] == [sample.error for sample in samples]


async def test_cancelling_closes_the_connection(server, script, until):
    server.script = lambda _: script(gap_s=0.005)
    async with HttpClient(server.url, {}, stall_s=10.0) as client:
        recording = Recording(job(osl=100_000))
        task = asyncio.create_task(client.stream(recording))
        await until(lambda: recording.tokens >= 3)
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: not server.active)

    assert task.cancelled()
    assert "cancelled" == recording.sample(2**62).error

"""One request over real sockets: what is recorded is what the server did."""

import asyncio

import pytest

from harness.load.aiohttp_client import AiohttpClient
from harness.load.kernel_client import KernelClient
from harness.load.recording import Job, Recording

KEY = "sk-do-not-show"
CLIENTS = {"kernel": KernelClient, "aiohttp": AiohttpClient}


def job(osl: int = 6) -> Job:
    body = b'{"prompt": [1, 2, 3], "max_tokens": %d}' % osl
    return Job(index=4, slot=1, starter=False, prompt_hash="ab", isl=3, osl=osl, body=body)


@pytest.fixture
def streamed(server, client):
    """Gives the samples of requests sent one after the other over one client."""

    async def stream(count: int = 1, osl: int = 6, stall_s: float = 10.0):
        url, headers = server.url + "/v1/completions", {"Authorization": f"Bearer {KEY}"}
        async with CLIENTS[client](url, headers, stall_s=stall_s) as transport:
            return [await ended(transport, Recording(job(osl), secret=KEY)) for _ in range(count)]

    return stream


async def ended(transport, recording: Recording):
    over = asyncio.get_running_loop().create_future()
    transport.start(recording, over.set_result)
    assert recording is await over
    transport.check()
    return recording.sample(0)


@pytest.mark.parametrize("per_chunk", [(1,), (3,), (1, 4, 2)])
async def test_a_sample_holds_the_servers_chunks_in_order_of_time(streamed, server, script, per_chunk):
    server.script = lambda _: script(per_chunk=per_chunk, gap_s=0.002)
    [sample] = await streamed(osl=11)
    [served] = server.served
    sent_ns = [t_ns for t_ns, _ in served.sent]

    assert [tokens for _, tokens in served.sent] == sample.chunk_tokens.tolist()
    assert all(a <= b for a, b in zip(sent_ns, sample.chunk_ns.tolist(), strict=True))
    assert sample.sent_ns <= served.arrived_ns <= sample.chunk_ns[0]
    assert sample.chunk_ns[-1] <= sample.end_ns
    assert (None, 11, 3) == (sample.error, sample.completion_tokens, sample.prompt_tokens)


async def test_the_body_arrives_as_it_was_encoded(streamed, server):
    await streamed()

    assert {"prompt": [1, 2, 3], "max_tokens": 6} == server.served[0].body
    assert "application/json" == server.served[0].headers["content-type"]


async def test_one_connection_carries_request_after_request(streamed, server):
    samples = await streamed(count=5)

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
async def test_a_fault_in_the_stream_is_named_and_what_came_before_is_kept(streamed, server, script, fault, error):
    server.script = lambda _: script(fault=fault)
    [sample] = await streamed(stall_s=0.3)
    [served] = server.served

    assert error == sample.error
    assert sample.error_text
    assert [tokens for _, tokens in served.sent] == sample.chunk_tokens.tolist()
    assert sample.end_ns >= sample.chunk_ns[-1]


async def test_a_server_that_never_answers_is_a_stall(streamed, server, script):
    server.script = lambda _: script(first_s=60.0)
    [sample] = await streamed(stall_s=0.2)

    assert ("stall", 0) == (sample.error, len(sample.chunk_ns))


async def test_an_error_status_says_what_the_server_said_without_the_key(streamed, server, script):
    server.script = lambda _: script(fault="http_500")
    [sample] = await streamed()

    assert "http_status" == sample.error
    assert "HTTP 500" in sample.error_text
    assert f"Bearer {KEY}" == server.served[0].headers["authorization"]
    assert KEY not in sample.error_text


async def test_nobody_there_is_a_connect_error(streamed, server):
    await server.stop()
    [sample] = await streamed()

    assert "connect" == sample.error
    assert sample.sent_ns == sample.end_ns


async def test_a_kept_connection_that_proves_closed_is_tried_once_more_and_flagged(streamed, server, script):
    server.script = lambda number: script(fault="close" if number == 1 else None)
    samples = await streamed(count=3)

    assert [None] * 3 == [sample.error for sample in samples]
    assert [False, True, False] == [sample.reconnected for sample in samples]
    assert samples[1].sent_ns <= server.served[1].arrived_ns
    assert [1, 1, 2, 2] == [served.connection for served in server.served]


async def test_a_request_is_resent_once_at_most(streamed, server, script):
    server.script = lambda number: script(fault="close" if number > 0 else None)
    samples = await streamed(count=2)

    assert [None, "early_eof"] == [sample.error for sample in samples]
    assert 3 == len(server.served)


async def test_a_fresh_connection_that_closes_is_the_servers_fault(streamed, server, script):
    server.script = lambda _: script(fault="close")
    [sample] = await streamed()

    assert ("early_eof", False) == (sample.error, sample.reconnected)
    assert 1 == len(server.served)


async def test_a_broken_stream_does_not_poison_the_next_request(streamed, server, script):
    server.script = lambda number: script(fault="error_event" if number == 0 else None)
    samples = await streamed(count=2)

    assert ["stream_error", None] == [sample.error for sample in samples]


async def test_dropping_closes_the_connection_and_tells_nobody(server, script, until, client):
    server.script = lambda _: script(gap_s=0.005)
    told = []
    async with CLIENTS[client](server.url, {}, stall_s=10.0) as transport:
        recording = Recording(job(osl=100_000))
        transport.start(recording, told.append)
        await until(lambda: recording.tokens >= 3)
        await transport.drop()
        await until(lambda: not server.active)

    assert [] == told
    assert "cancelled" == recording.sample(2**62).error


async def test_a_bug_in_what_follows_a_request_is_not_swallowed(server, client):
    def broken(recording) -> None:
        raise ZeroDivisionError

    async with CLIENTS[client](server.url, {}, stall_s=10.0) as transport:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        transport.start(Recording(job()), broken)
        with pytest.raises(ZeroDivisionError):
            for _ in range(1000):
                await asyncio.sleep(0.005)
                transport.check()


def chunk(tokens: int) -> bytes:
    usage = b'{"prompt_tokens": 3, "completion_tokens": %d}' % tokens
    event = b'data: {"choices": [{"index": 0, "text": "x", "finish_reason": null}], "usage": %b}\n\n' % usage
    return b"%x\r\n%b\r\n" % (len(event), event)


async def test_what_can_be_read_is_read_before_the_next_requests_leave(until):
    writers = []

    async def accept(reader, writer):
        await reader.readuntil(b"}")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(1))
        writers.append(writer)

    def ended(_):
        second.write(chunk(3))  # comes while the next request leaves

    ending, going_on = Recording(job()), Recording(job())
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, KernelClient(url, {}, stall_s=10) as client:
        for recording in (ending, going_on):
            client.start(recording, ended)
            await until(lambda: recording.tokens == 1)  # noqa: B023
        first, second = writers
        first.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        second.write(chunk(2))
        await until(lambda: going_on.tokens == 3)
        reads = client.reads()
        for writer in writers:
            writer.close()

    assert 0 == reads.several
    assert 3 == len(set(going_on.sample(0).chunk_ns.tolist()))

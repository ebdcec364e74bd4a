import pytest

from harness.load.http1 import BadResponse, Response

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def read(data: bytes) -> tuple[Response, bytes]:
    response = Response()
    return response, b"".join(response.feed(data))


@pytest.mark.parametrize(
    ("data", "status", "body", "reusable"),
    [
        (CHUNKED + b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", 200, b"abc0123456789", True),
        (CHUNKED + b"1\r\na\r\n0\r\nTrailer: x\r\n\r\n", 200, b"a", True),
        (b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\nno", 500, b"no", True),
        (b"HTTP/1.1 500\r\nContent-Length:0\r\nConnection: Close\r\n\r\n", 500, b"", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx and more", 200, b"x", False),
    ],
)
def test_a_response_has_an_end_a_body_and_a_say_in_its_connection(data, status, body, reusable):
    response, got = read(data)

    assert (status, body, True, reusable) == (response.status, got, response.over, response.reusable)


def test_a_body_without_a_length_ends_with_its_connection():
    response, body = read(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    assert (b"all of it", False) == (body, response.over)
    assert response.closed()
    assert not response.reusable


def test_a_body_that_has_an_end_does_not_end_with_its_connection():
    response, _ = read(CHUNKED + b"5\r\nab")

    assert not response.closed()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        CHUNKED + b"0x3\r\nabc\r\n",
        CHUNKED + b"\r\nabc",
        CHUNKED + b"3\r\nabcd\r\n",
        b"x" * 100_000,
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(data):
    with pytest.raises(BadResponse):
        read(data)


def test_a_chunk_may_begin_where_the_last_one_ended_and_nowhere_else():
    response = Response()
    places = []
    for byte in CHUNKED + b"2\r\nab\r\n0\r\n\r\n":
        response.feed(bytes([byte]))
        places.append(response.between_chunks)

    assert [len(CHUNKED), len(CHUNKED) + 7] == [at for at, place in enumerate(places, start=1) if place]

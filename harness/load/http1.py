"""One HTTP/1.1 response out of a byte stream that may be cut anywhere.

Knows the wire format (RFC 9112) and nothing of sockets, clocks or what a body means: takes reads, gives pieces of the
body. A response that could be read in two ways is refused.
"""

import re
from collections.abc import Callable
from http import HTTPStatus

_LONGEST_HEAD = 2**16
_LONGEST_LINE = 2**12
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?")
_SIZE_LINE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?")
_NO_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

_Step = Callable[[list[bytes]], bool]


class BadResponse(ValueError):
    """Not a response that HTTP/1.1 allows."""


class Response:
    """A response while it arrives.

    Attributes:
        status: None until the head is whole; interim responses (1xx) are skipped.
        over: the whole response has been read.
        reusable: the connection may carry another request once this response is over, and nothing came behind it.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.over = False
        self.reusable = False
        self._take: _Step = self._head
        self._bytes = b""
        self._at = 0
        self._left = 0
        self._until_close = False

    @property
    def between_chunks(self) -> bool:
        """Whether the next byte opens a chunk of the body."""
        return self._take == self._size and not self._bytes

    def feed(self, read: bytes) -> list[bytes]:
        """The pieces of the body that this read brings.

        Raises:
            BadResponse: it is malformed.
        """
        self._bytes, self._at = self._bytes + read, 0
        pieces: list[bytes] = []
        while not self.over and self._take(pieces):
            pass
        self._bytes = self._bytes[self._at :]
        if self.over and self._bytes:
            self.reusable = False
        return pieces

    def closed(self) -> bool:
        """Whether the end of the connection is the proper end of this response."""
        self.over = self.over or self._until_close
        return self.over

    # Each step takes what it can and says whether the next one may go on; where it may not, it wants another read.

    def _head(self, _: list[bytes]) -> bool:
        head = self._up_to(b"\r\n\r\n", _LONGEST_HEAD)
        if head is None:
            return False
        status_line, *lines = head.split(b"\r\n")
        match = _STATUS_LINE.fullmatch(status_line)
        if match is None:
            raise BadResponse(f"no HTTP/1.1 response: {status_line[:40]!r}")
        status = int(match[2])
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            raise BadResponse("the server changes the protocol")
        if status >= HTTPStatus.OK:
            self.status = status
            self._choose(_headers(lines), old=match[1] == b"0")
        return True

    def _choose(self, headers: dict[bytes, bytes], *, old: bool) -> None:
        """How the body is delimited, and whether the connection stays."""
        wishes = {word.strip() for word in headers.get(b"connection", b"").lower().split(b",")}
        self.reusable = b"keep-alive" in wishes if old else b"close" not in wishes
        coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
        if self.status in _NO_BODY:
            self.over = True
        elif coding is not None:
            if coding.lower() != b"chunked" or length is not None:
                raise BadResponse(f"transfer-encoding {coding!r} with content-length {length!r}")
            self._take = self._size
        elif length is None:
            self._take, self._until_close, self.reusable = self._all, True, False
        elif length.isdigit() and len(length) < 16:
            self._left = int(length)
            self._take, self.over = self._sized, not self._left
        else:
            raise BadResponse(f"content-length {length[:40]!r}")

    def _size(self, _: list[bytes]) -> bool:
        line = self._up_to(b"\r\n", _LONGEST_LINE)
        if line is None:
            return False
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise BadResponse(f"a chunk of size {line[:40]!r}")
        self._left = int(match[1], 16)
        self._take = self._chunk if self._left else self._trailer
        return True

    def _chunk(self, pieces: list[bytes]) -> bool:
        self._piece(pieces)
        if self._left:
            return False
        self._take = self._chunk_end
        return True

    def _chunk_end(self, _: list[bytes]) -> bool:
        end = self._bytes[self._at : self._at + 2]
        if not b"\r\n".startswith(end):
            raise BadResponse(f"a chunk that is longer than it says: {end!r}")
        if len(end) < len(b"\r\n"):
            return False
        self._at += len(end)
        self._take = self._size
        return True

    def _trailer(self, _: list[bytes]) -> bool:
        line = self._up_to(b"\r\n", _LONGEST_LINE)
        self.over = line == b""
        return line is not None

    def _sized(self, pieces: list[bytes]) -> bool:
        self._piece(pieces)
        self.over = not self._left
        return False

    def _all(self, pieces: list[bytes]) -> bool:
        self._left = len(self._bytes)
        self._piece(pieces)
        return False

    def _piece(self, pieces: list[bytes]) -> None:
        """Take as much of what is left of the body, or of its chunk, as is there."""
        piece = self._bytes[self._at : self._at + self._left]
        self._at += len(piece)
        self._left -= len(piece)
        if piece:
            pieces.append(piece)

    def _up_to(self, end: bytes, longest: int) -> bytes | None:
        """What stands before `end`, taken with it; None while it has not come."""
        found = self._bytes.find(end, self._at)
        if (found if found >= 0 else len(self._bytes)) - self._at > longest:
            raise BadResponse(f"over {longest} bytes without a line's end")
        if found < 0:
            return None
        taken = self._bytes[self._at : found]
        self._at = found + len(end)
        return taken


def _headers(lines: list[bytes]) -> dict[bytes, bytes]:
    """Names in lower case; a name that comes twice has both values, joined by a comma."""
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise BadResponse(f"a header line {line[:40]!r}")
        name, value = name.lower(), value.strip()
        headers[name] = headers[name] + b"," + value if name in headers else value
    return headers

"""The bytes of one connection, from a request's sending to its answer's end, into a `Recording`.

Knows HTTP framing and server-sent events, and no sockets and no clocks: takes reads with their times. Nearly every
read is one HTTP chunk that holds one event; those go straight to the decoder, everything else through `http1` and
`sse`. Both ways record the same, however the bytes are cut.
"""

from http import HTTPStatus

from harness.load.http1 import BadResponse, Response
from harness.load.recording import Recording, excerpt

_BODY_EXCERPT = 4096
_SIZES = {form % size: size for size in range(1, 8192) for form in (b"%x", b"%X")}
"""Chunk sizes as servers write them; a size that is written otherwise goes the long way."""

_LONGEST_SIZE_LINE = 2 + max(map(len, _SIZES))


class ResponseReader:
    """One attempt at a request.

    Attributes:
        recording: what is recorded.
        began: a byte has come.
        over: the answer has ended, or nothing more of it is wanted.
        reusable: the connection may carry another request.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.began = False
        self.over = False
        self.reusable = False
        self._response = Response()
        self._straight = False
        self._held = b""
        self._refusal = b""

    def read(self, data: bytes, t_ns: int) -> None:
        """Bytes that the connection brought at `t_ns`."""
        self.began = True
        if self._response.status is None:
            data = self._behind_head(data, t_ns)
            if self.over:
                self.reusable = self.reusable and not data
                return
        if self._straight:
            data = self._whole_events(self._held + data if self._held else data, t_ns)
        if data:
            self._any(data, t_ns)
        elif self.recording.over:
            self._left(t_ns)

    def closed(self, t_ns: int) -> None:
        """The server has closed the connection."""
        if self._held:
            self._any(self._held, t_ns)
        if self.over:
            return
        if self._response.closed():
            self._ended(t_ns)
        elif self._response.status in (None, HTTPStatus.OK):
            self.lost("early_eof", "the connection closed before the answer's end", t_ns)
        else:
            self._left(t_ns)

    def lost(self, kind: str, text: str, t_ns: int) -> None:
        """The attempt has failed, and its connection with it."""
        self.recording.fail(kind, text, t_ns)
        self.over, self.reusable = True, False

    def _behind_head(self, data: bytes, t_ns: int) -> bytes:
        """Read a head that ends in this read, and give what follows it, which may go straight."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            return data
        self._any(data[:end], t_ns)
        return data[end:]

    def _whole_events(self, data: bytes, t_ns: int) -> bytes:
        """Record chunks that hold one event of one line each, and give what does not begin with one.

        The beginning of such a chunk is held back until the rest of it has come.
        """
        at, end, event = 0, len(data), self.recording.event
        self._held = b""
        while at < end:
            body = data.find(b"\r\n", at, at + _LONGEST_SIZE_LINE) + 2
            size = _SIZES.get(data[at : body - 2]) if body > 1 else None
            if size is None:
                break
            stop = body + size
            line_end = data.find(b"\n", body)
            if line_end < 0 and data.find(b"\r", body) < 0:
                self._held = data[at:]
                return b""
            if not (
                line_end == stop - 2
                and data.startswith(b"data: {", body)
                and data.startswith(b"}\n\n\r\n", stop - 3)
                and data.find(b"\r", body, stop) < 0
            ):
                break
            event(data[body + 6 : line_end], t_ns)
            at = stop + 2
        return data[at:]

    def _any(self, data: bytes, t_ns: int) -> None:
        try:
            pieces = self._response.feed(data)
        except BadResponse as error:
            self.lost("stream_error", str(error), t_ns)
            return
        for piece in pieces:
            self._piece(piece, t_ns)
        if self._response.over:
            self._ended(t_ns)
        elif self.recording.over or len(self._refusal) >= _BODY_EXCERPT:
            self._left(t_ns)
        self._straight = self._response.between_chunks and self.recording.between_events

    def _piece(self, piece: bytes, t_ns: int) -> None:
        if self._response.status == HTTPStatus.OK:
            self.recording.read(piece, t_ns)
        else:
            self._refusal += piece

    def _ended(self, t_ns: int) -> None:
        """As HTTP says that an answer ends."""
        self._refused(t_ns)
        self.recording.closed(t_ns)
        self.over, self.reusable = True, self._response.reusable

    def _left(self, t_ns: int) -> None:
        """Enough has been read; what is still to come would stand before the next answer."""
        self._refused(t_ns)
        self.over, self.reusable = True, False

    def _refused(self, t_ns: int) -> None:
        status = self._response.status
        if status != HTTPStatus.OK:
            self.recording.fail("http_status", f"HTTP {status}: {excerpt(self._refusal)}", t_ns)

"""Server-sent events out of a byte stream that may be cut anywhere.

Knows the wire format (https://html.spec.whatwg.org/multipage/server-sent-events.html) and nothing of what an event
means, of sockets or of clocks.
"""

import re
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its `event:` field, b"message" where it has none, and its data lines joined by a line feed."""

    name: bytes
    data: bytes


class EventStream:
    """Turns reads into events; the same bytes give the same events however they were cut into reads.

    Attributes:
        started: something came before, here or past this: a byte order mark would no longer be one.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._name = b""
        self._data: list[bytes] = []
        self._after_cr = False
        self.started = False

    @property
    def between_events(self) -> bool:
        """Whether nothing is pending: the next byte opens an event."""
        return not (self._rest or self._data or self._name or self._after_cr)

    def feed(self, read: bytes) -> list[Event]:
        """The events that this read completes."""
        text = self._rest + self._without_split_line_end(read)
        if not self.started:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                self._rest = text
                return []
            self.started = True
            text = text.removeprefix(_BOM)
        *lines, self._rest = _LINE_END.split(text)
        return [event for line in lines if (event := self._line(line)) is not None]

    def _without_split_line_end(self, read: bytes) -> bytes:
        """A CR at the end of a read ends its line at once, so a LF that opens the next read belongs to it."""
        if not read:
            return read
        if self._after_cr and read.startswith(b"\n"):
            read = read[1:]
            self._after_cr = False
            if not read:
                return read
        self._after_cr = read.endswith(b"\r")
        return read

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value
        return None  # an empty field name is a comment; id, retry and unknown fields say nothing here

    def _dispatch(self) -> Event | None:
        name, data = self._name or b"message", self._data
        self._name, self._data = b"", []
        return Event(name, b"\n".join(data)) if data else None

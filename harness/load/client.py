"""What a transport for streaming requests does, and which one an endpoint gets."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

from harness.load.clock import kernel_stamps
from harness.load.recording import Recording
from harness.records import Reads
from harness.spec import ClientKind

Ended = Callable[[Recording], None]
"""Called once for each request whose recording is over."""


class Client(Protocol):
    """A transport, open within its `async with`.

    Everything that a server or a network can do wrong ends in the recording.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def start(self, recording: Recording, ended: Ended) -> None:
        """Send the recording's job and record the answer; from `ended` the next request may be started."""
        ...

    async def drop(self) -> None:
        """Close every request in flight, at once; `ended` is not called for them."""
        ...

    def check(self) -> None:
        """Raise what a callback has raised: a bug of ours, which the event loop would only log."""
        ...

    def reads(self) -> Reads | None:
        """How the reads went; None where the kernel's stamps are not at hand to tell."""
        ...


def kind_for(url: str, asked: ClientKind) -> ClientKind:
    """What serves a URL: aiohttp for TLS, for a password in the URL, and where there are no kernel stamps."""
    parts = urlsplit(url)
    plain = parts.scheme == "http" and parts.username is None and kernel_stamps()
    return asked if plain else "aiohttp"

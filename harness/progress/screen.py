"""Where messages go: to the process that draws them, or, without a terminal, plain lines alone to stderr."""

import logging
import os
import subprocess
import sys
from contextlib import suppress
from typing import Protocol

from harness.progress.messages import Line, Message, encode


class Screen(Protocol):
    """Somewhere to show messages."""

    def show(self, message: Message) -> None:
        """Show it; never waits."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class PlainLines:
    """Where stderr is a file or a pipe."""

    def show(self, message: Message) -> None:
        """Print a line; what is under way is left out."""
        if isinstance(message, Line):
            print(message.text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing to put away."""


class LiveView:
    """The view in its own process, told through a pipe.

    A message that the pipe has no room for is left out, so that a terminal that hangs never holds up a measurement; a
    line that stays is printed here instead.
    """

    def __init__(self) -> None:
        self._drawer = subprocess.Popen([sys.executable, "-m", "harness.progress.view"], stdin=subprocess.PIPE)
        assert self._drawer.stdin is not None
        self._pipe = self._drawer.stdin.fileno()
        os.set_blocking(self._pipe, False)
        # A log line in the midst of the view would be drawn over.
        handlers = [h for h in logging.getLogger().handlers if isinstance(h, logging.StreamHandler)]
        self._logs = [handler for handler in handlers if handler.stream is sys.stderr]
        for handler in self._logs:
            handler.setStream(self)

    @property
    def pid(self) -> int:
        """The drawing process."""
        return self._drawer.pid

    def show(self, message: Message) -> None:
        """Tell the drawing process."""
        try:
            os.write(self._pipe, encode(message) + b"\n")
        except OSError:  # no room, or the drawer is gone
            PlainLines().show(message)

    def write(self, text: str) -> None:
        """What a log handler says."""
        for line in filter(None, text.splitlines()):
            self.show(Line(line))

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Let the drawer finish and take its view away."""
        for handler in self._logs:
            handler.setStream(sys.stderr)
        assert self._drawer.stdin is not None
        with suppress(OSError):
            self._drawer.stdin.close()
        try:
            self._drawer.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._drawer.kill()
            self._drawer.wait()

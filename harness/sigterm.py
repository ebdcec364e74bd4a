"""How a run ends that is told to."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminated_is_cancelled() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: the server is stopped and the folder stays whole."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)

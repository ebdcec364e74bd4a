"""Keep others out of a folder while a block runs, by a lock that the kernel drops when its holder ends in any way."""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from harness.errors import UserError

NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
"""What a network file system without locks says."""

_POLL_S = 0.5
"""Between two tries of a lock that is waited for."""

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, *, shared: bool = False, patience_s: float = 0.0) -> Iterator[None]:
    """Hold a file while the block runs.

    Args:
        path: the file; made when it is missing, and left.
        shared: beside others that share it; a holder who does not share keeps them all out.
        patience_s: how long somebody else who holds it is waited for.

    Raises:
        UserError: somebody else holds it, or its folder can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent}: no folder can be made there ({error.strerror}): choose another") from error
    with path.open("a+", encoding="utf-8") as file:
        _lock(file, path, shared=shared, until=time.monotonic() + patience_s)
        file.truncate(0)
        file.write(f"{os.getpid()} on {os.uname().nodename}")
        file.flush()
        yield


def _lock(file: TextIO, path: Path, *, shared: bool, until: float) -> None:
    try:
        while not _is_locked(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, last=time.monotonic() >= until):
            time.sleep(_POLL_S)
    except BlockingIOError as error:
        file.seek(0)
        raise UserError(
            f"{path.parent}: another mtpbench (process {file.read().strip()}) is at work in it; wait for it, or choose "
            "another folder with -o"
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        logger.warning("%s: its file system has no locks: see to it that nobody else is at work there", path.parent)


def _is_locked(file: TextIO, kind: int, *, last: bool) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        if last:
            raise
        return False
    return True

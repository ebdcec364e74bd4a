"""Servers that an earlier harness could not stop: it was killed together with its guardian.

Each launch leaves a note beside its log. A number is not enough to kill by, since the kernel gives it to somebody else
one day: a process is ours when its session's leader has the start time noted, or when it still writes to our log.
Whoever calls must be alone in the folder, or a server in use would pass for a leftover.
"""

import logging
import socket
from pathlib import Path

import msgspec

from harness.errors import ServerError
from harness.launch import Running, kill, processes

NOTE = "server.pid.json"

logger = logging.getLogger(__name__)


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Who started which session, and when.

    Attributes:
        host, boot: machine and its boot; process numbers mean nothing elsewhere.
        session, session_started: number and start of the server's first process.
        log: file name of its log, beside the note.
    """

    host: str
    boot: str
    session: int
    session_started: int | None
    log: str

    @property
    def is_from_here(self) -> bool:
        """Whether it speaks of this machine since its last boot."""
        return self.host == socket.gethostname() and self.boot == processes.boot_id()


def leave_note(running: Running, log: Path) -> None:
    """Write down, beside its log, a session that was just started."""
    note = Note(
        host=socket.gethostname(),
        boot=processes.boot_id(),
        session=running.pid,
        session_started=_started(running.pid),
        log=log.name,
    )
    log.with_name(NOTE).write_bytes(msgspec.json.encode(note))


def remove_note(log: Path) -> None:
    """Nothing of the session beside this log is left."""
    log.with_name(NOTE).unlink(missing_ok=True)


async def reap_leftovers(folder: Path) -> tuple[int, ...]:
    """Kill what earlier launches below `folder` have left on this machine; the processes killed.

    Raises:
        ServerError: a leftover can't be killed.
    """
    reaped: list[int] = []
    for path, note in _notes(folder):
        pids = _ours(note, path.with_name(note.log))
        if left := await kill(pids):
            raise ServerError(f"{path}: processes {left} of an earlier server can't be killed; restart the machine")
        if pids:
            logger.warning("%s: killed processes %s of a server that an earlier run had left", path.parent, pids)
        reaped += pids
        path.unlink()
    return tuple(reaped)


def _notes(folder: Path) -> list[tuple[Path, Note]]:
    """The notes below a folder that speak of this machine, with their paths."""
    read = ((path, msgspec.json.decode(path.read_bytes(), type=Note)) for path in sorted(folder.glob(f"**/{NOTE}")))
    return [(path, note) for path, note in read if note.is_from_here]


def _ours(note: Note, log: Path) -> tuple[int, ...]:
    members = processes.session_members(note.session)
    if note.session_started is not None and _started(note.session) == note.session_started:
        return members
    return tuple(pid for pid in members if str(log.resolve()) in processes.open_files(pid))


def _started(pid: int) -> int | None:
    at = processes.stat(pid)
    return None if at is None else at.started

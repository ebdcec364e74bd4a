"""What a start of a server is being used for, left in its folder for whoever looks at the files.

Written when it changes, never while a point is measured: it costs the load nothing. A note outlives a harness that is
killed, so it says which process wrote it.
"""

import os
import socket
from datetime import UTC, datetime
from typing import Literal

import msgspec

from harness.atomic_files import read_json, write_json
from harness.errors import ResultsError
from harness.launch import processes
from harness.rundir import AttemptDir


class ServerNote(msgspec.Struct, frozen=True, kw_only=True):
    """What is being done with a server.

    Attributes:
        launch: which launch of its Run it is.
        since: UTC, ISO 8601.
        point: the point's folder, while one is measured.
        ready_s: from start to ready; None before.
        host, boot, pid, pid_started: the harness that wrote it.
    """

    launch: int
    doing: Literal["starting", "measuring", "stopped"]
    since: str
    host: str
    boot: str
    pid: int
    pid_started: int
    point: str | None = None
    ready_s: float | None = None

    @property
    def lasts(self) -> bool:
        """Whether it is still so: its harness lives, or is on a machine that can't be asked from here."""
        if self.doing == "stopped":
            return False
        if self.host != socket.gethostname():
            return True
        writer = processes.stat(self.pid)
        alive = writer is not None and not writer.ended and writer.started == self.pid_started
        return alive and self.boot == processes.boot_id()

    def for_s(self, at: datetime) -> float:
        """How long it has been so, seconds."""
        return (at - datetime.fromisoformat(self.since)).total_seconds()


def write_server_note(
    files: AttemptDir,
    launch: int,
    doing: Literal["starting", "measuring", "stopped"],
    *,
    point: str | None = None,
    ready_s: float | None = None,
) -> None:
    """Say what this process does with a server from now on."""
    me = processes.stat(os.getpid())
    assert me is not None
    note = ServerNote(
        launch=launch,
        doing=doing,
        since=datetime.now(UTC).isoformat(timespec="seconds"),
        host=socket.gethostname(),
        boot=processes.boot_id(),
        pid=me.pid,
        pid_started=me.started,
        point=point,
        ready_s=ready_s,
    )
    write_json(files.now, msgspec.to_builtins(note))


def read_server_note(files: AttemptDir) -> ServerNote | None:
    """What was left; None for a start that left nothing.

    Raises:
        ResultsError: the file is none of ours.
    """
    if not files.now.exists():
        return None
    try:
        return msgspec.convert(read_json(files.now), ServerNote)
    except msgspec.ValidationError as error:
        raise ResultsError(f"{files.now}: {error}; delete the file") from error

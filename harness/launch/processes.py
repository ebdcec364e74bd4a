"""What the kernel says of processes: who is in a session, since when, who listens on a port. Linux's /proc."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
LISTEN = "0A"  # TCP_LISTEN, include/net/tcp_states.h


@dataclass(frozen=True, slots=True)
class Stat:
    """A line of /proc/<pid>/stat.

    Attributes:
        state: one letter; Z and X have ended and only wait to be collected.
        started: clock ticks since boot; with the boot, tells a process from a later one of the same number.
    """

    pid: int
    state: str
    session: int
    started: int

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.state in "ZX"


def stat(pid: int) -> Stat | None:
    """What runs as `pid` at this moment; None for nothing."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return Stat(pid=pid, state=fields[0], session=int(fields[3]), started=int(fields[19]))


def session_members(session: int) -> tuple[int, ...]:
    """Processes that run in a session, those included whose parent has died."""
    stats = (stat(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return tuple(s.pid for s in stats if s is not None and s.session == session and not s.ended)


def with_variable(name: str, value: str) -> tuple[int, ...]:
    """Processes that were started with a variable of the environment and still run, orphans included."""
    wanted = f"{name}={value}".encode()
    stats = (stat(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return tuple(s.pid for s in stats if s is not None and not s.ended and wanted in _environment(s.pid))


def _environment(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return []


def boot_id() -> str:
    """New with each boot of the machine."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def open_files(pid: int) -> frozenset[str]:
    """What a process has open, as the kernel names it; empty when it is gone or another user's."""
    found = set()
    with suppress(OSError):
        for link in (PROC / str(pid) / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed while the list was read
                found.add(str(link.readlink()))
    return frozenset(found)


def listens(session: int, port: int) -> bool:
    """Whether a process of the session listens on a TCP port of this machine."""
    sockets = {f"socket:[{inode}]" for inode in _listeners(port)}
    return any(sockets & open_files(pid) for pid in session_members(session))


def _listeners(port: int) -> set[str]:
    tables = (PROC / "net" / name for name in ("tcp", "tcp6"))
    lines = (line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:])
    return {f[9] for f in lines if f[3] == LISTEN and int(f[1].rpartition(":")[2], 16) == port}

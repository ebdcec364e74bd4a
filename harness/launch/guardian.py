"""Keep a command, and everything that it starts, from outliving whoever wanted it.

Reads one line of JSON from standard input: `argv`, `env`, `log`, `grace_s`. Starts argv in a session of its own, its
output appended to the log, and stops all of it when standard input ends: the caller closed it, or died, however
abruptly. Orphans are adopted (PR_SET_CHILD_SUBREAPER), so whatever the command leaves behind is still a child of this
process, and "nothing is left" is the kernel's word.

Run by path in an isolated interpreter: it starts in milliseconds and must outlast a broken installation, so it imports
the standard library alone. Speaks on standard output, a word and its argument a line: `failed TEXT`, or `started PID`
then `exited CODE` (at once, before anything is cleaned up), `killed` (asking was not enough), `left PIDS`.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
KILL_LIMIT_S = 10.0  # a process that SIGKILL does not end in this time hangs in the kernel
ORPHANS_GRACE_S = 5.0  # for what a command that ended by itself has left behind


def main() -> int:
    """Run the command until it has ended, or until nobody wants it any more."""
    if not (line := sys.stdin.buffer.readline()):
        return 0  # the caller was gone before it could ask
    asked = json.loads(line)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    family = Family(wakeups())
    try:
        family.start(asked["argv"], asked["env"], asked["log"])
    except OSError as error:
        say("failed", f"{asked['argv'][0]}: {error.strerror}")
        return 127
    unwanted = family.wait_while_wanted()
    family.stop(asked["grace_s"] if unwanted else min(asked["grace_s"], ORPHANS_GRACE_S))
    return 0


class Family:
    """The command, its descendants, and the orphans among them."""

    def __init__(self, wake: int) -> None:
        self._wake = wake
        self._leader = 0
        self._ended = False

    def start(self, argv: list[str], env: dict[str, str], log: str) -> None:
        """Run a command as leader of a new session."""
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._leader = os.posix_spawn(
            argv[0],
            argv,
            env,
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores both, and a child would inherit that
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, appending, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
        say("started", self._leader)

    def wait_while_wanted(self) -> bool:
        """Wait for the command's end or the caller's; True when it was the caller's."""
        caller = os.getppid()
        while self.reap() and not self._ended:
            ready, _, _ = select.select([0, self._wake], [], [], 1.0)
            # A copy of the pipe in another process would hide the caller's death; a new parent does not.
            if 0 in ready or os.getppid() != caller or is_signalled(self._wake):
                return True
        return False

    def stop(self, grace_s: float) -> None:
        """End all of the family: ask, wait, insist; say what would not go."""
        if not self.reap():
            return
        self._signal_session(signal.SIGTERM)
        if self._gone_within(grace_s):
            return
        say("killed")
        deadline = time.monotonic() + KILL_LIMIT_S
        while time.monotonic() < deadline:
            self._signal_session(signal.SIGKILL)
            # A child's number can't be taken by a stranger before it is reaped here; a grandchild's could, and it
            # becomes a child as soon as its parent is gone.
            for pid in children_of(os.getpid()):
                os.kill(pid, signal.SIGKILL)
            if self._gone_within(0.2):
                return
        say("left", *children_of(os.getpid()))

    def reap(self) -> bool:
        """Collect the dead; whether anybody is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self._leader:
                self._ended = True
                say("exited", os.waitstatus_to_exitcode(status))

    def _gone_within(self, limit_s: float) -> bool:
        deadline = time.monotonic() + limit_s
        while self.reap():
            if (remaining := deadline - time.monotonic()) <= 0:
                return False
            select.select([self._wake], [], [], min(remaining, 0.1))
            is_signalled(self._wake)
        return True

    def _signal_session(self, number: int) -> None:
        with suppress(ProcessLookupError):  # everybody in it has gone, or has moved to a group of its own
            os.killpg(self._leader, number)


def wakeups() -> int:
    """A descriptor that becomes readable with each signal: a byte for it, its number."""
    ours, theirs = os.pipe()
    for end in (ours, theirs):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(theirs)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return ours


def is_signalled(wake: int) -> bool:
    """Whether somebody asked this process to end; empties the descriptor."""
    try:
        return bool(set(os.read(wake, 4096)) - {signal.SIGCHLD})
    except BlockingIOError:
        return False


def children_of(parent: int) -> list[int]:
    """The processes whose parent is `parent`, ended but unreaped ones included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it ended while the list was read
            if int(stat.rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


def say(*words: object) -> None:
    """One line for the caller, who may be gone."""
    with suppress(BrokenPipeError):
        os.write(1, (" ".join(map(str, words)) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())

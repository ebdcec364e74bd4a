"""The ways to fail, as one tree; each family owns the exit code that the command line ends with.

    MtpbenchError
    ├── UserError         2   the user's file, flag or folder; says where, what, and what to do
    │   ├── ConfigError       a fault in a YAML file, one `file:line:col: path: what` a line
    │   ├── LockMismatch      `run` into a folder that another sweep made; carries the difference
    │   ├── NoMeter           the GPUs' power can't be read; says why, and the remedy
    │   ├── ResultsError      a results file that can't be read or mixes schema versions
    │   └── NotComparable     two arms that differ in more than MTP; names the fields
    ├── ServerError       3   the server or the cluster did not come up, or is gone
    │   ├── EngineMissing     the engine's executable or environment is not there
    │   ├── MachineUnfit      `doctor` found what keeps a server from starting
    │   ├── ServerNotReady    no answer in time, or the process died before it was ready
    │   ├── ServerDied        the process ended while it was needed
    │   ├── GpuBusy           somebody else holds the GPUs that it needs
    │   └── ClusterError      Slurm refused, or gave no answer
    └── PointsInvalid     4   the sweep ran, but some points can't be used

Exit 0 is good, 1 is a bug of ours (a traceback), 130 an interrupt. Library code raises; only the command line exits.
"""

from typing import ClassVar


class MtpbenchError(Exception):
    """Anything that has a message for a person; `str(error)` is the whole of it."""

    exit_code: ClassVar[int] = 1


class UserError(MtpbenchError):
    """The user's file, flag or folder must change."""

    exit_code = 2


class ConfigError(UserError):
    """A YAML file is wrong: every fault in it, one line each."""


class LockMismatch(UserError):
    """The results folder belongs to another sweep."""


class ResultsError(UserError):
    """A results file can't be read as one of ours."""


class NoMeter(UserError):
    """The power of the GPUs can't be read here."""


class NotComparable(UserError):
    """Two arms differ in more than MTP.

    Attributes:
        fields: what differs, as `name: one | other`.
    """

    def __init__(self, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


class ServerError(MtpbenchError):
    """The server or the cluster is at fault."""

    exit_code = 3


class EngineMissing(ServerError):
    """The engine's executable or environment is not there."""


class MachineUnfit(ServerError):
    """Something about this machine keeps a server from starting, or its numbers from being believed."""


class ServerNotReady(ServerError):
    """The server did not answer in time, or died before it was ready."""


class ServerDied(ServerError):
    """The server's process ended while it was needed."""


class GpuBusy(ServerError):
    """Somebody else holds the GPUs that a server needs."""


class ClusterError(ServerError):
    """Slurm refused what was asked of it."""


class ClusterSilent(ClusterError):
    """Slurm gave no answer: nothing is known, and nothing may be taken for granted."""


class PointsInvalid(MtpbenchError):
    """The sweep ran to its end, but some of its points can't be used."""

    exit_code = 4

"""Which job an element belongs to: more than one may be at work on it, and one alone may save its points."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.atomic_files import write_json
from harness.slurm.job import Job


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """owner.json: the run of a job that measures an element."""

    key: str
    restart: int


@dataclass(frozen=True, slots=True)
class Ownership:
    """A job's hold on an element, which the next job takes from it: a node that Slurm has lost may still be at work.

    No lock, since not every shared file system has them: the last to write its name owns the element, the others find
    out before they start or save a point.
    """

    file: Path
    job: Job

    def owner(self) -> Owner | None:
        """Who owns the element."""
        return msgspec.json.decode(self.file.read_bytes(), type=Owner) if self.file.exists() else None

    def claim(self) -> None:
        """Own the element from now on, whoever owned it before."""
        write_json(self.file, msgspec.to_builtins(self._me))

    @property
    def is_held(self) -> bool:
        """Whether nobody has taken it over."""
        return self.owner() == self._me

    @property
    def _me(self) -> Owner:
        return Owner(key=self.job.key, restart=self.job.restart)

"""Where a submitted sweep keeps the files of its jobs, beside its results.

    results/<sweep>/slurm/
        manifest.jsonl                    one element a line, frozen when the sweep is first submitted
        cluster.json                      the site, resolved
        submissions.jsonl                 what was asked of sbatch, each line before and after
        <array>_<task>.log                what an element printed
        element-<n>/owner.json            the job that measures it now
        element-<n>/<job>-<restart>/      one try: begin.json, end.json

Calls nothing of Slurm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.atomic_files import atomic, write_json
from harness.errors import ResultsError, UserError
from harness.rundir import SweepDir
from harness.slurm.endings import End
from harness.slurm.manifest import Element
from harness.spec import Cluster


@dataclass(frozen=True, slots=True)
class ClusterDir:
    """The files of a sweep on a cluster."""

    results: SweepDir

    @property
    def path(self) -> Path:
        """The folder of them all."""
        return self.results.path / "slurm"

    @property
    def cluster(self) -> Path:
        """The site."""
        return self.path / "cluster.json"

    @property
    def submissions(self) -> Path:
        """What was asked of sbatch."""
        return self.path / "submissions.jsonl"

    @property
    def manifest(self) -> Path:
        """The elements."""
        return self.path / "manifest.jsonl"

    def element(self, number: int) -> Path:
        """Files of one element."""
        return self.path / f"element-{number}"

    def site(self) -> Cluster:
        """The site that the sweep was submitted to.

        Raises:
            ResultsError: it was not.
        """
        if not self.cluster.exists():
            raise ResultsError(f"{self.results.path}: was not submitted to a cluster")
        return Cluster.model_validate_json(self.cluster.read_bytes())

    def elements(self) -> list[Element]:
        """The frozen elements; none before the first submission."""
        if not self.manifest.exists():
            return []
        return [msgspec.json.decode(line, type=Element) for line in self.manifest.read_bytes().splitlines()]

    def freeze(self, cluster: Cluster, elements: Sequence[Element]) -> None:
        """Write down site and elements; what is asked of Slurm may change from one submission to the next.

        Raises:
            UserError: other elements were submitted before.
        """
        before = self.elements()
        if len(elements) < len(before) or not all(map(Element.continues, elements, before)):
            raise UserError(
                f"{self.manifest}: another cut of the sweep was submitted before, by another version of mtpbench; "
                "choose another folder with -o"
            )
        with atomic(self.cluster) as partial:
            partial.write_text(cluster.model_dump_json(indent=1) + "\n")
        with atomic(self.manifest) as partial:
            partial.write_bytes(b"".join(msgspec.json.encode(element) + b"\n" for element in elements))


@dataclass(frozen=True, slots=True)
class TryDir:
    """The files of one try: `element-<n>/<job>-<restart>`."""

    path: Path

    @property
    def begin(self) -> Path:
        """Who, where, since when."""
        return self.path / "begin.json"

    @property
    def end(self) -> Path:
        """How it ended; missing while it runs, and where it was killed at once."""
        return self.path / "end.json"

    def read_end(self) -> End | None:
        """How it ended, if it could say."""
        return msgspec.json.decode(self.end.read_bytes(), type=End) if self.end.exists() else None

    def write_end(self, end: End) -> None:
        """Write end.json."""
        write_json(self.end, msgspec.to_builtins(end))


def tries(element: Path) -> list[TryDir]:
    """All tries of an element, the first one first."""
    return [TryDir(path.parent) for path in sorted(element.glob("*/begin.json"), key=lambda path: path.stat().st_mtime)]

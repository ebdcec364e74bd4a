"""A page as printed, recomputed or published: the one shape in which both can be shown and compared.

Published tables are data, `pages/*.json` of a results folder, each with its source and what became of its rows.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from analysis.published import words
from analysis.published.maths import Page, Target, key_of
from harness.errors import ResultsError

Digits = Mapping[str, str | None]
"""Metric -> the digits as printed, without $ and ~; None where the page has none."""


class PrintedTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a page's table and the sentence that goes with it.

    Attributes:
        band_word: where the target lies in the band; None where a published sentence does not say.
        mtp, off: table cells; None for an arm without rows.
        prose: arm -> the figures of the sentence; None without one.
        verdict: how the sentence ends; None without one.
    """

    at: int
    band_word: str | None
    mtp: Digits | None
    off: Digits | None
    prose: Mapping[str, Digits] | None
    verdict: str | None


class Printed(msgspec.Struct, frozen=True, kw_only=True):
    """What a page prints.

    Attributes:
        band: tok/s/user; None where a published page does not print it.
    """

    model: str
    gpu: str
    precision: str
    isl: int
    osl: int
    band: tuple[int, int] | None
    targets: tuple[PrintedTarget, ...]

    @property
    def key(self) -> str:
        """The same as the key of a recomputed Page of the same pair."""
        return key_of(self.model, self.gpu, self.precision, self.isl, self.osl)


class Published(Printed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page as it was published.

    Attributes:
        rows: whether the rows behind it ship too: complete, partial, none.
        rows_note: what became of the missing ones.
    """

    title: str
    model_label: str
    rows: str
    rows_note: str | None
    source: str


class Agreement(msgspec.Struct, frozen=True):
    """How much of a published page a recomputed one repeats to the last digit."""

    cells: int
    cells_equal: int
    verdicts: int
    verdicts_equal: int


def printed(page: Page) -> Printed:
    """A recomputed page in its digits."""
    return Printed(
        model=page.model,
        gpu=page.gpu,
        precision=page.precision,
        isl=page.isl,
        osl=page.osl,
        band=page.band,
        targets=tuple(_printed_target(target, page) for target in page.targets),
    )


def published_pages(folders: Iterable[Path]) -> tuple[Published, ...]:
    """The published tables in `pages/` of each folder, by file name; paths that have none are passed over.

    Raises:
        ResultsError: a file there is not such a table.
    """
    files = [file for folder in folders for file in sorted((folder / "pages").glob("*.json"))]
    return tuple(_read(file) for file in files)


def agreement(one: Published, other: Printed) -> Agreement:
    """Counts over the published page's own cells; a target that `other` lacks agrees in none."""
    there = {target.at: target for target in other.targets}
    cells = cells_equal = verdicts = verdicts_equal = 0
    for target in one.targets:
        mine = there.get(target.at)
        for arm in ("mtp", "off"):
            theirs, ours = getattr(target, arm) or {}, (getattr(mine, arm) if mine else None) or {}
            cells += len(theirs)
            cells_equal += sum(ours.get(metric) == digits for metric, digits in theirs.items())
        verdicts += target.verdict is not None
        verdicts_equal += mine is not None and target.verdict is not None and target.verdict == mine.verdict
    return Agreement(cells, cells_equal, verdicts, verdicts_equal)


def _printed_target(target: Target, page: Page) -> PrintedTarget:
    arms = {"mtp": target.mtp, "off": target.off}
    verdict = words.verdict(target)
    return PrintedTarget(
        at=target.at,
        band_word=words.band_word(target.at, page.band),
        mtp=words.table_cells(target.mtp) if target.mtp else None,
        off=words.table_cells(target.off) if target.off else None,
        prose={arm: words.prose_figures(cells) for arm, cells in arms.items() if cells} if verdict else None,
        verdict=verdict,
    )


def _read(file: Path) -> Published:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Published)
    except (OSError, msgspec.DecodeError) as error:
        reason = re.sub(r"\s+", " ", str(error))
        raise ResultsError(f"{file}: not a published table: {reason}") from error

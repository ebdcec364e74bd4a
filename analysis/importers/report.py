"""What an import found, as values and as text for the person who asked for it: nothing is dropped in silence."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from analysis.importers.row import FlatRow, invalid_codes

REASONS = {
    "superseded": "an older run of a line that has a newer one",
    "duplicate": "the same measurement once more",
    "failed_requests": "more than 0.1 % of its requests failed",
}
"""Codes that importing puts into a row's `invalid`, in words."""

PLACES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Unusable:
    """A record that became no row.

    Attributes:
        place: where in the file it stood; None for the whole file.
    """

    file: str
    place: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What files held.

    Attributes:
        rows: every row that could be made; one that takes no part has its code in `invalid`.
        unusable: what could not be made into a row.
    """

    rows: tuple[FlatRow, ...]
    unusable: tuple[Unusable, ...]

    @property
    def usable(self) -> tuple[FlatRow, ...]:
        """Rows that take part."""
        return tuple(row for row in self.rows if not row.get("invalid"))


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        written: the points.jsonl.
    """

    written: Path
    imported: Imported

    def __str__(self) -> str:
        """Counts, every reason with its number and places, and every pair."""
        rows, usable = self.imported.rows, self.imported.usable
        head = f"{self.written}: {len(rows)} rows, {len(usable)} of them usable"
        return "\n".join([head, *reasons(self.imported), *pairs(usable)])


def reasons(imported: Imported) -> list[str]:
    """One line for every reason why something is not used: how often, and where first."""
    places: dict[str, list[str]] = defaultdict(list)
    for fault in imported.unusable:
        places[fault.reason].append(f"{fault.file} {fault.place}" if fault.place else fault.file)
    for row in imported.rows:
        for code in invalid_codes(row):
            places[REASONS.get(code, code)].append(str(row.get("source", row["run_key"])))
    return [f"  not used: {len(found)} x {reason}: {_listed(found)}" for reason, found in places.items()]


def pairs(rows: tuple[FlatRow, ...]) -> list[str]:
    """One line for every model, GPU, precision and pair of lengths, with the number of rows of each arm."""
    counts: dict[tuple[object, ...], Counter[str]] = defaultdict(Counter)
    for row in rows:
        key = tuple(row[name] for name in ("model", "gpu", "precision", "isl", "osl"))
        counts[key]["off" if row.get("draft_tokens") == 0 else "mtp"] += 1
    return [
        f"  {model} {gpu} {precision} {isl}/{osl}: {count['mtp']} MTP, {count['off']} Off"
        for (model, gpu, precision, isl, osl), count in sorted(
            counts.items(), key=lambda item: tuple(map(str, item[0]))
        )
    ]


def _listed(places: list[str]) -> str:
    more = len(places) - PLACES_SHOWN
    return ", ".join(places[:PLACES_SHOWN]) + (f" and {more} more" if more > 0 else "")

"""In what the two arms of a pair differ besides MTP: the effective configurations, or what rows alone tell.

A difference of the class *must equal* makes a pair not comparable. Reads the files that each server start left; knows
no numbers.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from analysis.pairs import Pair, Side, days_apart
from harness.errors import NotComparable, ResultsError
from harness.records import Configuration
from harness.rundir import RunDir
from harness.units import MISSING

Kind = Literal["must equal", "speculative", "derived", "circumstance"]
FIELDS: Mapping[Kind, str] = {
    "must equal": "must_equal",
    "speculative": "speculative",
    "derived": "derived",
    "circumstance": "circumstance",
}
LAST_DAY = "last day"
DAYS_FAR = 14
"""Runs further apart than this are warned about: machines and drivers change."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same in both arms, or not in all launches of one arm.

    Attributes:
        off, mtp: what the arm's servers said; several values of one arm stand side by side.
    """

    name: str
    kind: Kind
    off: str
    mtp: str

    def __str__(self) -> str:
        return f"{self.name}: {self.off} | {self.mtp}"


@dataclass(frozen=True, slots=True)
class Diff:
    """What two arms differ in.

    Attributes:
        read: whether the configuration of every server start was read.
        notes: what could not be checked, for people.
    """

    differences: tuple[Difference, ...]
    read: bool
    notes: tuple[str, ...] = ()

    def of(self, kind: Kind) -> tuple[Difference, ...]:
        """Differences of one class."""
        return tuple(difference for difference in self.differences if difference.kind == kind)

    def require_comparable(self, key: str) -> None:
        """Do nothing where the arms may be compared.

        Raises:
            NotComparable: they differ in something that must be equal.
        """
        fields = tuple(str(difference) for difference in self.of("must equal"))
        if fields:
            raise NotComparable(
                f"{key}: the arms differ in more than MTP (Off | MTP): {'; '.join(fields)}; "
                "--force compares them all the same",
                fields,
            )


def diff(pair: Pair) -> Diff:
    """All differences of a pair, those that must not be first."""
    notes: list[str] = []
    off, mtp = (tuple(_configurations(side, notes)) for side in (pair.off, pair.mtp))
    found = [*_by_rows(pair, notes), *_attached(pair, off, mtp), *_by_servers(off, mtp)]
    order = list(FIELDS)
    return Diff(
        differences=tuple(sorted(found, key=lambda difference: (order.index(difference.kind), difference.name))),
        read=bool(off and mtp) and not notes,
        notes=tuple(dict.fromkeys(notes)),
    )


def _configurations(side: Side, notes: list[str]) -> Iterator[Configuration]:
    """What each server start behind an arm said of itself."""
    if any(row.imported for row in side.rows):
        notes.append("configuration not read: the rows are imported and carry none")
        return
    if len(side.topologies) > 1:
        notes.append("configuration not compared: several topologies differ by more than MTP")
        return
    starts = dict.fromkeys((row.folder, row.run_key, row.attempt) for row in side.rows)
    for folder, run_key, attempt in starts:
        file = RunDir(Path(folder or "") / run_key).attempt(attempt).configuration
        configuration = _read(file) if folder else None
        if configuration is None:
            notes.append(f"configuration not read: {run_key}/{file.parent.name}/{file.name} is not there")
        else:
            if not configuration.read_back:
                notes.append(
                    f"the server of {run_key} did not report its configuration; what was asked for is compared"
                )
            yield configuration


@lru_cache(maxsize=256)
def _read(file: Path) -> Configuration | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Configuration)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ResultsError(f"{file}: can't be read as a configuration: {error}") from error


def _attached(pair: Pair, off: tuple[Configuration, ...], mtp: tuple[Configuration, ...]) -> Iterator[Difference]:
    """A server that someone else started is believed only as far as it reports."""
    attached = [any(row.attached for row in side.rows) for side in (pair.off, pair.mtp)]
    if not any(attached):
        return
    told = ["read" if servers and all(s.read_back for s in servers) else "not read" for servers in (off, mtp)]
    if "not read" in told:
        yield Difference("configuration of a server started elsewhere", "must equal", *told)


def _by_servers(off: tuple[Configuration, ...], mtp: tuple[Configuration, ...]) -> Iterator[Difference]:
    if not off or not mtp:
        return
    for kind, field in FIELDS.items():
        of_off, of_mtp = ([getattr(server, field) for server in servers] for servers in (off, mtp))
        for name in sorted({name for values in (*of_off, *of_mtp) for name in values}):
            yield from _difference(
                name, kind, (values.get(name, MISSING) for values in of_off), (v.get(name, MISSING) for v in of_mtp)
            )


def _by_rows(pair: Pair, notes: list[str]) -> Iterator[Difference]:
    """What rows tell even where no configuration lies beside them."""
    off, mtp = pair.off.rows, pair.mtp.rows
    versions = [{row.version for row in rows} - {None} for rows in (off, mtp)]
    if all(versions):
        yield from _difference("engine version", "must equal", *versions)
    else:
        arms = [name for name, told in zip(("Off", "MTP"), versions, strict=True) if not told]
        notes.append(f"engine version not told by the rows of {' and '.join(arms)}")
    stamps = [{stamp for row in rows for stamp in row.stamps} - {"forced-acceptance"} for rows in (off, mtp)]
    if stamps[0] != stamps[1]:
        yield Difference("stamps", "must equal", *(", ".join(sorted(s)) or MISSING for s in stamps))
    if not pair.same_request:
        keys = [", ".join(sorted({row.pair_key for row in rows})) for rows in (off, mtp)]
        yield Difference("settings asked for", "must equal", *keys)
    yield from _prompts(pair)
    yield from _time_apart(pair)


def _prompts(pair: Pair) -> Iterator[Difference]:
    """Both arms must have been sent one and the same stream of prompts."""
    hashes = [{row.prompt_hash for row in side.rows if row.prompt_hash} for side in (pair.off, pair.mtp)]
    if all(hashes):
        yield from _difference("prompts", "must equal", *(sorted(arm) for arm in hashes))


def _time_apart(pair: Pair) -> Iterator[Difference]:
    off, mtp = pair.off.days, pair.mtp.days
    if off and mtp and (days_apart(off[-1], mtp[-1]) or 0) > DAYS_FAR:
        yield Difference(LAST_DAY, "circumstance", off[-1], mtp[-1])


def _difference(name: str, kind: Kind, off: Iterable[object], mtp: Iterable[object]) -> Iterator[Difference]:
    """The difference, unless all values of both arms are equal."""
    texts = [dict.fromkeys(_text(value) for value in values) for values in (off, mtp)]
    if len({*texts[0], *texts[1]}) > 1:
        yield Difference(name, kind, *(" / ".join(values) for values in texts))


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()

"""In what the two arms of a pair differ besides MTP: the effective configurations, or what rows alone tell.

A difference of the class *must equal* makes a pair not comparable. Reads the files that each server start left; knows
no numbers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from analysis.pairs import MATCHED, Pair, Side, days_apart
from harness.errors import NotComparable, ResultsError
from harness.records import Configuration
from harness.rundir import AttemptDir, RunDir
from harness.units import MISSING

Kind = Literal["must equal", "speculative", "derived", "circumstance"]
FIELDS: Mapping[Kind, str] = {
    "must equal": "must_equal",
    "speculative": "speculative",
    "derived": "derived",
    "circumstance": "circumstance",
}
FIRST_DAY, LAST_DAY = "first day", "last day"
COMMAND_LINE = "command line"
IMPORTED = "configuration not read: the rows are imported and carry none"
DAYS_COMPARABLE = 14
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
    found = _by_starts(pair, notes) if pair.view == MATCHED else [*_by_deployments(pair, notes)]
    found += _by_rows(pair, notes)
    order = list(FIELDS)
    return Diff(
        differences=tuple(sorted(found, key=lambda difference: (order.index(difference.kind), difference.name))),
        read=not notes,
        notes=tuple(dict.fromkeys(notes)),
    )


def _by_starts(pair: Pair, notes: list[str]) -> list[Difference]:
    """What the server starts of one deployment tell."""
    off, mtp = (tuple(_configurations(side, notes)) for side in (pair.off, pair.mtp))
    return [*_attached(pair, off, mtp), *_by_servers(off, mtp), *_by_commands(pair)]


def _by_deployments(pair: Pair, notes: list[str]) -> Iterator[Difference]:
    """The same where each arm may have several deployments: each that both ran is compared by itself."""
    off, mtp = pair.off.deployments, pair.mtp.deployments
    parts = [replace(pair, off=off[key], mtp=mtp[key]) for key in off if key in mtp]
    if len(off) == len(mtp) == len(parts) == 1:
        yield from _by_starts(pair, notes)
        return
    for part in parts:
        for found in _by_starts(part, notes):
            if found.kind == "must equal":
                yield replace(found, name=f"{found.name} ({part.off.topologies[0].label})")
    if alone := sorted({topology.label for topology, _ in off.keys() ^ mtp.keys()}):
        yield from _attached(pair, (), ())
        told = f"configuration of {', '.join(alone)} not compared: one arm alone ran it, or with other settings"
        notes.append(IMPORTED if any(row.imported for row in (*pair.off.rows, *pair.mtp.rows)) else told)


def starts(side: Side) -> tuple[AttemptDir, ...]:
    """The server starts behind an arm of ours; none for imported rows, and none in a view of several topologies."""
    if len(side.topologies) > 1:
        return ()
    found = dict.fromkeys((row.folder, row.run_key, row.attempt) for row in side.rows if row.folder)
    return tuple(RunDir(Path(folder) / run_key).attempt(attempt) for folder, run_key, attempt in found if folder)


def flags_of(side: Side) -> list[str]:
    """The words that the arm's first server was started with, each flag joined with its values; empty if not told."""
    commands = (_command(start.argv) for start in starts(side))
    return next((_flags(asked.argv) for asked in commands if asked is not None), [])


def _configurations(side: Side, notes: list[str]) -> Iterator[Configuration]:
    """What each server start behind an arm said of itself."""
    if any(row.imported for row in side.rows):
        notes.append(IMPORTED)
        return
    found = starts(side)
    if not found:
        notes.append("configuration not read: no results folder lies beside the rows")
    for start in found:
        configuration = _read(start.configuration)
        if configuration is None:
            file = start.configuration.relative_to(start.path.parents[1])
            notes.append(f"configuration not read: {file} is not there")
            continue
        if not configuration.read_back:
            run_key = start.path.parent.name
            notes.append(f"the server of {run_key} did not report its configuration; what was asked for is compared")
        yield configuration


@lru_cache(maxsize=256)
def _read(file: Path) -> Configuration | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Configuration)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ResultsError(f"{file}: can't be read as a configuration: {error}") from error


class _Words(msgspec.Struct, frozen=True):
    """Words and variables of a command line."""

    argv: tuple[str, ...] = ()
    env: Mapping[str, str] = {}


class _Asked(_Words, frozen=True):
    """A server's command line as it was recorded.

    Attributes:
        arm: the part by which arms may differ; its words stand last. None where it was not told apart, so that words
            which differ can only be shown: what the server made of them is compared all the same.
    """

    arm: _Words | None = None

    @property
    def shared(self) -> _Words:
        """The part that must be the same in both arms."""
        arm = self.arm or _Words()
        env = {name: value for name, value in self.env.items() if name not in arm.env}
        return _Words(self.argv[: len(self.argv) - len(arm.argv)], env)


@lru_cache(maxsize=256)
def _command(file: Path) -> _Asked | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Asked)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ResultsError(f"{file}: can't be read as a command line: {error}") from error


def _by_commands(pair: Pair) -> Iterator[Difference]:
    """What the servers were started with: the arms' own words are shown, all others must be equal."""
    off, mtp = (
        [asked for start in starts(side) if (asked := _command(start.argv)) is not None]
        for side in (pair.off, pair.mtp)
    )
    if not off or not mtp:
        return
    own = [[" ".join(asked.arm.argv if asked.arm else ()) or MISSING for asked in arm] for arm in (off, mtp)]
    yield from _difference(COMMAND_LINE, "speculative", *own)
    shared = [[asked.shared for asked in arm] for arm in (off, mtp)]
    common = set.intersection(*(set(_flags(words.argv)) for arm in shared for words in arm))
    others = [
        [" ".join(flag for flag in _flags(words.argv) if flag not in common) or MISSING for words in arm]
        for arm in shared
    ]
    told_apart = all(asked.arm is not None for asked in (*off, *mtp))
    yield from _difference(COMMAND_LINE, "must equal" if told_apart else "speculative", *others)
    for name in sorted({name for arm in shared for words in arm for name in words.env}):
        values = [[words.env.get(name, MISSING) for words in arm] for arm in shared]
        yield from _difference(f"environment {name}", "must equal", *values)


def _flags(argv: Sequence[str]) -> list[str]:
    """The words, each flag joined with its values."""
    flags: list[str] = []
    for word in argv:
        if flags and not word.startswith("-") and flags[-1].startswith("-"):
            flags[-1] += f" {word}"
        else:
            flags.append(word)
    return flags


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
    yield from _prompts(pair, notes)
    yield from _time_apart(pair)


def _prompts(pair: Pair, notes: list[str]) -> Iterator[Difference]:
    """Both arms must have been sent one and the same stream of prompts."""
    hashes = [{row.prompt_hash for row in side.rows if row.prompt_hash} for side in (pair.off, pair.mtp)]
    silent = [
        name for name, side in (("Off", pair.off), ("MTP", pair.mtp)) if not all(r.prompt_hash for r in side.rows)
    ]
    if silent:
        notes.append(f"prompts not compared: rows of {' and '.join(silent)} don't tell theirs")
    if all(hashes):
        yield from _difference("prompts", "must equal", *(sorted(arm) for arm in hashes))


def _time_apart(pair: Pair) -> Iterator[Difference]:
    off, mtp = pair.off.days, pair.mtp.days
    for name, end in ((FIRST_DAY, 0), (LAST_DAY, -1)):
        if off and mtp and (days_apart(off[end], mtp[end]) or 0) > DAYS_COMPARABLE:
            yield Difference(name, "circumstance", off[end], mtp[end])


def _difference(name: str, kind: Kind, off: Iterable[object], mtp: Iterable[object]) -> Iterator[Difference]:
    """The difference, unless all values of both arms are equal."""
    texts = [dict.fromkeys(_text(value) for value in values) for values in (off, mtp)]
    if len({*texts[0], *texts[1]}) > 1:
        yield Difference(name, kind, *(" / ".join(values) for values in texts))


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()

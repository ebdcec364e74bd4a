"""Paths -> Report: every pair that they hold, compared or refused with the reason, and whatever was left out.

The door to the comparison: `compare_paths`. Knows which view answers when none is asked for; computes nothing itself.
"""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.assumptions import PriceChoice, assumptions, parse_prices
from analysis.choices import Choice, choices
from analysis.comparison import Comparison, compare
from analysis.diff import diff
from analysis.facts import gpu_of, targets_asked
from analysis.importers.report import REASONS
from analysis.launch_spread import LaunchSpread, launch_spread
from analysis.pairing import find_pairs
from analysis.pairs import BEST, MATCHED, Asked, Lonely, Pair, Question, View
from analysis.ratio import TIE_MARGIN
from analysis.rows import OLDER, Row, Table, Unusable, load_table
from harness.errors import NotComparable, UserError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asks for beyond the paths.

    Attributes:
        at: interactivities, tok/s/user; None for those that the sweep homed in on, or else a quarter, half and three
            quarters of each overlap.
        pair: glob over pair keys; None for all.
        view: None for the matched view, and the best of topologies where that can't speak.
        prices: see `assumptions.parse_prices`.
        force: compare arms that differ in more than MTP all the same.
        margin: within which arms are tied, relative.
        spread_from: results that tell how far launches of the same system differ, for arms that have one.
    """

    at: tuple[float, ...] | None = None
    pair: str | None = None
    view: View | None = None
    prices: str | None = None
    force: bool = False
    margin: float = TIE_MARGIN
    spread_from: Path | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A pair that may not be compared.

    Attributes:
        fields: what differs, as `name: Off | MTP`.
    """

    key: str
    reason: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The whole answer.

    Attributes:
        unusable: rows that take no part, and arms without a partner, each with its reason.
    """

    comparisons: tuple[Comparison, ...]
    refused: tuple[Refused, ...]
    choices: tuple[Choice, ...]
    unusable: tuple[Unusable, ...]


def parse_options(
    *,
    at: str | None = None,
    pair: str | None = None,
    view: str | None = None,
    prices: str | None = None,
    force: bool = False,
    spread_from: Path | None = None,
) -> Options:
    """Options from what a command line says: `at` comma-separated, the rest as in `Options`.

    Raises:
        UserError: `at` holds something other than positive numbers, or there is no such view.
    """
    known: dict[str, View] = {MATCHED: MATCHED, BEST: BEST}
    if view is not None and view not in known:
        raise UserError(f"--view {view}: there are {' and '.join(known)}")
    return Options(
        at=_places(at),
        pair=pair,
        view=known[view] if view else None,
        prices=prices,
        force=force,
        spread_from=spread_from,
    )


def compare_paths(paths: Sequence[Path], options: Options | None = None) -> Report:
    """Everything that can be compared in results folders and files.

    Raises:
        ResultsError: a path is not there, or can't be read as results.
        UserError: an option is wrong.
    """
    return compare_table(load_table(paths), options or Options())


def compare_table(table: Table, options: Options) -> Report:
    """Everything that can be compared in rows.

    Raises:
        UserError: an option is wrong.
    """
    want = parse_prices(options.prices)
    asked, lonely = find_pairs(table)
    recorded = _recorded(options.spread_from, asked)
    comparisons: list[Comparison] = []
    refused: list[Refused] = []
    searched = [_answer(each, options, want, recorded.get(each.question), comparisons, refused) for each in asked]
    # Asked for some pairs alone, nobody misses the rest.
    shown = [each.best for each, best in zip(asked, searched, strict=True) if best or options.pair is not None]
    return Report(
        comparisons=tuple(comparisons),
        refused=tuple(refused),
        choices=tuple(choices(comparisons)),
        unusable=(*table.unusable, *_left_out(table, asked, shown, lonely)),
    )


def _places(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        places = tuple(float(part) for part in text.split(","))
    except ValueError:
        places = ()
    if not places or not all(0 < place < 1e9 for place in places):
        raise UserError(f"--at {text}: give interactivities in tok/s/user, comma-separated, like 25,40")
    return places


def _recorded(path: Path | None, asked: Sequence[Asked]) -> dict[Question, LaunchSpread]:
    if path is None:
        return {}
    rows = load_table([path]).rows
    told = {each.question: launch_spread(rows, each.question) for each in asked}
    known = {question: spread for question, spread in told.items() if spread is not None}
    if not known:
        raise UserError(
            f"--spread-from {path}: holds no Run of the same model, GPU, precision, engine and arrivals "
            "with two launches or more"
        )
    return known


def _answer(
    asked: Asked,
    options: Options,
    want: PriceChoice,
    recorded: LaunchSpread | None,
    comparisons: list[Comparison],
    refused: list[Refused],
) -> bool:
    """Add the comparisons that answer one question, or the reasons for none; tell whether the best was looked at."""
    spoken = False
    if options.view != BEST:
        for pair in asked.matched:
            made = _compared(pair, options, want, recorded, refused)
            comparisons += made
            spoken = spoken or any(not comparison.small_overlap for comparison in made)
    best = options.view == BEST or (options.view is None and not spoken and asked.searched)
    if best:
        comparisons += _compared(asked.best, options, want, recorded, refused)
    return best


def _compared(
    pair: Pair, options: Options, want: PriceChoice, recorded: LaunchSpread | None, refused: list[Refused]
) -> list[Comparison]:
    """The comparison, or nothing where the key is not asked for or the pair is refused."""
    if not fnmatch.fnmatch(pair.key, options.pair or "*"):
        return []
    differences = diff(pair)
    try:
        if not options.force:
            differences.require_comparable(pair.key)
    except NotComparable as error:
        refused.append(Refused(pair.key, str(error), error.fields))
        return []
    of_gpu = assumptions(pair.question.gpu, gpu_of(pair.mtp.rows[0]), want)
    at = options.at or targets_asked(pair.mtp.rows[0])
    return [compare(pair, differences, of_gpu, at=at, margin=options.margin, recorded=recorded)]


def _left_out(
    table: Table, asked: Sequence[Asked], best: Sequence[Pair], lonely: Sequence[Lonely]
) -> Iterator[Unusable]:
    """Usable rows that no pair took: those of lonely arms together, others one by one."""
    pairs = [*(pair for each in asked for pair in each.matched), *best]
    both = {(pair.question, topology) for pair in pairs for topology in pair.off.topologies if pair.view == MATCHED}
    taken = {id(row) for pair in pairs for row in (*pair.off.rows, *pair.mtp.rows)}
    for arm in lonely:
        yield Unusable(arm.key, arm.reason)
        taken |= {id(row) for row in arm.rows}
    for row in (*table.rows, *table.older):
        if id(row) not in taken:
            yield Unusable(row.label, _why_left(row, (Question.of(row), row.topology) in both))


def _why_left(row: Row, both: bool) -> str:
    """Why no pair took a row; `both`: whether both arms ran its topology."""
    if not both and OLDER not in row.invalid:
        return f"one arm alone ran {row.topology.label}: it counts in `--view {BEST}`"
    return REASONS[OLDER] if OLDER in row.invalid else "another version or run of its arm goes with the other arm"

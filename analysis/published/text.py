"""Recomputed and published pages as Markdown, CSV or JSON."""

import csv
import fnmatch
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import TypeAlias

import msgspec

from analysis.assumptions import assumptions, parse_prices
from analysis.facts import gpu_of
from analysis.importers.report import REASONS
from analysis.published.maths import Page, pages_of
from analysis.published.pages import Agreement, Digits, Printed, PrintedTarget, Published, agreement, printed
from analysis.rows import OLDER, Row, Table
from analysis.tables.grid import escaped, grid
from harness.errors import UserError

SCHEMA = 1
Unused: TypeAlias = Sequence[tuple[str, str]]
"""What took no part: row or place, and reason."""

JULY_2026 = "2026-07-13"
"""The last day on which the dashboard used the constants that the pages were rendered with."""

EXAMPLES = 6
"""Rows named with each reason for leaving something out."""

INTRODUCTION = """\
# As published

The public dashboard's computation of July 2026, repeated to the last digit: for checking its pages, not for deciding.
It pools every engine and topology of an arm, splines each metric by itself over the front, and shows a front's edge
value for a target beyond it without saying so. "94% cheaper" there means that the other arm costs 1.94 times as
much."""

METRICS = {
    "tok_s_gpu": ("Throughput (tok/s/GPU)", "{}"),
    "usd_per_mtok": ("Cost ($/M tok)", "${}"),
    "tok_s_mw": ("tok/s/MW", "{}"),
    "concurrency": ("Concurrency", "~{}"),
}
"""Metric -> the table's name for it, and how the page dresses its digits."""

ARMS = {"mtp": "MTP", "off": "Off"}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One table of the answer.

    Attributes:
        recomputed: False for a published table whose rows are not all here.
        note: why it was not recomputed.
        page: the recomputed page behind it, for its constants and counts.
        agreement: with the published page of the same pair, where there is one.
    """

    printed: Printed
    recomputed: bool
    label: str
    note: str | None = None
    page: Page | None = None
    agreement: Agreement | None = None


def as_published(
    table: Table,
    published: Sequence[Published] = (),
    *,
    at: Sequence[float] | None = None,
    pair: str | None = None,
    prices: str | None = None,
    output_format: str = "md",
) -> str:
    """The answer of `compare --as-published`.

    Args:
        table: rows of any origin; emulated, demo, forced and open-loop ones take no part, as no page ever held such.
        published: tables that ship beside the rows.
        at: targets, moved into each page's band; None for the page's own three.
        pair: glob over a page's key.
        prices: other constants than the pages', as `assumptions.parse_prices` reads them.
        output_format: md, csv or json.

    Raises:
        UserError: `prices` or `output_format` is none of those.
    """
    writers: dict[str, Callable[[list[Shown], Unused], str]] = {"md": _markdown, "csv": _csv, "json": _json}
    if output_format not in writers:
        raise UserError(f"format '{output_format}' is not one of {', '.join(writers)}")
    shown, unused = recomputed(table, published, at=at, pair=pair, prices=prices)
    return writers[output_format](shown, unused)


def recomputed(
    table: Table,
    published: Sequence[Published] = (),
    *,
    at: Sequence[float] | None = None,
    pair: str | None = None,
    prices: str | None = None,
) -> tuple[list[Shown], Unused]:
    """The tables that `as_published` writes, and what took no part; arguments and errors as there."""
    asked = parse_prices(prices)
    want = replace(asked, day=asked.day or JULY_2026)
    rows = [row for row in table.rows if not _unlike_a_page(row)]
    gpus = {row.gpu: assumptions(row.gpu, gpu_of(row), want) for row in rows}
    pages = pages_of([row.cells for row in rows], gpus.__getitem__, at=at)
    comparable = at is None and prices is None
    shown = [s for s in _shown(pages, published, comparable) if fnmatch.fnmatch(s.printed.key, pair or "*")]
    return shown, _unused(table)


def _unlike_a_page(row: Row) -> str | None:
    if row.emulated or row.demo:
        return "emulated" if row.emulated else "demo"
    if row.concurrency is None:
        return "open loop"
    return "forced acceptance" if row.forced_acceptance_length else None


def _unused(table: Table) -> Unused:
    found = [(fault.row, fault.reason) for fault in table.unusable]
    found += [(row.label, REASONS[OLDER]) for row in table.older]
    return found + [(row.label, reason) for row in table.rows if (reason := _unlike_a_page(row))]


def _shown(pages: Sequence[Page], published: Sequence[Published], comparable: bool) -> Iterable[Shown]:
    """Recomputed tables, each followed by the published one where its rows are not all here; then those without."""
    there = {page.key: page for page in published}
    for page in pages:
        mine, theirs = printed(page), there.pop(page.key, None)
        yield Shown(
            printed=mine,
            recomputed=True,
            label=theirs.model_label if theirs else page.model,
            page=page,
            agreement=agreement(theirs, mine) if theirs and theirs.rows == "complete" and comparable else None,
        )
        if theirs and theirs.rows != "complete":
            yield _as_it_was(theirs)
    yield from (_as_it_was(page) for page in there.values())


def _as_it_was(page: Published) -> Shown:
    return Shown(printed=page, recomputed=False, label=page.model_label, note=page.rows_note)


def _markdown(shown: list[Shown], unused: Unused) -> str:
    tail = ["## Not used", "\n".join(_not_used(unused))] if unused else []
    return "\n\n".join([INTRODUCTION, *map(_markdown_page, shown), *tail]) + "\n"


def _not_used(unused: Unused) -> Iterable[str]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for row, reason in unused:
        by_reason[reason].append(row)
    for reason, found in by_reason.items():
        more = len(found) - EXAMPLES
        named = ", ".join(found[:EXAMPLES]) + (f" and {more} more" if more > 0 else "")
        yield f"- {len(found)} x {escaped(reason)}: {escaped(named)}"


def _markdown_page(shown: Shown) -> str:
    page = shown.printed
    state = "recomputed from the rows given" if shown.recomputed else f"as published, not recomputed: {shown.note}"
    name = escaped(f"{shown.label}, {page.gpu.upper()} {page.precision.upper()}, {page.isl}/{page.osl} tokens")
    head = f"## {name}\n\n{state}"
    clauses = [escaped(page.key), *map(escaped, about(shown))]
    table = grid(
        ["Metric", *(f"{target.at} tok/s/user" for target in page.targets)],
        [
            [name, *(_both(target, metric, dress) for target in page.targets)]
            for metric, (name, dress) in METRICS.items()
        ],
    )
    sentences = [f"- {sentence(target)}" for target in page.targets if target.verdict]
    return "\n\n".join(filter(None, [f"{head}; {'; '.join(clauses)}.", table, "\n".join(sentences)]))


def about(shown: Shown) -> Iterable[str]:
    """Band, counts, constants, and how far it repeats a published page: one clause each."""
    if shown.printed.band:
        yield "band {}–{} tok/s/user".format(*shown.printed.band)  # noqa: RUF001
    if shown.page:
        yield f"{shown.page.mtp_rows} MTP and {shown.page.off_rows} Off points"
        worth = shown.page.assumptions
        usd, kw = worth.usd_per_gpu_hour, worth.all_in_kw
        yield f"pooled engines: {', '.join(shown.page.engines)}"
        yield f"no price: {worth.usd_from}" if usd is None else f"${usd:.2f}/GPU-hour ({worth.usd_from})"
        yield f"no power: {worth.kw_from}" if kw is None else f"{kw:g} kW/GPU ({worth.kw_from})"
    if shown.agreement:
        found = shown.agreement
        yield (
            f"equal to the published page in {found.cells_equal} of {found.cells} cells "
            f"and {found.verdicts_equal} of {found.verdicts} verdicts"
        )


def _both(target: PrintedTarget, metric: str, dress: str) -> str:
    def of(cells: Digits | None) -> str:
        digits = cells.get(metric) if cells else None
        return "–" if digits is None else dress.format(digits)  # noqa: RUF001

    return ", ".join(f"{name}: {of(getattr(target, arm))}" for arm, name in ARMS.items())


def sentence(target: PrintedTarget) -> str:
    """What a page says under its table of one target."""
    place = f" ({target.band_word} of the band)" if target.band_word else ""
    figures = target.prose or {}
    said = ", ".join(f"{name} {_figures(figures[arm])}" for arm, name in ARMS.items() if arm in figures)
    return f"At {target.at} tok/s/user{place}: {said}. {target.verdict}"


def _figures(digits: Digits) -> str:
    usd = digits.get("usd_per_mtok")
    return f"{digits['tok_s_gpu']} tok/s/GPU" + (f" at ${usd} per million tokens" if usd is not None else "")


def _csv(shown: list[Shown], unused: Unused) -> str:
    identity = ("model", "gpu", "precision", "isl", "osl")
    place = ("recomputed", "band_lo", "band_hi", "at", "band_word", "arm")
    header = ["pair", *identity, *place, *METRICS, "verdict", "note"]
    out = io.StringIO()
    writer = csv.DictWriter(out, header, lineterminator="\n")
    writer.writeheader()
    for table in shown:
        page = table.printed
        lo, hi = page.band or (None, None)
        lead = {"pair": page.key, **{name: getattr(page, name) for name in identity}, "band_lo": lo, "band_hi": hi}
        lead |= {"recomputed": str(table.recomputed).lower(), "note": table.note}
        for target in page.targets:
            told = {"at": target.at, "band_word": target.band_word, "verdict": target.verdict}
            writer.writerows(lead | told | {"arm": arm} | (getattr(target, arm) or {}) for arm in ARMS)
    writer.writerows({"pair": row, "note": f"not used: {reason}"} for row, reason in unused)
    return out.getvalue()


def _json(shown: list[Shown], unused: Unused) -> str:
    answer = {
        "schema": SCHEMA,
        "mode": "as-published",
        "pages": [_json_page(table) for table in shown],
        "unusable": [{"row": row, "reason": reason} for row, reason in unused],
    }
    return msgspec.json.format(msgspec.json.encode(answer), indent=1).decode() + "\n"


def _json_page(shown: Shown) -> dict[str, object]:
    page = shown.page
    return {
        "key": shown.printed.key,
        "recomputed": shown.recomputed,
        "note": shown.note,
        "rates": asdict(page.assumptions) if page else None,
        "engines": page.engines if page else None,
        "mtp_rows": page.mtp_rows if page else None,
        "off_rows": page.off_rows if page else None,
        "agreement": shown.agreement,
        "page": shown.printed,
    }

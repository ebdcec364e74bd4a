"""Paths in, text and files out: what `compare` prints, what `report` writes, what `run` leaves beside its rows.

Chooses between our own comparison and the published computation; computes nothing itself.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis import plots, tables
from analysis.compare import Options, Report, compare_paths, options
from analysis.published import as_published, published_pages
from analysis.report import page, page_as_published
from analysis.rows import load
from harness.atomic_files import atomic, write_text
from harness.errors import UserError

NAME = "comparison"
PAGE = "page.html"


def compare_text(
    paths: Sequence[Path],
    *,
    at: str | None = None,
    pair: str | None = None,
    view: str | None = None,
    prices: str | None = None,
    force: bool = False,
    spread_from: Path | None = None,
    published: bool = False,
    output_format: str = "md",
) -> tuple[str, bool]:
    """The comparison of everything in `paths`, in one format, ending with a line break.

    Args:
        paths: results folders, or files that import understands.
        at: interactivities, tok/s/user, comma-separated.
        pair: glob over pair keys.
        view: matched or best-of-topologies.
        prices: a day, or a tier.
        force: compare arms that differ in more than MTP.
        spread_from: results that tell how far launches of the same system differ.
        published: compute as the public dashboard did, see `analysis.published`.
        output_format: md, csv or json.

    Returns:
        The text, and whether anything could be compared.

    Raises:
        UserError: an option is wrong.
        ResultsError: a path can't be read.
    """
    asked = options(at=at, pair=pair, view=view, prices=prices, force=force, spread_from=spread_from)
    if published:
        table, pages = load(paths), published_pages(paths)
        text = as_published(table, pages, at=asked.at, pair=pair, prices=prices, output_format=output_format)
        return text, bool(table.rows or pages)
    report = compare_paths(paths, asked)
    return tables.render(report, output_format), bool(report.comparisons)


def write_page(
    paths: Sequence[Path],
    output: Path,
    *,
    png: Path | None = None,
    svg: Path | None = None,
    at: str | None = None,
    pair: str | None = None,
    view: str | None = None,
    prices: str | None = None,
    force: bool = False,
    published: bool = False,
) -> tuple[list[Path], bool]:
    """Write the page of everything in `paths`, and pictures of it where asked for; options as in `compare_text`.

    Returns:
        Every file written, and whether anything could be compared. Without a comparison there is a page with the
        reasons, and no picture.

    Raises:
        UserError: an option is wrong, or a picture is asked for of a computation that only pages show.
        ResultsError: a path can't be read.
    """
    asked = options(at=at, pair=pair, view=view, prices=prices, force=force)
    if published:
        if png or svg:
            raise UserError("--png and --svg draw our own comparison: give them without --as-published")
        text, compared = page_as_published(paths, asked)
        write_text(output, text)
        return [output], compared
    report = compare_paths(paths, asked)
    write_text(output, page(report, prices))
    return [output, *_pictures(report, svg, png)], bool(report.comparisons)


def _pictures(report: Report, svg: Path | None, png: Path | None) -> Iterator[Path]:
    if svg and report.comparisons:
        write_text(svg, plots.svg(report.comparisons))
        yield svg
    if png and report.comparisons:
        with atomic(png) as partial:
            partial.write_bytes(plots.png(report.comparisons))
        yield png


def leave_comparison(folder: Path) -> tuple[str, list[Path]]:
    """Write a results folder's comparison beside its rows: tables, pictures, and the page.

    Returns:
        The Markdown, and every file written; the page is the last.
    """
    report = compare_paths([folder], Options())
    tables_of = [folder / f"{NAME}.{kind}" for kind in tables.FORMATS]
    for path, output_format in zip(tables_of, tables.FORMATS, strict=True):
        write_text(path, tables.render(report, output_format))
    pictures = _pictures(report, folder / f"{NAME}.svg", folder / f"{NAME}.png")
    written = [*tables_of, *pictures, folder / PAGE]
    write_text(folder / PAGE, page(report))
    return tables.render(report, "md"), written

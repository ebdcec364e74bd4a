"""Paths in, text and files out: what `compare` prints, what `report` writes, what `run` leaves beside its rows.

Chooses between our own comparison and the published computation; computes nothing itself.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis import plots, published, tables
from analysis.compare import Options, Report, compare_paths
from analysis.report import page, page_as_published
from analysis.rows import load_table
from harness.atomic_files import atomic, write_text
from harness.errors import UserError

NAME = "comparison"
PAGE = "page.html"


def compare_text(
    paths: Sequence[Path],
    options: Options | None = None,
    *,
    as_published: bool = False,
    output_format: str = "md",
) -> tuple[str, bool]:
    """The comparison of everything in `paths`, in one format, ending with a line break.

    Args:
        paths: results folders, or files that import understands.
        options: what is asked for beyond the paths; see `compare.parse_options`.
        as_published: compute as the public dashboard did, see `analysis.published`.
        output_format: md, csv or json.

    Returns:
        The text, and whether anything could be compared.

    Raises:
        UserError: an option is wrong.
        ResultsError: a path can't be read.
    """
    options = options or Options()
    if as_published:
        return _text_as_published(paths, options, output_format)
    report = compare_paths(paths, options)
    return tables.render(report, output_format), bool(report.comparisons)


def _text_as_published(paths: Sequence[Path], options: Options, output_format: str) -> tuple[str, bool]:
    table, pages = load_table(paths), published.published_pages(paths)
    text = published.as_published(
        table, pages, at=options.at, pair=options.pair, prices=options.prices, output_format=output_format
    )
    return text, bool(table.rows or pages)


def write_page(
    paths: Sequence[Path],
    output: Path,
    options: Options | None = None,
    *,
    png: Path | None = None,
    svg: Path | None = None,
    as_published: bool = False,
) -> tuple[list[Path], bool]:
    """Write the page of everything in `paths`, and pictures of it where asked for; options as in `compare_text`.

    Returns:
        Every file written, and whether anything could be compared. Without a comparison there is a page with the
        reasons, and no picture.

    Raises:
        UserError: an option is wrong, or a picture is asked for of a computation that only pages show.
        ResultsError: a path can't be read.
    """
    options = options or Options()
    if as_published:
        if png or svg:
            raise UserError("--png and --svg draw our own comparison: give them without --as-published")
        text, compared = page_as_published(paths, options)
        write_text(output, text)
        return [output], compared
    report = compare_paths(paths, options)
    write_text(output, page(report, options.prices))
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

"""Paths in, text out: what `compare` prints, and what `run` leaves beside its rows.

Chooses between our own comparison and the published computation; computes nothing itself.
"""

from collections.abc import Sequence
from pathlib import Path

from analysis import plots, tables
from analysis.compare import Options, compare_paths, options
from analysis.published import as_published, published_pages
from analysis.rows import load
from harness.rundir import atomic, write_text

NAME = "comparison"


def compare_text(
    paths: Sequence[Path],
    *,
    at: str | None = None,
    pair: str | None = None,
    view: str | None = None,
    prices: str | None = None,
    force: bool = False,
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
        published: compute as the public dashboard did, see `analysis.published`.
        output_format: md, csv or json.

    Returns:
        The text, and whether anything could be compared.

    Raises:
        UserError: an option is wrong.
        ResultsError: a path can't be read.
    """
    asked = options(at=at, pair=pair, view=view, prices=prices, force=force)
    if published:
        table, pages = load(paths), published_pages(paths)
        text = as_published(table, pages, at=asked.at, pair=pair, prices=prices, output_format=output_format)
        return text, bool(table.rows or pages)
    report = compare_paths(paths, asked)
    return tables.render(report, output_format), bool(report.comparisons)


def leave_comparison(folder: Path) -> tuple[str, list[Path]]:
    """Write a results folder's comparison beside its rows, as tables and pictures.

    Returns:
        The Markdown, and every file written.
    """
    report = compare_paths([folder], Options())
    written = [folder / f"{NAME}.{kind}" for kind in (*tables.FORMATS, "svg", "png")]
    for path, output_format in zip(written, tables.FORMATS, strict=False):
        write_text(path, tables.render(report, output_format))
    if not report.comparisons:
        return tables.render(report, "md"), written[: len(tables.FORMATS)]
    write_text(written[-2], plots.svg(report.comparisons))
    with atomic(written[-1]) as partial:
        partial.write_bytes(plots.png(report.comparisons))
    return tables.render(report, "md"), written

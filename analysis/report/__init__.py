"""Comparisons -> one page that is opened from disk: the verdict, the chart, the numbers, and what is behind them.

    metrics     which numbers can be drawn, from METRICS
    arms        one arm: curve, errors along it, points
    sources     command lines, provenance, points thrown out
    comparisons a Report as the page's data
    dashboard   pages recomputed as the public dashboard did, likewise
    html        data and page/ -> one file

`page/` holds markup, style and script, which read curves as `harness.front` and `analysis.ratio` do, to 1e-9. A page
computes nothing else that is not computed here: verdicts on the whole, sentences and warnings come as text.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from analysis.assumptions import parse_prices
from analysis.compare import Options, Report
from analysis.plots import COLOURS
from analysis.prose import paragraph
from analysis.published import published_pages, recomputed, sentence
from analysis.report import comparisons, dashboard
from analysis.report.html import document
from analysis.report.metrics import AXES, label_of, plotted_metrics
from analysis.rows import load_table
from harness.metrics import METRICS

__all__ = ["page", "page_as_published"]

TITLE = "MTP against Off"


def page(report: Report, prices: str | None = None) -> str:
    """The page of a report; `prices` as the report was made with."""
    entries = comparisons.entries(report, parse_prices(prices))
    data = {
        **_common(),
        "pairs": entries,
        "choices": comparisons.choices(report),
        "left_out": comparisons.left_out(report),
        "printed": [],
    }
    summary = [(found.pair.key, paragraph(found)) for found in report.comparisons]
    return document(data, _title([comparison.pair.key for comparison in report.comparisons]), summary)


def page_as_published(paths: Sequence[Path], options: Options) -> tuple[str, bool]:
    """The page of what `compare --as-published` computes, and whether it shows anything."""
    shown, unused = recomputed(
        load_table(paths), published_pages(paths), at=options.at, pair=options.pair, prices=options.prices
    )
    entries = dashboard.entries(shown)
    data = {
        **_common(),
        "pairs": entries,
        "choices": [],
        "left_out": list(unused),
        "printed": dashboard.printed_only(shown),
    }
    summary = [
        (table.printed.key, " ".join(sentence(target) for target in table.printed.targets if target.verdict))
        for table in shown
    ]
    return document(data, _title([table.printed.key for table in shown]), summary), bool(shown)


def _common() -> dict[str, object]:
    """What every page needs to know of metrics and colours."""
    return {
        "metrics": [asdict(metric) for metric in plotted_metrics()],
        "axes": [(name, label_of(name), METRICS[name].unit) for name in AXES],
        "colours": COLOURS,
    }


def _title(keys: Sequence[str]) -> str:
    return f"{TITLE}: {keys[0] if len(keys) == 1 else f'{len(keys)} comparisons'}"

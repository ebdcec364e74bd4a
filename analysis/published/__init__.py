"""The public dashboard's "MTP vs Off" pages, computed as it computed them in July 2026, for checking and nothing else.

    maths   rows -> Page: bands, targets, splined cells, unrounded
    words   cells -> the digits and verdicts that a page prints
    pages   published tables that ship as data, and how recomputed ones compare with them
    text    all of it as Markdown, CSV or JSON

What the pages do and our own mode does not: rows of all engines and topologies in one cloud, only points of the upper
left front, every metric splined by itself (so cost and throughput disagree between points), values beyond a front
clamped to its edge without a word, and "x % cheaper" for a ratio of costs minus 1.
Source: https://github.com/SemiAnalysisAI/InferenceX-app, packages/app/src: lib/compare-variant-ssr.ts,
components/calculator/interpolation.ts, components/compare/compare-interpolated-table.tsx.
"""

from analysis.published.maths import Cells, Cloud, Page, Target, pages_of
from analysis.published.pages import Published, published_pages
from analysis.published.text import Shown, about, as_published, recomputed, sentence

__all__ = [
    "Cells", "Cloud", "Page", "Published", "Shown", "Target", "about", "as_published", "pages_of", "published_pages",
    "recomputed", "sentence",
]  # fmt: skip

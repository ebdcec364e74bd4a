"""Cells -> a Markdown table whose columns stand in line on a terminal too; and text that stays text in Markdown."""

import re
from collections.abc import Sequence

_SPECIAL = re.compile(r"([\\`*\[\]<>|])")


def escaped(text: str) -> str:
    """`text` so that Markdown shows it as it is: one line, no markup, no HTML, no cell border."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _SPECIAL.sub(r"\\\1", line)


def grid(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table.

    Args:
        head: a title for each column.
        rows: cells, escaped where they come from outside.
        left: how many columns, from the first on, are of text; the rest is aligned right.
    """
    widths = [max(3, *(len(row[i]) for row in (head, *rows))) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width if i < left else "-" * (width - 1) + ":") for i, width in enumerate(widths)]
    return "\n".join([line(head), f"| {' | '.join(rule)} |", *(line(row) for row in rows)])

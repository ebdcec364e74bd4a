"""Cells -> a Markdown table whose columns stand in line on a terminal too; and text that stays text in Markdown."""

import re
from collections.abc import Sequence

TEXT = frozenset({"arm", "verdict", "stamps", "run", "view", "class", "Off value", "MTP value"})

_SPECIAL = re.compile(r"([\\`*\[\]<>|])")


def escaped(text: str) -> str:
    """`text` so that Markdown shows it as it is: one line, no markup, no HTML, no cell border."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _SPECIAL.sub(r"\\\1", line)


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; numbers stand right, the first column and those of TEXT left.

    Args:
        head: a title for each column.
        rows: cells, escaped where they come from outside.
    """
    widths = [max(3, *(len(row[i]) for row in (head, *rows))) for i in range(len(head))]
    left = [i == 0 or title in TEXT for i, title in enumerate(head)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if of_text else cell.rjust(width)
            for cell, width, of_text in zip(cells, widths, left, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if of_text else "-" * (width - 1) + ":" for width, of_text in zip(widths, left, strict=True)]
    return "\n".join([line(head), f"| {' | '.join(rule)} |", *(line(row) for row in rows)])

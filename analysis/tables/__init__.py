"""A Report as Markdown that a terminal shows well, as CSV, or as JSON: the same numbers, each with its stamps.

    plain      Report -> plain data, the shape of the JSON
    flat       Report -> rows of one wide table, the shape of the CSV
    markdown   Report -> text
    grid       cells -> an aligned Markdown table; escaping

Computes nothing.
"""

from collections.abc import Callable, Mapping

from analysis.compare import Report
from analysis.tables import flat, markdown, plain
from harness.errors import UserError

FORMATS: Mapping[str, Callable[[Report], str]] = {"md": markdown.text, "csv": flat.text, "json": plain.text}


def render(report: Report, output_format: str = "md") -> str:
    """The report as text that ends with a line break.

    Raises:
        UserError: there is no such format.
    """
    if output_format not in FORMATS:
        raise UserError(f"format '{output_format}' is not one of {', '.join(FORMATS)}")
    return FORMATS[output_format](report)

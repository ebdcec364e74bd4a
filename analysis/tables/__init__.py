"""A Report as Markdown that a terminal shows well, as CSV, or as JSON: the same numbers, each with its stamps.

    as_json       Report -> plain data, the shape of the JSON
    as_csv        Report -> rows of one wide table, the shape of the CSV
    as_markdown   Report -> text
    power         measured power, as heads and rows of the Markdown's tables
    grid          cells -> an aligned Markdown table; escaping

Computes nothing.
"""

from collections.abc import Callable, Mapping

from analysis.compare import Report
from analysis.tables import as_csv, as_json, as_markdown
from harness.errors import UserError

FORMATS: Mapping[str, Callable[[Report], str]] = {
    "md": as_markdown.render,
    "csv": as_csv.render,
    "json": as_json.render,
}


def render(report: Report, output_format: str = "md") -> str:
    """The report as text that ends with a line break.

    Raises:
        UserError: there is no such format.
    """
    if output_format not in FORMATS:
        raise UserError(f"format '{output_format}' is not one of {', '.join(FORMATS)}")
    return FORMATS[output_format](report)

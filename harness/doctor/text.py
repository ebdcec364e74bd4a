"""The report as a person reads it: headings, a mark before each thing, and beneath it what to do."""

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from harness.doctor.finding import Finding, Report, State

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MARKS = {
    State.GOOD: ("✓", "green"),
    State.NOTE: ("·", "cyan"),
    State.WARNING: ("!", "bold yellow"),
    State.BLOCKS: ("✗", "bold red"),
}
REMEDY = "→ "
WIDTH = 112
"""Of a table in a file or a pipe, and the most that one on a terminal takes: longer lines are not read."""


def rendered(report: Report) -> str:
    """The report as lines: in colour where stdout is a terminal, plain elsewhere."""
    from rich.text import Text

    console = _console()
    purpose = f" for {report.sweep}" if report.sweep else ""
    with console.capture() as lines:
        console.print(Text(f"mtpbench {report.mtpbench} on {report.node}{purpose}", "bold"))
        for area, findings in groupby(report.findings, key=lambda finding: finding.area):
            console.print(Text(f"\n{area}", "bold"))
            console.print(_rows(findings))
        console.print(Text(f"\n{verdict(report)}", "bold"))
    return "\n".join(line.rstrip() for line in lines.get().splitlines())


def verdict(report: Report) -> str:
    """One sentence on the whole."""
    blocking, warnings = report.having(State.BLOCKS), report.having(State.WARNING)
    rest = f"{len(warnings)} warning{'' if len(warnings) == 1 else 's'}" if warnings else "no warnings"
    if blocking:
        return f"blocked by {', '.join(dict.fromkeys(finding.what for finding in blocking))}; {rest}"
    return f"nothing blocks; {rest}"


def _console() -> "Console":
    from rich.console import Console

    terminal = Console(highlight=False)
    return Console(highlight=False, width=min(terminal.width, WIDTH) if terminal.is_terminal else WIDTH)


def _rows(findings: Iterable[Finding]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=2, justify="right")
    table.add_column(width=16)
    table.add_column(ratio=1, overflow="fold")
    for finding in findings:
        mark, style = MARKS[finding.state]
        table.add_row(Text(mark, style), Text(finding.what), Text(finding.says))
        if finding.remedy is not None:
            table.add_row("", "", Text(REMEDY + finding.remedy, "italic" if finding.state is State.NOTE else style))
    return table

"""The report in a terminal: what matters first, one line a row, as many columns as there is room for."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fer_transfer.files.names import shown_text
from fer_transfer.reports.cells import caveat_line
from fer_transfer.reports.missing import missing_lines
from fer_transfer.reports.report import Report
from fer_transfer.reports.table import Table, fitted
from fer_transfer.reports.tables import all_tables, at_a_glance, confusion_tables

#: Cells that are no number, and may be overlooked.
_QUIET = ("-", "not run", "withheld", "trained on", "fitted on", "")


def print_report(report: Report, console: Console, *, details: bool) -> None:
    """Print plans and claims; with details also recalls, other splits, published rows, matrices, settings and rules."""
    tables = [*all_tables(report), *confusion_tables(report)] if details else at_a_glance(report)
    common = _common_caveats(report)
    if not report.groups:
        console.print(_text(f"No row has run: {report.store} holds no finished plan.", "bold"))
    for text in filter(None, (caveat_line(common),)):
        console.print(_text(text, "bold red"))
    left_out: dict[str, None] = {}
    for table in tables:
        left_out |= dict.fromkeys(_print(table, console, common, details=details))
    console.print()
    for line in dict.fromkeys(line for table in tables for line in table.legend):
        console.print(_text(line, "dim"))
    if left_out and not details:
        console.print(_text(f"Not shown for want of room: {', '.join(left_out)}.", "dim"))
    for line in missing_lines(report.missing, report.study.name):
        is_command = line.startswith("  ")  # stays one line, to be pasted
        console.print(_text(line, "dim" if is_command or line.startswith("not run") else "bold"), soft_wrap=is_command)


def _common_caveats(report: Report) -> tuple[str, ...]:
    """Those of every group, which stand once above all tables."""
    shared = set.intersection(*(set(group.caveats) for group in report.groups)) if report.groups else set()
    return tuple(caveat for caveat in report.caveats if caveat in shared)


def _print(table: Table, console: Console, common: Sequence[str], *, details: bool) -> list[str]:
    """Print one table; returns the headings that there was no room for."""
    shown, left_out = fitted(table, console.width)
    console.print()
    console.print(_text(table.title, "bold"))
    if own := [caveat for caveat in table.caveats if caveat not in common]:
        console.print(_text(caveat_line(own), "bold red"))
    console.print(_drawn(shown))
    for note in (*table.brief, *(table.notes if details else ())):
        console.print(_text(note, "dim"))
    return left_out


def _drawn(table: Table) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in table.columns:
        drawn.add_column(_text(column.heading), justify="right" if column.numbers else "left", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(_text(cell, "dim" if cell in _QUIET else "") for cell in row))
    return drawn


def _text(text: str, style: str = "") -> Text:
    """Text that does nothing to a terminal but stand there: rich passes escape sequences on."""
    return Text(shown_text(text), style=style)

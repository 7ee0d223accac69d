"""The report's tables as Markdown."""

import re
from collections.abc import Sequence
from pathlib import Path

from fer_transfer.files.names import shown_text
from fer_transfer.reports.cells import caveat_line
from fer_transfer.reports.files import write_text
from fer_transfer.reports.missing import missing_lines
from fer_transfer.reports.report import Report
from fer_transfer.reports.table import Table
from fer_transfer.reports.tables import all_tables, confusion_tables


def write_markdown(report: Report, out: Path) -> list[str]:
    """Write ``table.md``: every table, what is missing, and the confusion matrices; returns what it wrote.

    Raises:
        StoreError: if it cannot be written.
    """
    parts = ["# Results\n", to_markdown(all_tables(report))]
    if missing := missing_lines(report.missing, report.study.name):
        parts += ["## What is missing\n", *(f"- {escape_markdown(line.strip())}" for line in missing), ""]
    if confusions := confusion_tables(report):
        parts += ["## Confusion matrices\n", to_markdown(confusions, 3)]
    write_text(out / "table.md", "\n".join(parts))
    return ["table.md"]


def to_markdown(tables: Sequence[Table], level: int = 2) -> str:
    """Tables as Markdown sections, headings of the given level."""
    return "\n".join(_section(table, level) for table in tables)


def _section(table: Table, level: int) -> str:
    lines = [f"{'#' * level} {escape_markdown(table.title)}", ""]
    if table.caveats:
        lines += [f"**{escape_markdown(caveat_line(table.caveats))}**", ""]
    lines += [
        *table_lines(table),
        "",
        *(f"- {escape_markdown(note)}" for note in (*table.brief, *table.legend, *table.notes)),
        "",
    ]
    return "\n".join(lines)


def table_lines(table: Table) -> list[str]:
    """The table alone, a line a row."""
    rules = (" ---: " if column.numbers else " --- " for column in table.columns)
    return [_line(table.headings), f"|{'|'.join(rules)}|", *map(_line, table.rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(escape_markdown, cells)) + " |"


#: What Markdown would act on: no underscore within a word (names of plans), and no brackets that cannot become a link.
_ACTIVE = re.compile(r"[\\`*|~$]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape_markdown(text: str) -> str:
    r"""Text that Markdown shows as it is, with its line breaks, within a line.

    >>> print(escape_markdown("fer28_emotiw | <b> *a*\n[x](y)"))
    fer28_emotiw \| &lt;b&gt; \*a\*<br>[x\](y)
    """
    escaped = _ACTIVE.sub(r"\\\g<0>", re.sub("[&<>]", lambda match: _HTML[match.group()], shown_text(text)))
    return escaped.replace("\n", "<br>")

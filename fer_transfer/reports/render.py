"""Drawing tables: in the terminal (rich), as Markdown and as LaTeX."""

import re
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fer_transfer.reports.cells import caveat_line
from fer_transfer.reports.tables import Table


def to_terminal(table: Table, console: Console) -> None:
    """Print one table with its caveats above and its notes below."""
    console.print()
    console.print(Text(table.title, style="bold"))
    if table.caveats:
        console.print(Text(caveat_line(table.caveats), style="bold red"))
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    for column in table.columns:
        drawn.add_column(Text(column), no_wrap=column == "Plan")  # the name is what a reader types next
    for row in table.rows:
        drawn.add_row(*(Text(cell, style="dim" if cell == "not run" else "") for cell in row))
    console.print(drawn)
    for note in table.notes:
        console.print(Text(note, style="dim"))


def to_markdown(tables: Sequence[Table], level: int = 2) -> str:
    """Tables as Markdown sections, headings of the given level."""
    return "\n".join(_markdown(table, level) for table in tables)


def _markdown(table: Table, level: int) -> str:
    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("\n", "<br>")

    lines = [f"{'#' * level} {table.title}", ""]
    if table.caveats:
        lines += [f"**{caveat_line(table.caveats)}**", ""]
    lines += ["| " + " | ".join(map(cell, table.columns)) + " |", "|" + " --- |" * len(table.columns)]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in table.rows]
    lines += ["", *(f"- {note}" for note in table.notes), ""]
    return "\n".join(lines)


def to_latex(tables: Sequence[Table]) -> str:
    """Tables as plain ``tabular`` environments that need no package, each with its caveats and notes."""
    return "\n".join(_latex(table) for table in tables)


def _latex(table: Table) -> str:
    lines = [f"\\noindent\\textbf{{{escape_latex(table.title)}}}\\\\"]
    if table.caveats:
        lines.append(f"\\textbf{{{escape_latex(caveat_line(table.caveats))}}}\\\\")
    lines += [f"\\begin{{tabular}}{{{'l' * len(table.columns)}}}", "\\hline"]
    lines += [_latex_line(table.columns), "\\hline"]
    lines += [_latex_line(row) for row in table.rows]
    lines += ["\\hline", "\\end{tabular}", ""]
    lines += [f"\\noindent{{\\footnotesize {escape_latex(note)}\\par}}" for note in table.notes]
    return "\n".join([*lines, ""])


def _latex_line(cells: Sequence[str]) -> str:
    return "{}" + " & ".join(map(_latex_cell, cells)) + r" \\"


def _latex_cell(text: str) -> str:
    # Empty groups: a line that begins with "[42.2" would be read as the length of the \\ before it.
    lines = escape_latex(text).split("\n")
    return lines[0] if len(lines) == 1 else r"\shortstack[l]{" + r"\\{}".join(lines) + "}"


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
} | {character: f"\\{character}" for character in "&%$#_{}"}


def escape_latex(text: str) -> str:
    r"""Text in which every character that LaTeX would act on stands for itself.

    >>> print(escape_latex("50 % of a_b ± 1"))
    50 \% of a\_b $\pm$ 1
    """
    return re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match.group()], text)

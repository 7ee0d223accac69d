"""Drawing tables: in the terminal (rich), as Markdown and as LaTeX."""

import re
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from fer_transfer.files.names import shown_text
from fer_transfer.reports.cells import caveat_line
from fer_transfer.reports.missing import missing_lines
from fer_transfer.reports.report import Report
from fer_transfer.reports.tables import Table, main_tables


def to_terminal(report: Report, console: Console) -> None:
    """Print the report's tables."""
    if not report.groups:
        nothing = f"None of the rows of {report.study.title} has run: {report.store} holds no finished plan."
        console.print(_text(nothing, "bold"))
    for table in main_tables(report):
        _terminal(table, console)
    for line in missing_lines(report.missing, report.study.name):
        console.print(_text(line, "dim" if line.startswith("not run") else "bold"))


def _terminal(table: Table, console: Console) -> None:
    """Print one table with its caveats above and its notes below."""
    console.print()
    console.print(_text(table.title, "bold"))
    if table.caveats:
        console.print(_text(caveat_line(table.caveats), "bold red"))
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    for column in table.columns:
        drawn.add_column(_text(column), no_wrap=column == "Plan")  # the name is what a reader types next
    for row in table.rows:
        drawn.add_row(*(_text(cell, "dim" if cell == "not run" else "") for cell in row))
    console.print(drawn)
    for note in table.notes:
        console.print(_text(note, "dim"))


def _text(text: str, style: str = "") -> Text:
    """Text that does nothing to a terminal but stand there: rich passes escape sequences on."""
    return Text(shown_text(text), style=style)


def to_markdown(tables: Sequence[Table], level: int = 2) -> str:
    """Tables as Markdown sections, headings of the given level."""
    return "\n".join(_markdown(table, level) for table in tables)


def _markdown(table: Table, level: int) -> str:
    lines = [f"{'#' * level} {escape_markdown(table.title)}", ""]
    if table.caveats:
        lines += [f"**{escape_markdown(caveat_line(table.caveats))}**", ""]
    lines += [_markdown_line(table.columns), "|" + " --- |" * len(table.columns)]
    lines += [_markdown_line(row) for row in table.rows]
    lines += ["", *(f"- {escape_markdown(note)}" for note in table.notes), ""]
    return "\n".join(lines)


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(escape_markdown, cells)) + " |"


#: What Markdown would act on: no underscore within a word (names of plans), and no brackets that cannot become a link.
_MARKDOWN = re.compile(r"[\\`*|~$]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape_markdown(text: str) -> str:
    r"""Text that Markdown shows as it is, with its line breaks, within a line.

    >>> print(escape_markdown("fer28_emotiw | <b> *a*\n[x](y)"))
    fer28_emotiw \| &lt;b&gt; \*a\*<br>[x\](y)
    """
    escaped = _MARKDOWN.sub(r"\\\g<0>", re.sub("[&<>]", lambda match: _HTML[match.group()], shown_text(text)))
    return escaped.replace("\n", "<br>")


def to_latex(tables: Sequence[Table]) -> str:
    """Tables as plain ``tabular`` environments that need no package, each with its caveats and notes."""
    return "\n".join(_latex(table) for table in tables)


def _latex(table: Table) -> str:
    lines = [f"\\noindent\\textbf{{{_latex_line_of(table.title)}}}\\\\"]
    if table.caveats:
        lines.append(f"\\textbf{{{_latex_line_of(caveat_line(table.caveats))}}}\\\\")
    lines += [f"\\begin{{tabular}}{{{'l' * len(table.columns)}}}", "\\hline"]
    lines += [_latex_line(table.columns), "\\hline"]
    lines += [_latex_line(row) for row in table.rows]
    lines += ["\\hline", "\\end{tabular}", ""]
    lines += [f"\\noindent{{\\footnotesize {_latex_line_of(note)}\\par}}" for note in table.notes]
    return "\n".join([*lines, ""])


def _latex_line_of(text: str) -> str:
    """Without line breaks: an empty line would end what a command takes."""
    return escape_latex(text.replace("\n", " "))


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
    return re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match.group()], shown_text(text))

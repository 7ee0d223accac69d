"""The report's tables for a paper: LaTeX with booktabs, caption and label, one line a row."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fer_transfer.files.names import shown_text
from fer_transfer.reports.cells import caveat_line
from fer_transfer.reports.files import write_text
from fer_transfer.reports.report import Report
from fer_transfer.reports.table import Table, fitted, width_of
from fer_transfer.reports.tables import all_tables, confusion_tables

#: Characters of a line of a table that a page of one column holds in this size.
_WIDTH = 84

#: Points to each side of a column: less where there are many.
_GAPS = {True: 3, False: 2}

#: Tables that LaTeX keeps waiting for a place: more at once are an error of its own.
_WAITING = 12

_HEAD = """\
% Tables of fer-report. They need \\usepackage{booktabs} and pdfLaTeX, XeLaTeX or LuaLaTeX; \\input this file, or paste one table.
% What must stand beside the numbers is in the captions: leave it there.
"""


def write_latex(report: Report, out: Path) -> list[str]:
    """Write ``table.tex`` with every table and ``confusion.tex`` with the matrices; returns what it wrote.

    Raises:
        StoreError: if they cannot be written.
    """
    write_text(out / "table.tex", to_latex(all_tables(report)))
    write_text(out / "confusion.tex", to_latex(confusion_tables(report)))
    return ["table.tex", "confusion.tex"]


def to_latex(tables: Sequence[Table]) -> str:
    """Tables as floats; the caption holds title, caveats and legend, so that they cannot be left out when one is pasted."""
    parts, labels = [_HEAD], Counter[str]()
    for number, table in enumerate(tables, 1):
        own = label(table.name)
        labels[own] += 1
        own += f"-{labels[own]}" if labels[own] > 1 else ""
        parts += [_float(table, own), *(["\\clearpage\n"] if number % _WAITING == 0 else [])]
    return "\n".join(parts)


def _float(table: Table, own_label: str) -> str:
    shown, _ = fitted(table, _WIDTH)
    gap = _GAPS[width_of(shown) <= _WIDTH]
    kinds = "".join("r" if column.numbers else "l" for column in shown.columns)
    loud = f" \\textbf{{{_line_of(caveat_line(table.caveats))}}}" if table.caveats else ""
    told = "".join(f" {_line_of(text)}" for text in (*table.brief, *table.legend))
    notes = [f"\n\\par\\vspace{{3pt}}\\raggedright\\scriptsize {_line_of(note)}\\par" for note in table.notes]
    return "\n".join(
        [
            "\\begin{table}[htbp]",
            f"\\centering\\footnotesize\\setlength{{\\tabcolsep}}{{{gap}pt}}\\setlength{{\\belowcaptionskip}}{{4pt}}",
            f"\\caption[{{{_line_of(table.title)}}}]{{{_ended(_line_of(table.title))}{loud}{told}}}",
            f"\\label{{tab:{own_label}}}",
            f"\\begin{{tabular}}{{@{{}}{kinds}@{{}}}}",
            "\\toprule",
            *_heading(shown),
            "\\midrule",
            *(_row(row) for row in shown.rows),
            "\\bottomrule",
            "\\end{tabular}" + "".join(notes),
            "\\end{table}",
            "",
        ]
    )


def _ended(title: str) -> str:
    return title if title.endswith(".") else f"{title}."


def label(name: str) -> str:
    """A name as it may stand in a label.

    >>> label("plans-vgg_cnn_m_2048-1a#2b")
    'plans-vgg_cnn_m_2048-1a-2b'
    """
    return re.sub(r"[^A-Za-z0-9_+.]+", "-", name).strip("-")


def _heading(table: Table) -> list[str]:
    """The lines of the headings, one above the other."""
    parts = [column.heading.split("\n") for column in table.columns]
    most = max(map(len, parts))
    return [_row([of[number] if number < len(of) else "" for of in parts]) for number in range(most)]


def _row(cells: Sequence[str]) -> str:
    # An empty group: a line that begins with "[42.2" would be read as the length of the \\ before it.
    return "{}" + " & ".join(map(_line_of, cells)) + r" \\"


def _line_of(text: str) -> str:
    """Without line breaks: an empty line would end what a command takes."""
    return escape_latex(text.replace("\n", " "))


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "§": r"\S{}",
    '"': r"{\char34}",
    "`": r"{\char96}",
} | {character: f"\\{character}" for character in "&%$#_{}"}

#: Marks above a letter that LaTeX's own fonts have.
_ACCENTS = "\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327"


def escape_latex(text: str) -> str:
    r"""Text in which every character that LaTeX would act on, or has no letter for, stands for itself or its number.

    >>> print(escape_latex("50 % of a_b ± 1, Zoë, 中"))
    50 \% of a\_b $\pm$ 1, Zoë, U+4E2D
    """
    return "".join(_LATEX.get(character) or _known(character) for character in shown_text(text))


def _known(character: str) -> str:
    base, *marks = list(unicodedata.normalize("NFD", character))
    if base.isascii() and all(mark in _ACCENTS for mark in marks):
        return character
    return f"U+{ord(character):04X}"

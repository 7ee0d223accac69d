"""Records and predictions of others, with names that do something: a report shows them and does nothing."""

import contextlib
import csv
import html
import io
import re
import zipfile

import fake_store
import numpy as np
import pytest
from hostile import HOSTILE, acts_on_a_terminal, is_formula
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fer_transfer.cli.report import report
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.files.names import shown, shown_text
from fer_transfer.files.spreadsheet import escaped, unescaped
from fer_transfer.reports.markdown import escape_markdown
from fer_transfer.settings import compose

#: What a report writes itself.
_COMMANDS = {
    "begin",
    "end",
    "centering",
    "footnotesize",
    "setlength",
    "tabcolsep",
    "belowcaptionskip",
    "caption",
    "label",
}
_COMMANDS |= {"textbf", "toprule", "midrule", "bottomrule", "par", "vspace", "raggedright", "scriptsize", "clearpage"}
_COMMANDS |= {"textbackslash", "textasciitilde", "textasciicircum", "char", "pm", "dagger"}


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """The folder of a report about such a store, and what was printed."""
    folder = tmp_path_factory.mktemp("hostile")
    make = fake_store.make_predictions

    def renamed(split, *arguments):
        p = make(split, *arguments)
        ids = [*HOSTILE, "../x", "..\\y", "..", "/etc/z", *p.ids[len(HOSTILE) + 4 :].tolist()]
        return Predictions(np.array(ids), p.labels, p.found, p.probabilities)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fake_store, "make_predictions", renamed)
        for text in HOSTILE:
            settings = {text: text, "augment.crop": text}
            row = {"backbone": text, "notes": (text,), "settings": settings, "environment": {"device": text}}
            fake_store.add_row(folder / "store", text, 0.3, **row)
            fake_store.add_row(folder / "store", "emotiw", 0.3, **row)
    return folder


@pytest.fixture(scope="module")
def printed(reported):
    store, out = (f"{name}={reported / name}" for name in ("store", "out"))
    with contextlib.redirect_stdout(io.StringIO()) as said:
        report(compose("report", [store, out, "submission_zip=Team", "details=true"]))
    return said.getvalue()


def test_the_terminal(printed):
    assert not acts_on_a_terminal(printed)
    assert all(shown(text).split()[0][:6] in printed for text in HOSTILE if "\n" not in text)


def test_spreadsheets(printed, reported):
    cells = set()
    for path in (reported / "out").rglob("*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            cells |= {cell for row in csv.reader(file) for cell in row}
    assert not [cell for cell in cells if is_formula(cell)] and not [c for c in cells if acts_on_a_terminal(c)]
    assert {shown_text(text) for text in HOSTILE} <= {unescaped(cell) for cell in cells}
    assert escaped(HOSTILE[0]) in cells


def test_markdown(printed, reported):
    source = (reported / "out" / "table.md").read_text(encoding="utf-8")
    page = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").render(source)
    tags = {"h1", "h2", "h3", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "br"}
    assert set(re.findall(r"</?(\w+)", page)) == tags and "href" not in page
    text = html.unescape(re.sub(r"<[^>]*>", "", page.replace("<br>", "\n")))
    assert all(shown_text(name) in text for name in HOSTILE) and not acts_on_a_terminal(source)


def test_latex(printed, reported):
    sources = [(reported / "out" / name).read_text(encoding="utf-8") for name in ("table.tex", "confusion.tex")]
    source = "\n".join(line for text in sources for line in text.splitlines() if not line.startswith("% "))
    assert set(re.findall(r"\\([A-Za-z]+)", source)) <= _COMMANDS and not acts_on_a_terminal(source)
    plain = re.sub(r"\\[\\{}&%$#_]", "", source)
    assert plain.count("{") == plain.count("}") and plain.count("$") % 2 == 0 and "%" not in plain and "#" not in plain
    assert not re.search(r"\\(textbf|caption)\{[^{}]*\n\n", source)


def test_zips(printed, reported):
    paths = list((reported / "out" / "zips").glob("*/Team.zip"))
    assert len(paths) == 2 * len(HOSTILE)
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            assert len(names) == 372 and not [name for name in names if re.search(r'[/\\:*?"<>|]', name)]
            assert {"x.txt", ".._y.txt", "...txt", "z.txt", "a_[2Jb.txt"} <= set(names)
            assert not acts_on_a_terminal("".join(names) + archive.comment.decode())


@given(st.text(st.sampled_from("ab \\`*_[](){}<>|&~$!:#-\n"), max_size=12))
def test_markdown_shows_any_text_as_it_is(text):
    page = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .enable("strikethrough")
        .render(f"| {escape_markdown(text)} |\n| --- |\n")
    )
    [cell] = re.findall(r"<th>(.*)</th>", page)
    assert "<" not in cell.replace("<br>", "")
    assert html.unescape(cell.replace("<br>", "\n")).strip() == text.strip()

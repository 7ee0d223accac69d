"""Tables for a paper: any text keeps its place, and what is written compiles."""

import re
import shutil
import subprocess

import pytest
from fake_store import SYNTHETIC, add_row
from hostile import HOSTILE
from hypothesis import given
from hypothesis import strategies as st

from fer_transfer.cli.report import report
from fer_transfer.reports.latex import escape_latex, label, to_latex
from fer_transfer.reports.table import Column, Table
from fer_transfer.settings import compose

cells = st.text(st.sampled_from('ab|&%$#_{}~^\\<>±†‡§[1\n"`éz中'), max_size=8)
tables = st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=3).map(
    lambda rows: Table(
        "t_1", "a [title", ("emotiw: synthetic & drawn",), tuple(map(Column, ("a", "b\nc", "d"), zip(*rows, strict=True))),
        legend=("note #1",),
    )
)  # fmt: skip


@given(tables)
def test_rows_keep_their_columns_and_braces(table):
    text = to_latex([table])
    head, body = re.search(r"\\toprule\n(.*)\\midrule\n(.*)\\bottomrule", text, re.DOTALL).groups()
    lines = (head + body).splitlines()
    assert len(lines) == 2 + len(table.rows)
    for line in lines:
        active = re.sub(r"\\[\\{}&%$#_]", "", line)  # less what is escaped, and line ends
        assert active.count("&") == 2 and line.endswith(r" \\")
        assert active.count("{") == active.count("}") and active.count("$") % 2 == 0
        assert not re.search(r"\\\\\s*\[", line)


def test_caveats_and_legend_stand_in_the_caption_where_they_cannot_be_left_out():
    table = Table(
        "t", "Title", ("emotiw: synthetic & drawn",), (Column("a", ("1",)),), ("below",), ("legend",), ("more",)
    )
    [caption] = re.findall(r"^\\caption.*$", to_latex([table]), re.MULTILINE)
    assert r"\textbf{SYNTHETIC FACES. CAVEATS: emotiw: synthetic \& drawn}" in caption
    assert caption.endswith("below legend}") and "more" not in caption


def test_labels_differ():
    tables = [Table(name, name, (), (Column("a", ("1",)),)) for name in ("a+b", "a_b", "a|b", "a$b")]
    labels = re.findall(r"\\label\{(.*)\}", to_latex(tables))
    assert len(set(labels)) == 4 and not re.search(r"[^\w+.:-]", "".join(labels)) and label("a b") == "a-b"


def test_specials():
    assert escape_latex(r"a\b{c}~") == r"a\textbackslash{}b\{c\}\textasciitilde{}"


def rendered(folder, *names):
    """Compile a paper of files and commands; the log and the text of its pages."""
    if not shutil.which("pdflatex") or not shutil.which("pdftotext"):
        pytest.skip("needs pdflatex and pdftotext (Debian: texlive-latex-recommended, poppler-utils)")
    inputs = "".join(f"\\input{{{name}}}\n" if name.endswith(".tex") else f"{name}\n" for name in names)
    head = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
    paper = f"{head}{inputs}\\end{{document}}\n"
    (folder / "paper.tex").write_text(paper)
    for _ in range(2):  # the list of tables is read in the second
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper"],
            cwd=folder, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:]
    text = subprocess.run(["pdftotext", "-layout", "paper.pdf", "-"], cwd=folder, capture_output=True, text=True).stdout
    return done.stdout, text


def test_a_report_compiles_and_fits_on_the_page(tmp_path):
    for seed in (0, 1):
        for plan in ("emotiw", "fer28_emotiw", "fer32+emotiw"):
            add_row(tmp_path / "store", plan, 0.5, seed, backbone="bvlc_alexnet", keep="best" if seed else "last")
    report(compose("report", [f"store={tmp_path / 'store'}", f"out={tmp_path}"]))
    log, text = rendered(tmp_path, "table.tex", "confusion.tex")
    too_wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(too_wide, default=0) < 5, "points"
    words = " ".join(text.split())
    assert words.count("SYNTHETIC") >= 3 and SYNTHETIC in words and "VGG-CNN-M-2048" in words
    assert "multiply-defined" not in log and "2nd" in words and "±" in words


def test_hostile_names_compile(tmp_path):
    names = (*HOSTILE, "Zoë «中» 🙂 Ω ﬁ ½", '"quoted" `so\'', "\\", "a" * 150)
    for name in names:
        row = {"backbone": name, "notes": (name,), "settings": {name: name}, "environment": {"device": name}}
        add_row(tmp_path / "store", name, 0.3, **row)
    report(compose("report", [f"store={tmp_path / 'store'}", f"out={tmp_path}"]))
    _, text = rendered(tmp_path, "\\listoftables", "table.tex")
    assert "passwd" in text and "alert(1)" in text and "U+4E2D" in text

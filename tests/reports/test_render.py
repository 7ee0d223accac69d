import re

from hypothesis import given
from hypothesis import strategies as st

from fer_transfer.reports.render import escape_latex, to_latex, to_markdown
from fer_transfer.reports.tables import Table

cells = st.text(st.sampled_from("ab|&%$#_{}~^\\<>±†[1\n"), max_size=8)
tables = st.lists(st.tuples(cells, cells, cells), max_size=3).map(
    lambda rows: Table("t_1", ("emotiw: synthetic & drawn",), ("a", "b\nc", "d"), tuple(rows), ("note #1",))
)


@given(tables)
def test_latex_rows_keep_their_columns_and_braces(table):
    text = to_latex([table])
    body = text.split("\\hline\n")[1:-1]
    lines = [line for part in body for line in part.splitlines()]
    assert len(lines) == len(table.rows) + 1
    for line in lines:
        active = re.sub(r"\\[\\{}&%$#_]", "", line)  # less what is escaped, and line ends
        assert active.count("&") == 2 and line.endswith(r" \\")
        assert active.count("{") == active.count("}") and active.count("$") % 2 == 0
        assert not re.search(r"\\\\\s*\[", line)
    assert r"SYNTHETIC FACES. CAVEATS: emotiw: synthetic \& drawn" in text


@given(tables)
def test_markdown_rows_keep_their_columns(table):
    lines = [line for line in to_markdown([table]).splitlines() if line.startswith("|")]
    assert len(lines) == len(table.rows) + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}


def test_latex_specials():
    assert escape_latex(r"a\b{c}~") == r"a\textbackslash{}b\{c\}\textasciitilde{}"

import re

from hypothesis import given
from test_latex import tables

from fer_transfer.reports.markdown import to_markdown


@given(tables)
def test_markdown_rows_keep_their_columns(table):
    lines = [line for line in to_markdown([table]).splitlines() if line.startswith("|")]
    assert len(lines) == len(table.rows) + 2
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}

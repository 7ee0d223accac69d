"""What there is no number for, and why."""

from fer_transfer.reports.page.blocks import Cell, DataTable, Section, Words
from fer_transfer.reports.report import Report


def section(report: Report) -> Section:
    """A table of what is damaged, failed, unfinished, of other data sets, or was never run."""
    if not report.missing:
        return Section(
            "missing",
            "What is missing",
            (Words("Nothing: every row of the study has run, and all of it could be read."),),
        )
    rows = tuple((Cell(one.what), Cell(one.kind), Cell(one.why)) for one in report.missing)
    table = DataTable("What is not in this report", ("What", "State", "Why, and what to do"), rows, sortable=True)
    return Section("missing", "What is missing", (table,))

"""The published table beside ours: a picture of the first column, and every number."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.reports.cells import is_selected, level_text
from fer_transfer.reports.page.blocks import Block, Cell, DataTable, Figure, Section, Words
from fer_transfer.reports.page.charts import chart_of, of_whom, percents, spec, two_colours, two_lines
from fer_transfer.reports.page.lines import Line, lines_of, network, not_run, over
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import base_plan
from fer_transfer.reports.scores import Score
from fer_transfer.study import Numbers, Published, Reported

_WHOSE = ("ours", "published")


def section(report: Report) -> Section:
    """The table of rows."""
    lines = lines_of(report)
    blocks: list[Block] = []
    if any(isinstance(line.score(report.study.first), Score) for line in lines):
        blocks.append(_figure(report, lines))
    if lines or report.published:
        blocks.append(_table(report, lines))
    else:
        blocks.append(Words("No row has run yet, and the study has no published numbers."))
    return Section("rows", "The rows", tuple(blocks), f"{report.study.title} beside ours. A heading sorts the table.")


def _figure(report: Report, lines: Sequence[Line]) -> Figure:
    """Ours and the published score of each row that ran, with intervals."""
    values = [value for line in lines for value in _drawn(report, line)]
    caption = f"Accuracy on {over(report)}: point and {level_text(report.level)} interval, ours and published."
    return Figure(_intervals(), {"scores": values}, caption, f"{caption} The table below has every number.")


@cache
def _intervals() -> dict[str, Any]:
    base = chart_of("scores").encode(
        y=alt.Y("row:N", sort=None, title=None, axis=two_lines()),
        yOffset=of_whom(*_WHOSE),
        color=two_colours(*_WHOSE),
        tooltip=["row:N", "whose:N", "percent:Q", "interval:N"],
    )
    x = percents("low", "Accuracy, %")
    shape = alt.Shape("whose:N", scale=alt.Scale(domain=list(_WHOSE), range=["circle", "diamond"]))
    interval = base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q")
    return spec(
        interval + base.mark_point(filled=True, size=70, opacity=1).encode(x="percent:Q", shape=shape),
        height=alt.Step(16),
    )


def _drawn(report: Report, line: Line) -> list[dict[str, Any]]:
    found, values = line.score(report.study.first), []
    if isinstance(found, Score):
        values.append(_value(line.label, "ours", found.percent[0], *found.interval(report.level)))
    if line.published and report.study.first.published:
        percent, k, n = line.published.numbers[report.study.first.published]
        if percent is not None:
            interval = _percents(k, n, report.level) or (percent, percent)
            values.append(_value(line.label, "published", percent, *interval))
    return values


def _value(row: str, whose: str, percent: float, low: float, high: float) -> dict[str, Any]:
    interval = f"{low:.1f} to {high:.1f}"
    return {"row": row, "whose": whose, "percent": round(percent, 2), "low": low, "high": high, "interval": interval}


def _percents(k: int | None, n: int | None, level: float) -> tuple[float, float] | None:
    if k is None or n is None:
        return None
    low, high = wilson_interval(k, n, level)
    return 100 * low, 100 * high


def _table(report: Report, lines: Sequence[Line]) -> DataTable:
    columns = report.study.reported
    headings = [text for column in columns for text in _headings(column, report)]
    rows = [_ours(report, line) for line in lines] + [_published(report, row) for row in not_run(report, lines)]
    notes = [
        f"Percent; k/n: faces right of faces; Wilson {level_text(report.level)} intervals in brackets, over several seeds that "
        "of the mean. ± is the standard deviation over seeds. Macro recall: mean of the recalls of the expressions.",
        report.study.footnote,
    ]
    return DataTable(
        f"{report.study.title} and ours",
        ("Network, plan", "Sub.", *headings, f"Macro recall\n{over(report)}"),
        tuple(rows),
        tuple(filter(None, notes)),
        sortable=True,
    )


def _headings(column: Reported, report: Report) -> list[str]:
    both = sum(other.split == column.split for other in report.study.reported) > 1
    faces = f"\n{column.over} faces" if both else ""
    published = [f"{column.heading}, published{faces}"] if column.published else []
    return [*published, f"{column.heading}, ours{faces}"]


def _ours(report: Report, line: Line) -> tuple[Cell, ...]:
    """A row that ran: what is shortened or stood in for stands under its name."""
    name = Cell(f"{line.network}, {line.plan}", (line.seeds, *_group_of(line), *line.caveats))
    cells = [cell for column in report.study.reported for cell in _beside(report, line, column)]
    found = line.score(report.study.first)
    macro = _macro(found) if isinstance(found, Score) else Cell(found, key="", tone="quiet")
    return (name, _submission(line.published), *cells, macro)


def _group_of(line: Line) -> list[str]:
    """Which group it is of, where its network has several."""
    return [f"settings {line.group.settings_id[:8]}"] if line.network.endswith("]") else []


def _beside(report: Report, line: Line, column: Reported) -> list[Cell]:
    """The published cell of a column, where it has any, and ours."""
    ours = _score(
        line.score(column),
        report.level,
        is_selected(line.rows, column.split),
        any(r.is_part(column.split) for r in line.rows),
    )
    if not column.published:
        return [ours]
    return [
        _number(line.published.numbers[column.published], report.level) if line.published else Cell("-", key=""),
        ours,
    ]


def _score(found: Score | str, level: float, selected: bool, part: bool) -> Cell:
    if isinstance(found, str):
        return Cell(found, key="", tone="quiet")
    mean, spread = found.percent
    low, high = found.interval(level)
    k = f"{min(found.correct)}..{max(found.correct)}" if len(found.seeds) > 2 else ", ".join(map(str, found.correct))
    text = f"{mean:.1f}" if len(found.seeds) == 1 else f"{mean:.1f} ± {spread:.1f}"
    said = [*(["epoch chosen here: optimistic"] if selected else []), *(["a part of the split only"] if part else [])]
    return Cell(text, (f"{k}/{max(found.count)}", f"[{low:.1f}, {high:.1f}]", *said), key=mean)


def _number(numbers: Numbers, level: float) -> Cell:
    percent, k, n = numbers
    if percent is None:
        return Cell("-", key="", tone="quiet")
    interval = _percents(k, n, level)
    under = (f"{k}/{n}", f"[{interval[0]:.1f}, {interval[1]:.1f}]") if interval else ()
    return Cell(f"{percent:.1f}" if round(percent, 1) == percent else f"{percent:g}", under, key=percent)


def _macro(found: Score) -> Cell:
    mean, spread = found.macro_percent
    return Cell(f"{mean:.1f}" if len(found.seeds) == 1 else f"{mean:.1f} ± {spread:.1f}", key=mean)


def _submission(row: Published | None) -> Cell:
    number = row.submission if row and row.submission.isdigit() else ""
    return Cell(number or "-", key=float(number) if number else "")


def _published(report: Report, row: Published) -> tuple[Cell, ...]:
    """A published row that was not run here."""
    cells: list[Cell] = []
    for column in report.study.reported:
        cells += [_number(row.numbers[column.published], report.level)] if column.published else []
        cells.append(Cell("not run", key="", tone="quiet"))
    name = Cell(f"{network(report, row.backbone)}, {base_plan(row.plan)}", ("published only",))
    return (name, _submission(row), *cells, Cell("not run", key="", tone="quiet"))

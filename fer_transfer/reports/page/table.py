"""The published table beside ours: a picture of the first column, and every number."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.published import Numbers, Published
from fer_transfer.reports.cells import (
    columns_shown,
    counted_text,
    heading_of,
    interval_text,
    level_text,
    macro_text,
    marks_notes,
    marks_of,
    percent_text,
    published_counted,
    published_interval,
    published_networks,
    published_row,
    published_text,
)
from fer_transfer.reports.page.blocks import Block, Cell, DataTable, Figure, Section, Words
from fer_transfer.reports.page.charts import both, chart_of, of_lines, of_whom, percents, said, spec, two_colours
from fer_transfer.reports.page.lines import Line, lines_of, network, not_run, over
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import base_plan
from fer_transfer.reports.scores import Score
from fer_transfer.study import Reported

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
    beside = f"{report.study.title} beside ours. " if report.published else ""
    return Section("rows", "The rows", tuple(blocks), f"{beside}A heading sorts the table.")


def _figure(report: Report, lines: Sequence[Line]) -> Figure:
    """Ours and the published score of each row that ran, with intervals."""
    values = [value for line in lines for value in _drawn(report, line)]
    caption = f"Accuracy on {over(report)}: point and {level_text(report.level)} interval, {said(values)}."
    caption += _of_others(report, lines)
    return Figure(_intervals(both(values)), {"scores": values}, caption, f"{caption} The table below has every number.")


def _of_others(report: Report, lines: Sequence[Line]) -> str:
    """That published numbers of other networks are not drawn beside ours, where there are such."""
    networks = published_networks(report.study)
    foreign = dict.fromkeys(line.network for line in lines if line.group.backbone not in networks)
    given = report.study.first.published and any(_others(report, line, report.study.first).key != "" for line in lines)
    if not (foreign and given):
        return ""
    return f" Nothing is published of {', '.join(foreign)}; the table has the numbers of {' and '.join(networks.values())}."


@cache
def _intervals(legend: bool) -> dict[str, Any]:
    base = chart_of("scores").encode(
        y=alt.Y("row:N", sort=None, title=None, axis=of_lines(2)),
        yOffset=of_whom(*_WHOSE),
        color=two_colours(*_WHOSE, legend=legend),
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
            low, high = (percent / 100,) * 2 if k is None or n is None else wilson_interval(k, n, report.level)
            values.append(_value(line.label, "published", percent, 100 * low, 100 * high))
    return values


def _value(row: str, whose: str, percent: float, low: float, high: float) -> dict[str, Any]:
    interval = f"{low:.1f} to {high:.1f}"
    return {"row": row, "whose": whose, "percent": round(percent, 2), "low": low, "high": high, "interval": interval}


def _table(report: Report, lines: Sequence[Line]) -> DataTable:
    columns = columns_shown(report.study, report.groups)
    headings = [
        heading_of(of, columns, whose) for of in columns for whose in (*(_WHOSE[1:] if of.published else []), _WHOSE[0])
    ]
    rows = [_ours(report, line, columns) for line in lines]
    rows += [_published(report, row, columns) for row in not_run(report, lines)]
    notes = [
        f"Percent; k/n: faces right of faces; Wilson {level_text(report.level)} intervals in brackets, over several seeds that "
        f"of the mean. ± is the standard deviation over seeds. Macro recall: mean of the recalls of the {report.words[1]}.",
        report.study.footnote,
        *marks_notes([[cell.text for cell in row] for row in rows]),
    ]
    headings = ["Network, plan", "Sub.", *headings, f"Macro recall, {report.study.first.heading}\nours"]
    if all(row[1].key == "" for row in rows):  # nothing that was submitted under a number
        headings, rows = [headings[0], *headings[2:]], [(row[0], *row[2:]) for row in rows]
    return DataTable(
        f"{report.study.title} and ours" if report.published else report.study.title,
        tuple(headings),
        tuple(rows),
        tuple(filter(None, notes)),
        sortable=True,
    )


def _ours(report: Report, line: Line, columns: Sequence[Reported]) -> tuple[Cell, ...]:
    """A row that ran: what is shortened or stood in for stands under its name."""
    made_of = [line.made_of] if line.made_of else []
    name = Cell(line.name, (line.seeds, *made_of, *_group_of(report, line), *line.caveats))
    cells = [cell for column in columns for cell in _beside(report, line, column)]
    found, marks = line.score(report.study.first), marks_of(line.rows, report.study.first.split)
    macro = Cell(macro_text(found, marks), key="" if isinstance(found, str) else found.macro_percent[0])
    return (name, _submission(line.published), *cells, macro)


def _group_of(report: Report, line: Line) -> list[str]:
    """Which group it is of, where its network has several, and in what that differs."""
    if not line.network.endswith("]"):
        return []
    return [": ".join(filter(None, (f"settings {line.group.settings_id[:8]}", report.apart[line.group])))]


def _beside(report: Report, line: Line, column: Reported) -> list[Cell]:
    """The published cell of a column, where it has any, and ours."""
    found, marks = line.score(column), marks_of(line.rows, column.split)
    if isinstance(found, str):
        ours = Cell(found, key="", tone="quiet")
    else:
        under = (counted_text(found), interval_text(found, report.level))
        ours = Cell(percent_text(found, marks), under, key=found.percent[0])
    if not column.published:
        return [ours]
    row = line.published
    return [_number(row.numbers[column.published], report.level) if row else _others(report, line, column), ours]


def _others(report: Report, line: Line, column: Reported) -> Cell:
    """What is published of the same plan with the study's own networks, for a network that is none of them."""
    networks = report.study.networks
    rows = [published_row(report.published, backbone, base_plan(line.plan)) for backbone in networks]
    numbers = [row.numbers[column.published] if row and column.published else None for row in rows]
    known = [of[0] for of in numbers if of and of[0] is not None]
    if not known:
        return Cell("-", key="", tone="quiet")
    return Cell(" / ".join(map(published_text, numbers)), (" / ".join(networks.values()),), key=known[0], tone="quiet")


def _number(numbers: Numbers, level: float) -> Cell:
    under = tuple(filter(None, (published_counted(numbers), published_interval(numbers, level))))
    return Cell(published_text(numbers), under, key="" if numbers[0] is None else numbers[0])


def _submission(row: Published | None) -> Cell:
    number = row.submission if row and row.submission.isdigit() else ""
    return Cell(number or "-", key=float(number) if number else "")


def _published(report: Report, row: Published, columns: Sequence[Reported]) -> tuple[Cell, ...]:
    """A published row that was not run here."""
    nothing = Cell("not run", key="", tone="quiet")
    cells: list[Cell] = []
    for column in columns:
        cells += [*([_number(row.numbers[column.published], report.level)] if column.published else []), nothing]
    is_given = any(percent is not None for percent, _, _ in row.numbers.values())
    under = "published only" if is_given else "neither run nor published"
    name = Cell(f"{network(report, row.backbone)}, {base_plan(row.plan)}", (under,))
    return (name, _submission(row), *cells, nothing)

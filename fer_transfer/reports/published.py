"""The table of the published rows in the paper's layout, ours beside them."""

from collections.abc import Iterator, Sequence

from fer_transfer.published import Published
from fer_transfer.reports.cells import (
    caveat_line,
    columns_shown,
    counted_text,
    has_numbers,
    heading_of,
    interval_text,
    legend_of,
    marks_notes,
    marks_of,
    percent_text,
    published_counted,
    published_interval,
    published_text,
    seeds_text,
)
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Group, base_plan
from fer_transfer.reports.scores import score
from fer_transfer.reports.table import Column, Table
from fer_transfer.study import Reported

#: How soon a column is left out of a narrow table: the paper's own counts first.
_PAPERS_COUNTED, _PAPERS_INTERVAL, _COUNTED, _SEEDS, _INTERVAL = 10, 9, 4, 3, 2


def published_table(report: Report) -> Table:
    """The published rows in their order, each beside ours; one that was run with several settings has several lines."""
    study = report.study
    lines = list(_beside(report))
    used = list({id(group): group for _, group, _ in lines if group}.values())
    columns = [
        column for column in columns_shown(study, report.groups) if column.published or (column is study.first and used)
    ]
    rows = [row for row, _, _ in lines]
    several = len(used) > 1
    cells = [
        Column("Sub.", tuple(row.submission if row.submission.isdigit() else "-" for row in rows), numbers=False),
        *_published_names(rows),
        *(
            [
                Column(
                    "Run", tuple(f"[{used.index(group) + 1}]" if group else "" for _, group, _ in lines), numbers=False
                )
            ]
            if several
            else []
        ),
        *(of for n, column in enumerate(columns) for of in _pair(lines, column, columns, report, 20 * n)),
    ]
    named = [f"[{n}] {group.title}. {caveat_line(group.caveats)}".strip() for n, group in enumerate(used, 1) if several]
    texts = tuple(cell for column in cells for cell in column.cells)
    return Table(
        f"published-{study.name}",
        f"The published rows ({study.title})" + (" and ours" if used else ""),
        tuple(dict.fromkeys(caveat for group in used for caveat in group.caveats)),
        tuple(cells),
        brief=tuple(filter(None, (*named, study.footnote))),
        legend=(legend_of(report.study, report.level, report.words[1]), *marks_notes([texts])),
    )


_Line = tuple[Published, Group | None, str]


def _beside(report: Report) -> Iterator[_Line]:
    """Published rows, each with the group and plan of ours that it stands beside."""
    for row in report.published:
        matching = [
            (group, plan)
            for group in report.groups
            for plan in group.plans(report.study)
            if group.backbone == row.backbone and base_plan(plan) == row.plan and group.of(plan)
        ]
        for group, plan in matching:
            yield row, group, plan
        if not matching:
            yield row, None, row.plan


def _published_names(rows: Sequence[Published]) -> Iterator[Column]:
    """Architecture and what it was fine-tuned on, in the paper's words; network and plan where the file has none."""
    yield Column("Architecture", tuple(row.architecture or row.backbone for row in rows), numbers=False)
    most = max((len(row.stages) for row in rows), default=0)
    for number in range(most):
        cells = tuple(row.stages[number] if number < len(row.stages) else "-" for row in rows)
        yield Column(f"{_ordinal(number + 1)}\nfine-tune", cells, numbers=False)
    if not most:
        yield Column("Plan", tuple(row.plan for row in rows), numbers=False)


def _ordinal(number: int) -> str:
    """A place in a row.

    >>> [_ordinal(n) for n in (1, 2, 3, 4, 11, 22)]
    ['1st', '2nd', '3rd', '4th', '11th', '22nd']
    """
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"


def _pair(
    lines: Sequence[_Line], column: Reported, columns: Sequence[Reported], report: Report, spare: int
) -> Iterator[Column]:
    """The paper's numbers of one of the columns, and ours beside them where any plan ran."""
    level = report.level
    if column.published:
        numbers = [row.numbers[column.published] for row, _, _ in lines]
        yield Column(heading_of(column, columns, "paper"), tuple(map(published_text, numbers)))
        yield Column(
            "interval\npaper", tuple(published_interval(of, level) for of in numbers), spare + _PAPERS_INTERVAL
        )
        yield Column("k/n\npaper", tuple(map(published_counted, numbers)), spare + _PAPERS_COUNTED)
    if not any(group for _, group, _ in lines):
        return
    found = [
        score(group.of(plan) if group else (), column.split, column.over) if row.plan in report.study.plans else "-"
        for row, group, plan in lines
    ]
    marks = [marks_of(group.of(plan), column.split) if group else "" for _, group, plan in lines]
    percents = tuple(percent_text(one, of) for one, of in zip(found, marks, strict=True))
    yield Column(heading_of(column, columns, "ours"), percents)
    if has_numbers(found):
        yield Column("interval\nours", tuple(interval_text(one, level) for one in found), spare + _INTERVAL)
        yield Column("k/n\nours", tuple(map(counted_text, found)), spare + _COUNTED)
        yield Column("Seeds\nours", tuple(map(seeds_text, found)), spare + _SEEDS)

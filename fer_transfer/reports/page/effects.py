"""What one more stage of fine-tuning, and more data in a stage, change: pairs of rows that differ in this alone."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import permutations
from typing import Any

import altair as alt

from fer_transfer.reports.page.blocks import Block, Cell, DataTable, Figure, Section
from fer_transfer.reports.page.charts import both, chart_of, of_lines, of_whom, percents, said, spec, two_colours
from fer_transfer.reports.page.lines import Line, lines_of, over
from fer_transfer.reports.report import Report
from fer_transfer.reports.scores import Score

_WHOSE = ("ours", "published")

#: Of each stage of a row, by digest of the faces, the splits that it was trained on.
Chain = tuple[frozenset[tuple[str, str]], ...]


def section(report: Report) -> Section | None:
    """Two pictures, each where there are such pairs."""
    lines = [
        line for line in lines_of(report) if not line.made_of and isinstance(line.score(report.study.first), Score)
    ]
    kinds = {
        "One more stage of fine-tuning": _one_stage_more,
        "More data in a stage": _more_data,
    }
    blocks: list[Block] = [
        _figure(report, title, pairs) for title, of in kinds.items() if (pairs := list(_pairs(lines, of)))
    ]
    if not blocks:
        return None
    lead = f"Accuracy on {over(report)}: from the hollow point to the filled one. Claims say what is more than chance."
    return Section("effects", "Fine-tuning and data", tuple(blocks), lead)


def _pairs(lines: Sequence[Line], differ: Callable[[Chain, Chain], bool]) -> Iterator[tuple[Line, Line]]:
    """Rows of one group, the second with more than the first."""
    return (
        (one, other)
        for one, other in permutations(lines, 2)
        if one.group is other.group and differ(_chain(one), _chain(other))
    )


def _chain(line: Line) -> Chain:
    stages = line.rows[0].record.own_stages
    return tuple(
        frozenset((used.digest, split) for used in stage.faces for split in used.trained_on) for stage in stages
    )


def _one_stage_more(one: Chain, other: Chain) -> bool:
    return len(other) == len(one) + 1 and other[:-1] == one


def _more_data(one: Chain, other: Chain) -> bool:
    """Whether they differ in one stage, which has all data of the first and more."""
    differing = [(a, b) for a, b in zip(one, other, strict=False) if a != b]
    return len(one) == len(other) and len(differing) == 1 and differing[0][0] < differing[0][1]


def _figure(report: Report, title: str, pairs: Sequence[tuple[Line, Line]]) -> Figure:
    values = [value for pair in pairs for value in _values(report, *pair)]
    caption = f"{title}: accuracy before and after, {said(values)}."
    changes = "; ".join(f"{_in_line(v['pair'])}, {v['whose']}: {v['before']:.1f} to {v['after']:.1f} %" for v in values)
    return Figure(_chart(both(values)), {"pairs": values}, caption, f"{caption} {changes}.", _table(title, values))


@cache
def _chart(legend: bool) -> dict[str, Any]:
    base = chart_of("pairs").encode(
        y=alt.Y("pair:N", sort=None, title=None, axis=of_lines(3)),
        yOffset=of_whom(*_WHOSE),
        color=two_colours(*_WHOSE, legend=legend),
        tooltip=["pair:N", "whose:N", "before:Q", "after:Q", "difference:Q"],
    )
    x = percents("before", "Accuracy, %")
    way = base.mark_rule(strokeWidth=2).encode(x=x, x2="after:Q")
    start = base.mark_point(filled=False, size=55, opacity=1, fill="var(--page)", strokeWidth=2).encode(x=x)
    return spec(way + start + base.mark_point(filled=True, size=80, opacity=1).encode(x="after:Q"), height=alt.Step(20))


def _values(report: Report, one: Line, other: Line) -> Iterator[dict[str, Any]]:
    pair = f"{one.plan}\n→ {other.plan}\n{one.network}"
    for whose, percent in zip(_WHOSE, (_ours, _published), strict=True):
        before, after = percent(report, one), percent(report, other)
        if before is not None and after is not None:
            difference = round(after - before, 1)
            yield {
                "pair": pair,
                "whose": whose,
                "before": round(before, 2),
                "after": round(after, 2),
                "difference": difference,
            }


def _ours(report: Report, line: Line) -> float | None:
    found = line.score(report.study.first)
    return found.percent[0] if isinstance(found, Score) else None


def _published(report: Report, line: Line) -> float | None:
    column = report.study.first.published
    return line.published.numbers[column][0] if line.published and column else None


def _table(title: str, values: Sequence[dict[str, Any]]) -> DataTable:
    rows = [
        (
            Cell(_in_line(v["pair"])),
            Cell(v["whose"]),
            *(Cell(f"{v[name]:.1f}") for name in ("before", "after")),
            Cell(f"{v['difference']:+.1f}"),
        )
        for v in values
    ]
    return DataTable(title, ("From → to", "Whose", "Before, %", "After, %", "Difference, points"), tuple(rows))


def _in_line(label: str) -> str:
    return label.replace("\n→", " →").replace("\n", ", ")

"""Recall of each expression on the study's first column, with intervals: a network that never says one shows here."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.reports.cells import level_text
from fer_transfer.reports.page.blocks import Beside, Cell, DataTable, Figure, Section
from fer_transfer.reports.page.charts import both, chart_of, spec, two_colours
from fer_transfer.reports.page.lines import Line, lines_of, over
from fer_transfer.reports.report import Report

_WHOSE = ("ours", "published")


def section(report: Report) -> Section | None:
    """One chart for each row that has labelled predictions."""
    lines = lines_of(report)
    figures = [figure for line in lines if (figure := _figure(report, line)) is not None]
    if not figures:
        return None
    word, _ = report.words
    lead = (
        f"Share of the faces of each {word} that are recognised, {over(report)}; Wilson {level_text(report.level)} "
        "intervals, over several seeds that of the mean. Published where the paper gives the matrix."
    )
    return Section("recall", f"Recall by {word}", (Beside("By row", tuple(figures)),), lead)


def _figure(report: Report, line: Line) -> Figure | None:
    ours, published = line.matrix(report), line.published_matrix(report)
    if ours is None:
        return None
    pairs = zip(_WHOSE, (ours, published), strict=True)
    names = line.names(report)
    values = [
        value for whose, matrix in pairs if matrix is not None for value in _values(whose, matrix, names, report.level)
    ]
    caption = f"Recall by {report.words[0]}: {line.name}, {line.seeds}"
    data = {"recalls": [value for value in values if value["n"]]}
    return Figure(_chart(both(values)), data, f"{caption}.", _said(caption, values), _table(caption, values), "small")


@cache
def _chart(legend: bool) -> dict[str, Any]:
    whose = list(_WHOSE) if legend else [_WHOSE[0]]
    base = chart_of("recalls").encode(
        y=alt.Y("class:N", sort=None, title=None),
        yOffset=alt.YOffset("whose:N", sort=whose, scale=alt.Scale(domain=whose)),
        color=two_colours(*_WHOSE, legend=legend),
        tooltip=["class:N", "whose:N", "recall:Q", "interval:N", "n:Q"],
    )
    x = alt.X("low:Q", title="Recall, %", scale=alt.Scale(domain=[0, 100]))
    point = base.mark_point(filled=True, size=50, opacity=1).encode(x="recall:Q")
    return spec(base.mark_rule(strokeWidth=2).encode(x=x, x2="high:Q") + point, height=alt.Step(12 if legend else 24))


def _values(whose: str, matrix: NDArray[np.float64], names: Sequence[str], level: float) -> list[dict[str, Any]]:
    values = []
    for i, name in enumerate(names):
        n, k = round(matrix[i].sum()), float(matrix[i, i])
        low, high = (100 * end for end in wilson_interval(k, n, level))
        recall = round(100 * k / n, 1) if n else None
        values.append(
            {
                "class": name,
                "whose": whose,
                "recall": recall,
                "n": n,
                "low": low,
                "high": high,
                "interval": f"{low:.0f} to {high:.0f}",
            }
        )
    return values


def _said(caption: str, values: Sequence[dict[str, Any]]) -> str:
    ours = ", ".join(
        f"{v['class']} {v['recall']:.0f} %" if v["n"] else f"{v['class']}: no face"
        for v in values
        if v["whose"] == "ours"
    )
    return f"{caption}. {ours}."


def _table(caption: str, values: Sequence[dict[str, Any]]) -> DataTable:
    rows = [
        (
            Cell(v["class"]),
            Cell(v["whose"]),
            Cell(str(v["n"])),
            Cell(f"{v['recall']:.1f}" if v["n"] else "-"),
            Cell(v["interval"] if v["n"] else "-"),
        )
        for v in values
    ]
    return DataTable(caption, ("Class", "Whose", "Faces", "Recall, %", "Interval, %"), tuple(rows))

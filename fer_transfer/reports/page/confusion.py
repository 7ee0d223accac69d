"""Confusion matrices on the study's first column: ours in counts and in rates, the published one, and the difference."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from fer_transfer.reports.page.blocks import Beside, Block, Cell, DataTable, Figure, Section
from fer_transfer.reports.page.charts import chart_of, spec
from fer_transfer.reports.page.lines import Line, lines_of, over
from fer_transfer.reports.report import Report

Matrix = NDArray[np.float64]


def section(report: Report) -> Section | None:
    """Matrices of each row that has labelled predictions."""
    blocks = [
        _matrices(line, line.names(report), matrix, line.published_matrix(report))
        for line in lines_of(report)
        if (matrix := line.matrix(report)) is not None
    ]
    if not blocks:
        return None
    lead = (
        f"{over(report)}: rows are the truth, columns the prediction. Rates are percent of the faces that bear the "
        f"{report.words[0]}. Over several seeds counts are means."
    )
    return Section("confusion", "Confusion matrices", tuple(blocks), lead)


def _matrices(line: Line, names: Sequence[str], ours: Matrix, published: Matrix | None) -> Block:
    figures = [_rates(f"Ours, rates: {line.name}", rates(ours), names)]
    if published is not None:
        figures += [
            _rates(f"Published, rates: {line.name}", rates(published), names),
            _figure(
                f"Ours less published, points: {line.name}",
                "points",
                rates(ours) - rates(published),
                names,
                100.0,
                signed=True,
            ),
        ]
    figures.append(_counts(f"Ours, counts: {line.name}", ours, names))
    if published is not None:
        figures.append(_counts(f"Published, counts: {line.name}", published, names))
    return Beside(
        f"{line.name}, {line.seeds}", tuple(figures), "" if published is None else "The paper gives this row's matrix."
    )


def rates(matrix: Matrix) -> Matrix:
    """Percent of each row; nan for an expression that no face bears."""
    counts = matrix.sum(axis=1, keepdims=True)
    result: Matrix = np.full(matrix.shape, np.nan)
    np.divide(100 * matrix, counts, out=result, where=counts > 0)
    return result


def _rates(caption: str, matrix: Matrix, names: Sequence[str]) -> Figure:
    return _figure(caption, "rates, %", matrix, names, 100.0)


def _counts(caption: str, matrix: Matrix, names: Sequence[str]) -> Figure:
    return _figure(caption, "counts", matrix, names, matrix.sum(axis=1, keepdims=True))


def _figure(
    caption: str, unit: str, matrix: Matrix, names: Sequence[str], full: Matrix | float, *, signed: bool = False
) -> Figure:
    """A heat map; the darker a cell, the larger its share of ``full``; below nought in the other colour."""
    shares = np.nan_to_num(np.abs(matrix) / np.maximum(full, 1e-9))
    values = [
        _cell(names[truth], names[says], float(matrix[truth, says]), float(shares[truth, says]), signed)
        for truth in range(len(names))
        for says in range(len(names))
    ]
    says = _said(caption, matrix, names, unit)
    numbers = _table(caption, matrix, names, signed)
    return Figure(_heat_map(unit), {"cells": values}, f"{caption}.", says, numbers, printed=False, size="small")


@cache
def _heat_map(unit: str) -> dict[str, Any]:
    bare = partial(alt.Axis, ticks=False, domain=False)
    base = chart_of("cells").encode(
        x=alt.X("prediction:N", sort=None, title="Prediction", axis=bare(orient="top", labelAngle=-90)),
        y=alt.Y("truth:N", sort=None, title="Truth", axis=bare()),
        tooltip=["truth:N", "prediction:N", alt.Tooltip("value:Q", title=unit)],
    )
    cells = base.mark_rect(stroke="var(--line)").encode(
        color=alt.condition("datum.value < 0", alt.value("var(--heat-below)"), alt.value("var(--heat)")),
        fillOpacity=alt.FillOpacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0, 0.7]), legend=None),
    )
    return spec(cells + base.mark_text(fontSize=11).encode(text="text:N"), height=alt.Step(25))


def _cell(truth: str, says: str, value: float, share: float, signed: bool) -> dict[str, Any]:
    number = None if np.isnan(value) else round(value, 2)
    return {"truth": truth, "prediction": says, "value": number, "share": round(share, 3), "text": _text(value, signed)}


def _text(value: float, signed: bool) -> str:
    """Whole numbers: the table of numbers has a decimal."""
    if np.isnan(value):
        return "-"
    return f"{round(value):+}" if signed and round(value) else f"{round(value)}"


def _said(caption: str, matrix: Matrix, names: Sequence[str], unit: str) -> str:
    diagonal = ", ".join(f"{name} {_text(matrix[i, i], False)}" for i, name in enumerate(names))
    return f"{caption}. Heat map; on the diagonal, {unit}: {diagonal}."


def _table(caption: str, matrix: Matrix, names: Sequence[str], signed: bool) -> DataTable:
    form = "+.1f" if signed else ".1f"
    rows = tuple(
        (Cell(name), *(Cell("-" if np.isnan(value) else format(value, form)) for value in matrix[i]))
        for i, name in enumerate(names)
    )
    return DataTable(caption, ("Truth", *names), rows)

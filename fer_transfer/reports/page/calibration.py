"""Reliability diagrams on the study's first column: how often a row is right when it is so sure, and its calibration error."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from fer_transfer.evaluation.calibration import Bin, Reliability, reliability
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import mean_and_spread
from fer_transfer.reports.page.blocks import Beside, Cell, DataTable, Figure, Section
from fer_transfer.reports.page.charts import MUTED, OURS, chart_of, spec
from fer_transfer.reports.page.lines import Line, lines_of, over
from fer_transfer.reports.report import Report

#: Fewer than the fifteen that are common: there are a few hundred faces.
_BINS = 10


def section(report: Report) -> Section | None:
    """One diagram for each row that has labelled predictions."""
    drawn = [(line, line.predictions(report.study.first)) for line in lines_of(report)]
    figures = tuple(_figure(line, of) for line, of in drawn if of)
    if not figures:
        return None
    lead = (
        f"Faces by how sure a row is of them, in {_BINS} bins, {over(report)}; over several seeds all together. On the dashed "
        "line a row is as often right as it says; below it, it is too sure. The larger a point, the more faces."
    )
    return Section("calibration", "Calibration", (Beside("By row", figures),), lead)


def _figure(line: Line, by_seed: Sequence[Predictions]) -> Figure:
    every = [found for of in by_seed if isinstance(found := reliability(of, _BINS), Reliability)]
    caption = f"Reliability: {line.name}, {line.seeds}. {_error(every)}"
    values = [_together(bins) for bins in zip(*(of.bins for of in every), strict=True) if any(of.n for of in bins)]
    says = ", ".join(f"{v['right']:.0f} % right where {v['sureness']:.0f} % sure" for v in values)
    return Figure(_chart(), {"bins": values}, caption, f"{caption} {says}.", _table(line, values), "small")


def _together(bins: Sequence[Bin]) -> dict[str, Any]:
    """The faces of one bin, all seeds together."""
    n = sum(of.n for of in bins)
    sureness, right = (sum(of.n * getattr(of, part) for of in bins if of.n) / n for part in ("confidence", "accuracy"))
    return {"sureness": round(100 * sureness, 1), "right": round(100 * right, 1), "faces": n}


def _error(every: Sequence[Reliability]) -> str:
    """Mean error over the seeds, and what chance alone would give."""
    mean, spread = mean_and_spread([100 * of.error for of in every])
    chance = max(100 * of.by_chance[1] for of in every)
    spread_text = "" if math.isnan(spread) else f" ± {spread:.1f}"
    return f"Calibration error {mean:.1f}{spread_text} points; up to {chance:.1f} may be chance."


@cache
def _chart() -> dict[str, Any]:
    domain = alt.Scale(domain=[0, 100])
    base = chart_of("bins").encode(
        x=alt.X("sureness:Q", title="How sure, %", scale=domain), y=alt.Y("right:Q", title="Right, %", scale=domain)
    )
    ideal = (
        alt.Chart(alt.InlineData(values=[{"sureness": end, "right": end} for end in (0, 100)]))
        .mark_line(color=MUTED, strokeDash=[4, 3], strokeWidth=1)
        .encode(x="sureness:Q", y="right:Q")
    )
    points = base.mark_point(filled=True, color=OURS, opacity=1).encode(
        size=alt.Size("faces:Q", scale=alt.Scale(range=[15, 220]), legend=None),
        tooltip=["sureness:Q", "right:Q", "faces:Q"],
    )
    return spec(ideal + base.mark_line(color=OURS, strokeWidth=1.5) + points, height=220)


def _table(line: Line, values: Sequence[dict[str, Any]]) -> DataTable:
    rows = tuple((Cell(f"{v['sureness']:.1f}"), Cell(f"{v['right']:.1f}"), Cell(str(v["faces"]))) for v in values)
    return DataTable(f"Reliability: {line.name}", ("Mean sureness of the bin, %", "Right, %", "Faces"), rows)

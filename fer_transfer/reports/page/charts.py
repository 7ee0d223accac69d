"""Vega-Altair charts that follow the page's theme: colours are CSS variables, widths follow the column.

The page draws them as SVG, so light and dark, print and zoom need no second drawing. Altair checks every specification against
its schema, which takes time: one is made once (``functools.cache``) for all figures of its kind, which differ in their data.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

OURS, PAPER, INK, MUTED, LINE = (f"var(--{name})" for name in ("ours", "paper", "ink", "muted", "line"))

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"

#: Of every chart. The page hands it to Vega once.
CONFIG: Mapping[str, Any] = {
    "background": None,
    "font": _FONT,
    "view": {"stroke": None, "continuousHeight": 240},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 12,
        "gridColor": LINE,
        "domainColor": LINE,
        "tickColor": LINE,
        "labelLimit": 220,
        "labelFlush": False,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": MUTED,
        "labelFontSize": 12,
        "orient": "top",
        "title": None,
        "symbolStrokeWidth": 2,
        "labelLimit": 300,
    },
    "header": {"labelColor": INK, "titleColor": MUTED},
    "title": {"color": INK, "fontSize": 13, "anchor": "start", "fontWeight": "normal"},
    "text": {"color": INK, "fontSize": 12},
    "rule": {"color": MUTED},
}


def spec(chart: alt.TopLevelMixin, **size: Any) -> dict[str, Any]:
    """A chart as a specification, as wide as its column unless told otherwise."""
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    content: dict[str, Any] = chart.properties(**{"width": "container", "autosize": fit, **size}).to_dict()
    for part in ("config", "$schema"):  # the page has one for all, and the library that draws them
        content.pop(part, None)
    return content


def chart_of(data: str) -> alt.Chart:
    """A chart of the rows that figures bring under a name (``Figure.data``)."""
    return alt.Chart(alt.NamedData(data))


def two_colours(first: str, second: str, *, legend: bool = True) -> alt.Color:
    """The first series in our colour, the second in the paper's."""
    scale = alt.Scale(domain=[first, second], range=[OURS, PAPER])
    return alt.Color("whose:N", scale=scale, legend=alt.Legend() if legend else None)


def of_lines(count: int) -> alt.Axis:
    """An axis whose labels hold that many lines, in the middle of their place."""
    return alt.Axis(labelExpr="split(datum.label, '\\n')", labelOffset=6 - 6 * count, ticks=False)


def said(values: Sequence[Mapping[str, Any]]) -> str:
    """Whose values they are, for a caption."""
    return "ours and published" if both(values) else "ours"


def both(values: Sequence[Mapping[str, Any]]) -> bool:
    """Whether some values are not ours."""
    return len({value["whose"] for value in values}) > 1


def of_whom(first: str, second: str) -> alt.YOffset:
    """The first series above the second; the place is kept where one of them is not there."""
    return alt.YOffset("whose:N", scale=alt.Scale(domain=[first, second]))


def percents(field: str, title: str) -> alt.X:
    """A horizontal axis of percents that needs no nought."""
    ticks = alt.ExprRef("clamp(width / 60, 3, 8)")  # few on a phone
    return alt.X(f"{field}:Q", title=title, axis=alt.Axis(tickCount=ticks), scale=alt.Scale(zero=False, nice=True))

"""Reliability diagrams on the study's first column: how often a row is right when it is so sure, and its calibration error.

Before and after the temperature that predict divides a row's logits by.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import altair as alt

from fer_transfer.evaluation.calibration import Bin, Reliability, reliability
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import mean_and_spread
from fer_transfer.evaluation.temperature import Temperature, calibrated, crossed
from fer_transfer.faces.held_out import split_said
from fer_transfer.reports.page.blocks import Beside, Block, Cell, DataTable, Figure, Section, Words
from fer_transfer.reports.page.charts import MUTED, OURS, PAPER, chart_of, spec
from fer_transfer.reports.page.lines import Line, lines_of, over
from fer_transfer.reports.report import Report
from fer_transfer.reports.temperatures import temperature_of

#: Fewer than the fifteen that are common: there are a few hundred faces.
_BINS = 10

_BEFORE, _AFTER = "as given", "calibrated"


class _Seed(NamedTuple):
    """Predictions of a line at one seed on the first column: as given, and calibrated, where there is a temperature."""

    given: Predictions
    after: Predictions | None
    temperature: Temperature | None


def section(report: Report) -> Section | None:
    """One diagram for each row that has labelled predictions."""
    drawn = [(line, of) for line in lines_of(report) if (of := _seeds(report, line))]
    figures = tuple(_figure(line, of) for line, of in drawn)
    if not figures:
        return None
    lead = (
        f"Faces by how sure a row is of them, in {_BINS} bins, {over(report)}; over several seeds all together. On the dashed "
        "line a row is as often right as it says; below it, it is too sure. The larger a point, the more faces."
    )
    notes: list[Block] = [Words(text, "note") for text in _notes(report, [seed for _, of in drawn for seed in of])]
    return Section("calibration", "Calibration", (Beside("By row", figures), *notes), lead)


def _seeds(report: Report, line: Line) -> list[_Seed]:
    column = report.study.first
    if not line.predictions(column):
        return []
    seeds = []
    for row in line.rows:
        for given in Line(line.group, line.network, line.plan, (row,), None).predictions(column):
            kept = temperature_of(row, report.store)
            seeds.append(_Seed(given, _after(given, kept, column.split), kept))
    return seeds


def _after(given: Predictions, kept: Temperature | None, split: str) -> Predictions | None:
    """Calibrated; on the very split that the temperature was fitted on, each half by that of the other half."""
    if kept is None:
        return None
    return crossed(given) if kept.split == split else calibrated(given, kept.value)


def _notes(report: Report, seeds: Sequence[_Seed]) -> list[str]:
    """What the temperatures were fitted on, and what that means for what is drawn."""
    kept = [seed.temperature for seed in seeds if seed.temperature]
    if not kept:
        return ["No row is calibrated: none was scored on a selection split whose labels are known."]
    split = report.study.first.split
    splits = list(dict.fromkeys(of.split for of in kept))
    reported = [of for of in splits if of in {column.split for column in report.study.reported}]
    named = ", ".join(map(split_said, splits))
    notes = [
        f"Calibrated: logits are divided by a temperature that fits the selection split of the row ({named}), kept "
        f"beside its weights and used by fer-predict. It changes no {report.words[0]}, so no accuracy. "
        "Above 1: the row was too sure."
    ]
    if reported:
        notes.append(
            f"{' and '.join(reported)}: reported here too, so what is said of calibration there would flatter."
        )
    if split in splits:
        notes.append(
            f"On {split} itself, what is drawn as calibrated is each half of the faces (every second by name) by the temperature "
            "of the other half. Faces of one film may stand in both: another collection may be less well calibrated."
        )
    return notes


def _figure(line: Line, seeds: Sequence[_Seed]) -> Figure:
    series = _series(seeds)
    caption = f"Reliability: {line.name}, {line.seeds}. {_errors(seeds, series)}"
    values = [value for whose, of in series.items() for value in _values(whose, of)]
    says = ", ".join(
        f"{v['right']:.0f} % right where {v['sureness']:.0f} % sure" for v in values if v["whose"] == _BEFORE
    )
    return Figure(
        _chart(_AFTER in series), {"bins": values}, caption, f"{caption} {says}.", _table(line, values), "small"
    )


def _series(seeds: Sequence[_Seed]) -> dict[str, list[Reliability]]:
    """By what is drawn, the reliability of each seed; after a temperature only where all have one."""
    drawn = {_BEFORE: [seed.given for seed in seeds]}
    after = [seed.after for seed in seeds if seed.after is not None]
    if len(after) == len(seeds):
        drawn[_AFTER] = after
    return {
        whose: [r for of in by if isinstance(r := reliability(of, _BINS), Reliability)] for whose, by in drawn.items()
    }


def _values(whose: str, every: Sequence[Reliability]) -> list[dict[str, Any]]:
    bins = zip(*(of.bins for of in every), strict=True)
    return [{"whose": whose, **_together(of)} for of in bins if any(one.n for one in of)]


def _together(bins: Sequence[Bin]) -> dict[str, Any]:
    """The faces of one bin, all seeds together."""
    n = sum(of.n for of in bins)
    sureness, right = (sum(of.n * getattr(of, part) for of in bins if of.n) / n for part in ("confidence", "accuracy"))
    return {"sureness": round(100 * sureness, 1), "right": round(100 * right, 1), "faces": n}


def _errors(seeds: Sequence[_Seed], series: Mapping[str, Sequence[Reliability]]) -> str:
    """Mean error over the seeds before and after, and what chance alone would give."""
    chance = max(100 * of.by_chance[1] for of in series[_BEFORE])
    said = f"Calibration error {_error(series[_BEFORE])} points; up to {chance:.1f} may be chance."
    if _AFTER in series:
        values = ", ".join(f"{seed.temperature.value:.2f}" for seed in seeds if seed.temperature)
        temperatures = f"temperature{'s' * (len(seeds) > 1)} {values}"
        said += f" Calibrated ({temperatures}): {_error(series[_AFTER])}."
    return said


def _error(every: Sequence[Reliability]) -> str:
    mean, spread = mean_and_spread([100 * of.error for of in every])
    return f"{mean:.1f}" + ("" if math.isnan(spread) else f" ± {spread:.1f}")


@cache
def _chart(both: bool) -> dict[str, Any]:
    domain = alt.Scale(domain=[0, 100])
    colour = alt.Color(
        "whose:N",
        scale=alt.Scale(domain=[_BEFORE, _AFTER], range=[OURS, PAPER]),
        legend=alt.Legend() if both else None,
    )
    base = chart_of("bins").encode(
        x=alt.X("sureness:Q", title="How sure, %", scale=domain),
        y=alt.Y("right:Q", title="Right, %", scale=domain),
        color=colour,
    )
    ideal = (
        alt.Chart(alt.InlineData(values=[{"sureness": end, "right": end} for end in (0, 100)]))
        .mark_line(color=MUTED, strokeDash=[4, 3], strokeWidth=1)
        .encode(x="sureness:Q", y="right:Q")
    )
    shape = alt.Shape("whose:N", scale=alt.Scale(domain=[_BEFORE, _AFTER], range=["circle", "diamond"]), legend=None)
    points = base.mark_point(filled=True, opacity=1).encode(
        size=alt.Size("faces:Q", scale=alt.Scale(range=[15, 220]), legend=None),
        shape=shape,
        tooltip=["whose:N", "sureness:Q", "right:Q", "faces:Q"],
    )
    return spec(ideal + base.mark_line(strokeWidth=1.5) + points, height=220)


def _table(line: Line, values: Sequence[dict[str, Any]]) -> DataTable:
    rows = tuple(
        (Cell(v["whose"]), Cell(f"{v['sureness']:.1f}"), Cell(f"{v['right']:.1f}"), Cell(str(v["faces"])))
        for v in values
    )
    columns = ("Probabilities", "Mean sureness of the bin, %", "Right, %", "Faces")
    return DataTable(f"Reliability: {line.name}", columns, rows)

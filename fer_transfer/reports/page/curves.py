"""Learning curves: the stages of a row one after another on one axis, with a line where weights are handed on."""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import altair as alt

from fer_transfer.reports.page.blocks import Beside, Block, Cell, DataTable, Figure, Section, Words
from fer_transfer.reports.page.charts import MUTED, OURS, PAPER, chart_of, spec
from fer_transfer.reports.page.lines import Line, lines_of
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Row
from fer_transfer.stages.metrics import read_metrics

#: Split by column of ``metrics.csv``, and the heading of each quantity.
_PARTS = {"train": "trained on", "selection": "selection split"}
_QUANTITIES = {"accuracy": "Accuracy, %", "loss": "Loss"}

Epoch = dict[str, Any]


def section(report: Report) -> Section | None:
    """Two charts for each row: accuracy and loss."""
    lines = [line for line in lines_of(report) if not line.made_of]
    if not lines:
        return None
    blocks = tuple(_curves(report, line) for line in lines)
    lead = (
        "Each row's stages one after another; a vertical line marks the hand-off of weights to the next stage. Solid: the "
        "selection split; dashed: the faces trained on, as augmented. A line a seed."
    )
    return Section("curves", "Learning curves", blocks, lead)


def _curves(report: Report, line: Line) -> Block:
    epochs = [epoch for row in line.rows for epoch in _epochs(report, row)]
    title = f"{line.name}, {line.seeds}"
    if not epochs:
        return Beside(title, (Words("No curve: the metrics of its stages are not in the store, or damaged.", "quiet"),))
    return Beside(title, tuple(_figure(line, epochs, quantity) for quantity in _QUANTITIES), columns=2)


def _epochs(report: Report, row: Row) -> Iterator[Epoch]:
    """Every epoch of the row's stages that are in the store, counted on from stage to stage."""
    before = 0
    for stage in row.record.own_stages:
        kept = report.stages.get(stage.key)
        read = _read(kept.folder.metrics) if kept else []
        for number, values in enumerate(read, 1):
            yield {"seed": row.seed, "stage": stage.name, "epoch": before + number, "of_stage": number, **values}
        before += len(read) or int(stage.recipe.get("epochs", 0))


def _read(path: Any) -> list[dict[str, float]]:
    """The numbers of each epoch; nothing where the file holds anything else."""
    names = [f"{part}_{quantity}" for part in _PARTS for quantity in _QUANTITIES]
    try:
        read = [{name: float(row[name]) for name in [*names, "lr"]} for row in read_metrics(path)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return read if all(math.isfinite(value) for row in read for value in row.values()) else []


def _figure(line: Line, epochs: Sequence[Epoch], quantity: str) -> Figure:
    values = [
        {
            "seed": f"seed {of['seed']}", "stage": of["stage"], "epoch": of["epoch"], "epoch of the stage": of["of_stage"],
            "learning rate": of["lr"], "faces": faces, "line": f"{of['seed']} {of['stage']} {part}",
            "value": round(of[f"{part}_{quantity}"] * (100 if quantity == "accuracy" else 1), 4),
        }
        for of in epochs
        for part, faces in _PARTS.items()
    ]  # fmt: skip
    starts = _starts(epochs)
    caption = f"{_QUANTITIES[quantity].split(',')[0]} by epoch: {line.name}"
    data = {"epochs": values, "starts": starts}
    return Figure(
        _chart(quantity),
        data,
        f"{caption}.",
        _said(caption, epochs, quantity),
        _table(caption, epochs, quantity),
        "small",
    )


@cache
def _chart(quantity: str) -> dict[str, Any]:
    faces = list(_PARTS.values())
    x = alt.X(
        "epoch:Q",
        title="Epoch",
        axis=alt.Axis(tickMinStep=1, grid=False, format="d", labelOverlap=True),
        scale=alt.Scale(nice=False),
    )
    curve = (
        chart_of("epochs")
        .mark_line(strokeWidth=1.25, point=alt.OverlayMarkDef(size=8, filled=True))
        .encode(
            x=x,
            y=alt.Y("value:Q", title=_QUANTITIES[quantity], scale=alt.Scale(zero=quantity == "loss")),
            detail="line:N",
            color=alt.Color(
                "faces:N", scale=alt.Scale(domain=faces, range=[PAPER, OURS]), legend=alt.Legend(symbolType="stroke")
            ),
            strokeDash=alt.StrokeDash("faces:N", scale=alt.Scale(domain=faces, range=[[4, 3], [1, 0]])),
            tooltip=["stage:N", "seed:N", "faces:N", "epoch of the stage:Q", "learning rate:Q", "value:Q"],
        )
    )
    names = (
        chart_of("starts")
        .mark_text(align="left", baseline="bottom", dx=4, y=-3, color=MUTED)
        .encode(x=x, text="stage:N")
    )
    shown = alt.condition("datum.handed", alt.value(1), alt.value(0))
    return spec(curve + names + chart_of("starts").mark_rule().encode(x=x, opacity=shown), height=200)


def _starts(epochs: Sequence[Epoch]) -> list[dict[str, Any]]:
    """Where each stage begins: between its first epoch and the one before it."""
    first: dict[str, float] = {}
    for of in epochs:
        first.setdefault(of["stage"], of["epoch"] - 0.5 if of["epoch"] > 1 else 1)
    return [{"stage": stage, "epoch": epoch, "handed": epoch > 1} for stage, epoch in first.items()]


def _last(epochs: Sequence[Epoch]) -> dict[tuple[str, str], Epoch]:
    """The last epoch of each stage and seed."""
    return {(of["stage"], of["seed"]): of for of in epochs}


def _said(caption: str, epochs: Sequence[Epoch], quantity: str) -> str:
    scale, unit = (100, " %") if quantity == "accuracy" else (1, "")
    ends = [
        f"stage {stage}, seed {seed}: {scale * of[f'selection_{quantity}']:.2f}{unit} on the selection split"
        for (stage, seed), of in _last(epochs).items()
    ]
    return f"{caption}. At the end of {'; of '.join(ends)}."


def _table(caption: str, epochs: Sequence[Epoch], quantity: str) -> DataTable:
    """The last epochs; all of them are in ``metrics.csv`` of the stage."""
    scale = 100 if quantity == "accuracy" else 1
    rows = [
        (
            Cell(f"{stage}, seed {seed}"),
            Cell(str(of["of_stage"])),
            *(Cell(f"{scale * of[f'{part}_{quantity}']:.3g}") for part in _PARTS),
            Cell(f"{of['lr']:.3g}"),
        )
        for (stage, seed), of in _last(epochs).items()
    ]
    columns = ("Stage, seed", "Epochs", *_PARTS.values(), "Last learning rate")
    return DataTable(
        f"{caption}: the last epoch of each stage",
        columns,
        tuple(rows),
        ("Every epoch: metrics.csv in the stage's folder.",),
    )

"""Figures for a paper as SVG and PDF: the same numbers as the tables, with their caveats in the picture.

Files of equal reports are equal: no dates, no chance. Matplotlib is imported here only, and only when figures are asked for.
"""

import io
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.files.names import shown_text
from fer_transfer.reports.cells import caveat_line, level_text
from fer_transfer.reports.files import write_bytes
from fer_transfer.reports.page.lines import Line, lines_of, over
from fer_transfer.reports.report import Report
from fer_transfer.reports.results import Group, Row
from fer_transfer.reports.scores import Score
from fer_transfer.stages.metrics import read_metrics

#: Of ours and of the paper's, told apart by shade and by shape (Okabe and Ito 2008).
_OURS, _PAPER, _LOUD = "#0072B2", "#D55E00", "#B00020"

_STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # names may hold a dollar sign
    "svg.hashsalt": "fer_transfer",
    "pdf.fonttype": 42,
}

#: Inches of a page's text; panels beside each other in it; characters of a line of the title, and of caveats.
_PAGE, _ACROSS, _TITLE, _CHARACTERS = 7.0, 3, 90, 105

#: Both without the date.
_FORMATS: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}

Draw = Callable[[Axes, Line], None]


def write_figures(report: Report, out: Path) -> list[str]:
    """Write ``figures/``: accuracy of all rows, and for each group its confusion matrices, recalls and learning curves.

    Returns:
        What it wrote, in words; nothing where no row ran.

    Raises:
        StoreError: if they cannot be written.
    """
    if not report.groups:
        return []
    lines = lines_of(report)
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in letters that the font lacks
        _save(_accuracies(report, lines), out / "figures" / "accuracy")
        for number, group in enumerate(report.groups, 1):
            own = [line for line in lines if line.group is group]
            labelled = [line for line in own if line.matrix(report) is not None]
            part = f"{group.file_name}" + ("" if group.alone else f"-{number}")
            if labelled:
                _save(
                    _panels("Confusion", group, labelled, report, _confusion(report)),
                    out / "figures" / f"confusion-{part}",
                )
                _save(
                    _panels("Recall", group, labelled, report, _recall(report)),
                    out / "figures" / f"recall-{part}",
                )
            if trained := [line for line in own if any(_stages(report, row) for row in line.rows)]:
                _save(_panels("Curves", group, trained, report, _curves(report)), out / "figures" / f"curves-{part}")
    return ["figures/ (SVG and PDF)"]


def _save(figure: Figure, path: Path) -> None:
    for ending, metadata in _FORMATS.items():
        data = io.BytesIO()
        figure.savefig(data, format=ending, metadata=metadata)
        write_bytes(path.with_name(f"{path.name}.{ending}"), data.getvalue())


def _sheet(title: str, caveats: Sequence[str], height: float) -> Figure:
    """An empty page with a title above, and below what must stand beside the numbers."""
    loud = "\n".join(wrap(shown_text(caveat_line(caveats)), _CHARACTERS))
    layout = ConstrainedLayoutEngine(h_pad=0.09)  # inches: slanted labels keep off the title below them
    figure = Figure(figsize=(_PAGE, height + 0.15 * loud.count("\n")), layout=layout)
    figure.suptitle("\n".join(wrap(shown_text(title), _TITLE)), fontsize=9)
    if loud:
        figure.supxlabel(loud, fontsize=7, color=_LOUD, weight="bold")
    return figure


def _accuracies(report: Report, lines: Sequence[Line]) -> Figure:
    """Accuracy on the study's first column by row, ours above the paper's, with intervals."""
    scored = [(line, found) for line in lines if isinstance(found := line.score(report.study.first), Score)]
    beside = any(line.published for line, _ in scored)
    title = f"Accuracy, {over(report)}, with {level_text(report.level)} intervals"
    figure = _sheet(title, report.caveats, 0.9 + 0.3 * len(scored))
    axes = figure.subplots()
    for place, (line, found) in enumerate(scored):
        _interval(axes, place - 0.15 * beside, found.percent[0], found.interval(report.level), _OURS, "o")
        if (numbers := _published(report, line)) is not None:
            percent, k, n = numbers
            ends = (percent, percent) if k is None or n is None else _percent(wilson_interval(k, n, report.level))
            _interval(axes, place + 0.15, percent, ends, _PAPER, "D")
    axes.set_yticks(range(len(scored)), [shown_text(f"{line.name}, {line.seeds}") for line, _ in scored])
    axes.set_ylim(len(scored) - 0.5, -0.5)
    axes.set_xlabel("percent")
    axes.grid(axis="x", alpha=0.3)
    _key(axes, beside)
    return figure


def _published(report: Report, line: Line) -> tuple[float, int | None, int | None] | None:
    """The paper's percentage of a line on the study's first column, with its counts."""
    column = report.study.first.published
    if line.published is None or column is None:
        return None
    percent, k, n = line.published.numbers[column]
    return None if percent is None else (percent, k, n)


def _percent(ends: tuple[float, float]) -> tuple[float, float]:
    return 100 * ends[0], 100 * ends[1]


def _interval(axes: Axes, y: float, x: float, ends: tuple[float, float], colour: str, marker: str) -> None:
    axes.plot(ends, (y, y), color=colour, linewidth=1.2, solid_capstyle="butt")
    axes.plot((x,), (y,), color=colour, marker=marker, markersize=4, linestyle="none")


def _key(axes: Axes, beside: bool) -> None:
    """What the two colours are, where both are there."""
    if beside:
        for label, colour, marker in (("ours", _OURS, "o"), ("paper", _PAPER, "D")):
            axes.plot([], [], color=colour, marker=marker, markersize=4, linewidth=1.2, label=label)
        axes.legend(frameon=False, loc="best", fontsize=7)


def _panels(kind: str, group: Group, lines: Sequence[Line], report: Report, draw: Draw) -> Figure:
    """One panel a plan, some beside each other."""
    word, _ = report.words
    titles = {
        "Confusion": f"Confusion matrices, {over(report)}: counts (mean over seeds), shade by share of the true {word}",
        "Recall": f"Recall by {word}, {over(report)}, percent with {level_text(report.level)} intervals",
        "Curves": "Accuracy by epoch: selection split solid, faces trained on dashed; a line where weights are handed on",
    }
    across = min(_ACROSS, len(lines))
    down = math.ceil(len(lines) / across)
    figure = _sheet(f"{titles[kind]}. {group.title}", group.caveats, 0.7 + 2.4 * down)
    every = figure.subplots(down, across, squeeze=False).flatten()
    for axes, line in zip(every, lines, strict=False):
        axes.set_title(shown_text(f"{line.row}, {line.seeds}"), fontsize=8)
        draw(axes, line)
    for axes in every[len(lines) :]:
        axes.set_axis_off()
    return figure


def _confusion(report: Report) -> Draw:
    def draw(axes: Axes, line: Line) -> None:
        matrix = line.matrix(report)
        assert matrix is not None
        sums = matrix.sum(axis=1, keepdims=True)
        shares = np.divide(matrix, sums, out=np.zeros_like(matrix), where=sums > 0)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (truth, said), count in np.ndenumerate(matrix):
            colour = "white" if shares[truth, said] > 0.6 else "black"
            axes.text(said, truth, f"{count:.0f}", ha="center", va="center", fontsize=6, color=colour)
        names = [shown_text(name) for name in line.names(report)]
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor", fontsize=6)
        axes.set_yticks(range(len(names)), names, fontsize=6)

    return draw


def _recall(report: Report) -> Draw:
    def draw(axes: Axes, line: Line) -> None:
        ours, paper = line.matrix(report), line.published_matrix(report)
        assert ours is not None
        for matrix, colour, marker, place in ((ours, _OURS, "o", -0.15), (paper, _PAPER, "D", 0.15)):
            if matrix is not None:
                _recalls(axes, matrix, report.level, colour, marker, 0.0 if paper is None else place)
        names = [shown_text(name) for name in line.names(report)]
        axes.set_yticks(range(len(names)), names, fontsize=6)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.grid(axis="x", alpha=0.3)
        _key(axes, paper is not None)

    return draw


def _recalls(axes: Axes, matrix: NDArray[np.float64], level: float, colour: str, marker: str, shift: float) -> None:
    """One point with its interval for each expression that occurs; over several seeds of the mean count."""
    for place, row in enumerate(matrix):
        n, k = round(float(row.sum())), float(row[place])
        if n:
            _interval(axes, place + shift, 100 * k / n, _percent(wilson_interval(min(k, n), n, level)), colour, marker)


def _curves(report: Report) -> Draw:
    def draw(axes: Axes, line: Line) -> None:
        for row in line.rows:
            before = 0
            for name, selection, trained in _stages(report, row):
                epochs = range(before + 1, before + len(selection) + 1)
                axes.plot(epochs, selection, color=_OURS, linewidth=1.0, marker="." if len(selection) == 1 else "")
                axes.plot(epochs, trained, color=_OURS, linewidth=0.8, linestyle="--", alpha=0.6)
                if before and row is line.rows[0]:
                    axes.axvline(before + 0.5, color="black", linewidth=0.6)
                if row is line.rows[0]:
                    axes.text(
                        before + 0.7, 1.0, shown_text(name), fontsize=6, va="top", transform=axes.get_xaxis_transform()
                    )
                before += len(selection)
        axes.set_ylim(0, 100)
        axes.set_xlabel("epoch", fontsize=7)
        axes.set_ylabel("percent", fontsize=7)

    return draw


def _stages(report: Report, row: Row) -> list[tuple[str, list[float], list[float]]]:
    """Of each stage that can be read: name, and accuracy by epoch in percent on the selection split and the faces trained on."""
    found = []
    for stage in row.record.lineage.stages[-len(row.record.seeds) :]:
        if (kept := report.stages.get(stage.key)) is None:
            continue
        try:
            epochs = read_metrics(kept.folder.metrics)
            values = [[100 * float(of[f"{part}_accuracy"]) for of in epochs] for part in ("selection", "train")]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if epochs and all(map(math.isfinite, values[0] + values[1])):
            found.append((stage.name, values[0], values[1]))
    return found

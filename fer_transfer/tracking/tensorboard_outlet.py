"""Writes runs as TensorBoard's event files, a folder a run: ``tensorboard/<row>/<stage> seed <seed> <key>``."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from fer_transfer.stages.metrics import read_metrics
from fer_transfer.stages.store import StageFolder
from fer_transfer.tracking.finals import finals_of
from fer_transfer.tracking.runs import Run, metric_name


class TensorboardOutlet:
    """One run at a time, written anew where an earlier one of the same stage or row is there.

    Args:
        options: ``folder``.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.folder = Path(options["folder"]) / "tensorboard"
        self._writer: SummaryWriter | None = None
        self._run: Run | None = None
        self._next = 0

    def start(self, run: Run, store: Path, faces: Mapping[str, str] | None = None) -> None:
        """Begin a run; what it uses has no place here but in its text."""
        folder = self.folder / _plain(run.group) / f"{_plain(run.name)}_{run.id[-8:]}"
        shutil.rmtree(folder, ignore_errors=True)
        self._run, self._next = run, 0
        self._writer = SummaryWriter(str(folder))
        self._writer.add_text("about", _markdown({**run.config, "uses": list(run.uses), "caveats": run.notes}))

    def epoch(self, row: Mapping[str, str]) -> None:
        """Write a row of ``metrics.csv``."""
        epoch = int(row["epoch"])
        if epoch < self._next:
            return
        self._next = epoch + 1
        for name, value in row.items():
            if name != "epoch" and value:
                self._open.add_scalar(metric_name(name), float(value), epoch)

    def finish(self, folder: StageFolder) -> None:
        """Write the epochs not told yet, the final numbers with the settings (``hparams``), and the confusion matrices."""
        for row in read_metrics(folder.metrics):
            self.epoch(row)
        numbers: dict[str, float] = {}
        for scores in finals_of(folder):
            numbers |= {f"{scores.name}/{name}": value for name, value in scores.numbers.items()}
            figure = confusion_figure(scores.matrix, scores.predictions.classes, scores.name)
            self._open.add_figure(f"confusion/{scores.name}", figure, self._next)
        self._write_settings(numbers)
        self.end()

    def end(self) -> None:
        """End a run; of a row, with its numbers."""
        assert self._run is not None
        if self._run.summary:
            self._write_settings({k: float(v) for k, v in self._run.summary.items() if isinstance(v, int | float)})
        self.stop()

    def stop(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def give_up(self) -> None:
        """What is written is written."""

    @property
    def _open(self) -> SummaryWriter:
        assert self._writer is not None, "a run is open"
        return self._writer

    def _write_settings(self, numbers: Mapping[str, float]) -> None:
        assert self._run is not None
        self._open.add_hparams(dict(_flat(self._run.config)), dict(numbers), run_name=".", global_step=self._next)


def confusion_figure(matrix: NDArray[np.int64], classes: Sequence[str], title: str) -> Figure:
    """A confusion matrix as a picture.

    Args:
        matrix: int64 [C, C], rows truth.
        classes: in their order.
        title: what it is of.
    """
    figure = Figure(figsize=(6, 5.5), layout="constrained")
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(classes)), classes, parse_math=False)
    axes.set(xlabel="predicted", ylabel="label")
    axes.set_title(title, parse_math=False)
    for (row, column), count in np.ndenumerate(matrix):
        dark = shares[row, column] > 0.5
        axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    return figure


def _flat(config: Mapping[str, Any], above: str = "") -> list[tuple[str, str | float | bool]]:
    """Settings by dotted name; what is no single value is text."""
    items: list[tuple[str, str | float | bool]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            items += _flat(value, f"{above}{key}.")
        else:
            items.append((f"{above}{key}", value if isinstance(value, int | float | bool | str) else str(value)))
    return items


def _markdown(config: Mapping[str, Any]) -> str:
    """A table that shows names as they are, whatever markup they hold."""
    lines = [f"| {_code(key)} | {_code(value)} |" for key, value in _flat(config)]
    return "\n".join(["| setting | value |", "|---|---|", *lines])


def _code(value: object) -> str:
    return "`" + re.sub(r"[`|\r\n]", " ", str(value)) + "`"


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name)[:100].strip("._")

"""Scores of rows that differ only in seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fer_transfer.evaluation.metrics import macro_recall
from fer_transfer.evaluation.statistics import mean_and_spread, wilson_interval
from fer_transfer.reports.results import Row


@dataclass(frozen=True)
class Score:
    """Accuracy of one plan on one split, over its seeds.

    Attributes:
        seeds: in ascending order.
        correct, count: images right, images, by seed.
        macro: macro recall by seed, 0..1.
    """

    seeds: tuple[str, ...]
    correct: tuple[int, ...]
    count: tuple[int, ...]
    macro: tuple[float, ...]

    @property
    def percents(self) -> tuple[float, ...]:
        """Accuracy in percent, by seed."""
        return tuple(100 * k / n if n else math.nan for k, n in zip(self.correct, self.count, strict=True))

    @property
    def percent(self) -> tuple[float, float]:
        """Mean and sample standard deviation over the seeds, in percent."""
        return mean_and_spread(self.percents)

    @property
    def macro_percent(self) -> tuple[float, float]:
        """The same of the macro recall."""
        return mean_and_spread([100 * value for value in self.macro])

    def interval(self, level: float) -> tuple[float, float]:
        """Wilson's interval in percent; over several seeds that of the mean over the images of one seed.

        The seeds answer the same images, so they are not pooled: more seeds make the mean surer, not the images more.
        """
        low, high = wilson_interval(sum(self.correct) / len(self.seeds), max(self.count), level)
        return 100 * low, 100 * high


def score(rows: Sequence[Row], split: str, over: str) -> Score | str:
    """Accuracy of rows that differ only in seed, or the word that says why there is none.

    Args:
        rows: with the same faces.
        split: ``release/split``.
        over: ``found``: the faces that the detector found; ``all``.

    Returns:
        A score; else "not run" (no rows), what ``Row.without`` says ("trained on"), "withheld" (labels), "damaged"
        (predictions), or "-" (none).
    """
    if not rows:
        return "not run"
    if word := next(filter(None, (row.without(split) for row in rows)), ""):
        return word
    predicted = [(row, row.predictions[split]) for row in rows if split in row.predictions]
    over_faces = [(row, of.only_found() if over == "found" else of) for row, of in predicted]
    having = [row for row, of in over_faces if len(of)]
    chosen = [of for _, of in over_faces if len(of)]
    if not having:
        return "damaged" if any(split in row.damaged for row in rows) else "-"
    if not all(predictions.labelled for predictions in chosen):
        return "withheld"
    matrices = [predictions.matrix for predictions in chosen]
    return Score(
        tuple(row.seed for row in having),
        tuple(int(np.trace(matrix)) for matrix in matrices),
        tuple(int(matrix.sum()) for matrix in matrices),
        tuple(macro_recall(matrix) for matrix in matrices),
    )

"""A labelled folder scored: the statistics of the report, over pictures of the user's own."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.evaluation.metrics import macro_recall
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.files.spreadsheet import escaped
from fer_transfer.inference.results import PredictedFaces
from fer_transfer.labels import UNLABELLED

_LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Judged:
    """Scores over some pictures.

    Attributes:
        over: which pictures.
        matrix: int64 [C, C], rows truth, columns prediction.
        classes: in their order.
    """

    over: str
    matrix: NDArray[np.int64]
    classes: tuple[str, ...]

    def line(self) -> str:
        """For a reader."""
        k, n = int(np.trace(self.matrix)), int(self.matrix.sum())
        return f"{self.over}: accuracy {_share(k, n)}, macro recall {100 * macro_recall(self.matrix):.1f} %"

    def to_json(self) -> dict[str, Any]:
        """Plain data, shares in 0..1."""
        k, n = int(np.trace(self.matrix)), int(self.matrix.sum())
        recalls = {
            name: {
                "correct": int(row[i]),
                "count": int(row.sum()),
                "interval": wilson_interval(row[i], row.sum(), _LEVEL),
            }
            for i, (name, row) in enumerate(zip(self.classes, self.matrix, strict=True))
            if row.sum()
        }
        accuracy = {"correct": k, "count": n, "interval": wilson_interval(k, n, _LEVEL), "level": _LEVEL}
        return {
            "over": self.over,
            "accuracy": accuracy,
            "macro_recall": macro_recall(self.matrix) if n else None,
            "recalls": recalls,
        }


def predictions_of(predicted: PredictedFaces) -> Predictions:
    """The labelled faces of pictures, in the form in which a store keeps predictions."""
    faces = [face for face in predicted if face.label != UNLABELLED]
    return Predictions(
        np.array([face.picture for face in faces], np.str_),
        np.array([face.label for face in faces], np.int8),
        np.array([face.found for face in faces], np.bool_),
        np.array([face.probabilities for face in faces], np.float64).reshape(-1, len(predicted.labels)),
        predicted.labels,
    )


def judged(predictions: Predictions) -> list[Judged]:
    """Scores over the faces that were found, and over all where some were lost."""
    whole = Judged(f"all {len(predictions)} labelled pictures", predictions.matrix, predictions.classes)
    found = predictions.only_found()
    of_found = Judged(f"{len(found)} found faces", found.matrix, found.classes)
    return [of_found, *([] if len(found) == len(predictions) else [whole])]


def judged_lines(scores: list[Judged]) -> Iterator[str]:
    """For a reader: accuracy, recalls, and the matrix of the first."""
    for score in scores:
        yield score.line()
    first, classes = scores[0].matrix, scores[0].classes
    widest = max(map(len, classes))
    for i, name in enumerate(classes):
        if count := int(first[i].sum()):
            confused = [
                f"{classes[j]} {first[i, j]}" for j in np.argsort(-first[i], kind="stable") if j != i and first[i, j]
            ]
            yield f"  {name:<{widest + 1}}{_share(int(first[i, i]), count)}" + (
                f"; taken for {', '.join(confused)}" if confused else ""
            )


def confusion_csv(score: Judged) -> str:
    """Counts, a row a true expression."""
    text, names = io.StringIO(), [escaped(name) for name in score.classes]
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["true\\predicted", *names])
    table.writerows([name, *row] for name, row in zip(names, score.matrix.tolist(), strict=True))
    return text.getvalue()


def _share(k: int, n: int) -> str:
    low, high = wilson_interval(k, n, _LEVEL)
    share = f"{100 * k / n:.1f} %" if n else "-"
    return f"{share} ({k}/{n}, Wilson {100 * _LEVEL:.0f} % [{100 * low:.1f}, {100 * high:.1f}])"

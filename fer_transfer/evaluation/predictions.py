"""Predictions on disk: one CSV row per face, from which every table is computed.

Columns: ``id, label, found, Angry, Disgust, Fear, Happy, Sad, Surprise, Neutral``. The label is a word, empty where it
is withheld; probabilities are softmax outputs in 0..1.
"""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import StoreError
from fer_transfer.labels import EXPRESSIONS, UNLABELLED, expression_index

_HEADER = ["id", "label", "found", *EXPRESSIONS]


@dataclass(frozen=True)
class Predictions:
    """What a stage says of one split.

    Attributes:
        ids: str [N].
        labels: int8 [N], canonical 0..6 or UNLABELLED.
        found: bool [N], whether the detector found the face.
        probabilities: float64 [N, 7], canonical order, rows sum to 1.
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.int8]
    found: NDArray[np.bool_]
    probabilities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """int64 [N], the most probable expression."""
        predicted: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return predicted

    @property
    def labelled(self) -> bool:
        """Whether every face has its label (EmotiW withholds those of Test)."""
        return bool((self.labels != UNLABELLED).all())

    def only_found(self) -> "Predictions":
        """Those of the faces that the detector found (the paper's 429 of 436)."""
        return Predictions(
            self.ids[self.found], self.labels[self.found], self.found[self.found], self.probabilities[self.found]
        )

    def write(self, path: Path) -> None:
        """Write as CSV, aside and renamed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with aside.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(_HEADER)
                for i in range(len(self)):
                    label = "" if self.labels[i] == UNLABELLED else EXPRESSIONS[self.labels[i]]
                    values = (f"{p:.8g}" for p in self.probabilities[i])
                    writer.writerow([self.ids[i], label, int(self.found[i]), *values])
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """Read what ``write`` wrote.

        Raises:
            StoreError: if the file is missing or has other columns.
        """
        try:
            with path.open(newline="", encoding="utf-8") as file:
                header, *rows = list(csv.reader(file))
        except (OSError, ValueError) as error:
            raise StoreError(f"Expected predictions in {path}, but got: {error}. Run fer-train again.") from None
        if header != _HEADER:
            raise StoreError(f"Expected columns {','.join(_HEADER)} in {path}, but got {','.join(header)}.")
        return cls(
            np.array([row[0] for row in rows], dtype=np.str_),
            np.array([expression_index(row[1]) if row[1] else UNLABELLED for row in rows], dtype=np.int8),
            np.array([row[2] == "1" for row in rows], dtype=np.bool_),
            np.array([[float(p) for p in row[3:]] for row in rows], dtype=np.float64).reshape(-1, len(EXPRESSIONS)),
        )

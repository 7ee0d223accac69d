"""Predictions on disk: one CSV row per face, from which every table is computed.

Columns: ``id, label, found``, then the classes in the order of the label set (``Angry, Disgust, Fear, Happy, Sad, Surprise,
Neutral``). The label is a class's name, empty where it is withheld; probabilities are softmax outputs in 0..1.
"""

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.metrics import confusion_matrix
from fer_transfer.files.spreadsheet import escaped, unescaped
from fer_transfer.files.whole import written_whole
from fer_transfer.labels import EXPRESSIONS, UNLABELLED, LabelSet

_AGAIN = "Run fer-train again, which writes them again from the weights."
_HEADER = ["id", "label", "found"]


@dataclass(frozen=True)
class Predictions:
    """What a stage says of one split.

    Attributes:
        ids: str [N].
        labels: int8 [N], places in classes, or UNLABELLED.
        found: bool [N], whether the detector found the face.
        probabilities: float64 [N, C], in the order of classes; rows sum to 1.
        classes: of the label set.
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.int8]
    found: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...] = EXPRESSIONS

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """int64 [N], the most probable class."""
        predicted: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return predicted

    @property
    def labelled(self) -> bool:
        """Whether every face has its label (EmotiW withholds those of Test)."""
        return bool((self.labels != UNLABELLED).all())

    @property
    def matrix(self) -> NDArray[np.int64]:
        """Counts int64 [C, C], rows truth, columns prediction; of faces that all have labels."""
        return confusion_matrix(self.labels, self.predicted, len(self.classes))

    def only_found(self) -> "Predictions":
        """Those of the faces that the detector found (the paper's 429 of 436)."""
        return self.of(self.found)

    def of(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> "Predictions":
        """Those of some faces: a mask bool [N], or rows in their order."""
        return replace(
            self,
            ids=self.ids[rows],
            labels=self.labels[rows],
            found=self.found[rows],
            probabilities=self.probabilities[rows],
        )

    def write(self, path: Path) -> str:
        """Write as CSV, aside and renamed; returns the SHA-256 of the file."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([*_HEADER, *map(escaped, self.classes)])
        for i in range(len(self)):
            label = "" if self.labels[i] == UNLABELLED else escaped(self.classes[self.labels[i]])
            values = (f"{p:.8g}" for p in self.probabilities[i])
            writer.writerow([escaped(str(self.ids[i])), label, int(self.found[i]), *values])
        data = text.getvalue().encode("utf-8", "surrogateescape")  # names of files need not be text
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as aside:
            aside.write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    @classmethod
    def read(cls, path: Path, sha256: str | None = None) -> "Predictions":
        """Read what ``write`` wrote.

        Args:
            path: the file.
            sha256: what ``write`` returned; None: whatever is there.

        Raises:
            StoreError: if the file is missing, is another than was written, or holds no predictions.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"Expected predictions in {path}, but got: {error.strerror}. {_AGAIN}") from None
        found = hashlib.sha256(data).hexdigest()
        if sha256 is not None and found != sha256:
            raise StoreError(
                f"Expected predictions of digest {sha256[:12]} in {path}, but got {found[:12]}: the file was changed. {_AGAIN}"
            )
        try:
            header, *rows = csv.reader(io.StringIO(data.decode("utf-8", "surrogateescape"), newline=""))
            if header[: len(_HEADER)] != _HEADER:
                raise ValueError(f"expected columns {','.join(_HEADER)} and the classes, but got {','.join(header)}")
            return cls._of_rows(rows, LabelSet(tuple(map(unescaped, header[len(_HEADER) :]))).classes)
        except (
            ValueError,
            IndexError,
            csv.Error,
        ) as error:  # a cut line, a word for a number; ConfigError is a ValueError
            raise StoreError(f"Expected predictions in {path}, but got: {error}. {_AGAIN}") from None

    @classmethod
    def _of_rows(cls, rows: list[list[str]], classes: tuple[str, ...]) -> "Predictions":
        columns, places = (
            len(_HEADER) + len(classes),
            {name: place for place, name in enumerate(classes)} | {"": UNLABELLED},
        )
        if odd := [i for i, row in enumerate(rows) if len(row) != columns or row[2] not in ("0", "1")]:
            raise ValueError(f"rows of other columns, first {[i + 2 for i in odd[:3]]} ({len(odd)} in all)")
        read = cls(
            np.array([unescaped(row[0]) for row in rows], dtype=np.str_),
            np.array([_place(unescaped(row[1]), places) for row in rows], dtype=np.int8),
            np.array([row[2] == "1" for row in rows], dtype=np.bool_),
            np.array([[float(p) for p in row[3:]] for row in rows], dtype=np.float64).reshape(-1, len(classes)),
            classes,
        )
        sums = read.probabilities.sum(axis=1)
        wrong = np.flatnonzero(~(np.isfinite(sums) & (np.abs(sums - 1) < 1e-3)))
        if wrong.size:
            raise ValueError(
                f"probabilities that sum to {sums[wrong[:3]].tolist()}, not 1, for "
                f"{', '.join(read.ids[wrong[:3]].tolist())} ({wrong.size} faces)"
            )
        return read


def _place(name: str, places: Mapping[str, int]) -> int:
    if name not in places:
        raise ValueError(f"a label {name!r} that is no column")
    return places[name]

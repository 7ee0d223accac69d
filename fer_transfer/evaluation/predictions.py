"""Predictions on disk: one CSV row per face, from which every table is computed.

Columns: ``id, label, found, Angry, Disgust, Fear, Happy, Sad, Surprise, Neutral``. The label is a word, empty where it
is withheld; probabilities are softmax outputs in 0..1.
"""

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import StoreError
from fer_transfer.files.spreadsheet import escaped, unescaped
from fer_transfer.files.whole import written_whole
from fer_transfer.labels import EXPRESSIONS, UNLABELLED, expression_index

_AGAIN = "Run fer-train again, which writes them again from the weights."
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

    def write(self, path: Path) -> str:
        """Write as CSV, aside and renamed; returns the SHA-256 of the file."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(_HEADER)
        for i in range(len(self)):
            label = "" if self.labels[i] == UNLABELLED else EXPRESSIONS[self.labels[i]]
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
            if header != _HEADER:
                raise ValueError(f"expected columns {','.join(_HEADER)}, but got {','.join(header)}")
            return cls._of_rows(rows)
        except (
            ValueError,
            IndexError,
            csv.Error,
        ) as error:  # a cut line, a word for a number; ReleaseError is a ValueError
            raise StoreError(f"Expected predictions in {path}, but got: {error}. {_AGAIN}") from None

    @classmethod
    def _of_rows(cls, rows: list[list[str]]) -> "Predictions":
        if odd := [i for i, row in enumerate(rows) if len(row) != len(_HEADER) or row[2] not in ("0", "1")]:
            raise ValueError(f"rows of other columns, first {[i + 2 for i in odd[:3]]} ({len(odd)} in all)")
        read = cls(
            np.array([unescaped(row[0]) for row in rows], dtype=np.str_),
            np.array([expression_index(row[1]) if row[1] else UNLABELLED for row in rows], dtype=np.int8),
            np.array([row[2] == "1" for row in rows], dtype=np.bool_),
            np.array([[float(p) for p in row[3:]] for row in rows], dtype=np.float64).reshape(-1, len(EXPRESSIONS)),
        )
        sums = read.probabilities.sum(axis=1)
        wrong = np.flatnonzero(~(np.isfinite(sums) & (np.abs(sums - 1) < 1e-3)))
        if wrong.size:
            raise ValueError(
                f"probabilities that sum to {sums[wrong[:3]].tolist()}, not 1, for "
                f"{', '.join(read.ids[wrong[:3]].tolist())} ({wrong.size} faces)"
            )
        return read

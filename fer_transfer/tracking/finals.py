"""The numbers of a finished stage, from its predictions in the store: what a tracker shows at its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.metrics import accuracy, macro_recall, recall_per_class
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.stages.store import StageFolder
from fer_transfer.upkeep.contents import read_stage
from fer_transfer.upkeep.predictions import predictions_of


@dataclass(frozen=True)
class SplitScores:
    """What a stage says of one split whose labels are known.

    Attributes:
        name: ``release/split``.
        digest: of the faces.
        predictions: of every face.
    """

    name: str
    digest: str
    predictions: Predictions

    @cached_property
    def matrix(self) -> NDArray[np.int64]:
        """int64 [C, C], rows truth, over all faces."""
        return self.predictions.matrix

    @property
    def numbers(self) -> dict[str, float]:
        """Accuracy and macro recall over all faces and over those the detector found, 0..1, recalls, and counts, by name."""
        of_found = self.predictions.only_found().matrix
        values = {
            "accuracy": accuracy(self.matrix),
            "macro_recall": macro_recall(self.matrix),
            "correct": float(np.trace(self.matrix)),
            "faces": float(self.matrix.sum()),
            "accuracy_found": accuracy(of_found),
            "macro_recall_found": macro_recall(of_found),
            "correct_found": float(np.trace(of_found)),
            "faces_found": float(of_found.sum()),
        }
        return values | {f"recall/{name}": value for name, value in self.recalls.items()}

    @property
    def recalls(self) -> dict[str, float]:
        """Recall by class, 0..1, of those that occur."""
        recall = recall_per_class(self.matrix)
        by_class = zip(self.predictions.classes, recall, strict=True)
        return {name: float(value) for name, value in by_class if not np.isnan(value)}

    @property
    def by_certainty(self) -> NDArray[np.int64]:
        """int64 [N]: the faces most surely wrong first, then to the most surely right."""
        of_label = self.predictions.probabilities[np.arange(len(self.predictions)), self.predictions.labels]
        margin = self.predictions.probabilities.max(axis=1) - of_label
        return np.lexsort((-of_label, -margin))


def finals_of(folder: StageFolder) -> list[SplitScores]:
    """Every labelled split that a finished stage was scored on from the centre crop or, where there is no such, from ten.

    Predictions that are damaged are left out.

    Raises:
        StoreError: if the stage is not there, or damaged.
    """
    stage = read_stage(folder)
    if stage is None:
        raise StoreError(f"Expected a finished stage in {folder.path}, but it has no result.json.")
    found: dict[tuple[str, str], SplitScores] = {}
    for file in sorted(predictions_of(stage), key=lambda file: (file.told or {}).get("by") != "centre"):
        if file.wrong():
            continue  # fer-store verify names it, and the same fer-train writes it again
        told = file.told or {}
        read = file.read()
        if read.labelled and len(read):
            place = (f"{file.release}/{told['split']}", told["faces"])
            found.setdefault(place, SplitScores(*place, read))
    return _named_apart(list(found.values()))


def _named_apart(splits: Sequence[SplitScores]) -> list[SplitScores]:
    """Splits of several preparations of one release get the digest into their name, all but the first."""
    seen: set[str] = set()
    apart = []
    for split in splits:
        name = f"{split.name}@{split.digest[:8]}" if split.name in seen else split.name
        seen.add(split.name)
        apart.append(SplitScores(name, split.digest, split.predictions))
    return apart

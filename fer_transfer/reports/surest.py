"""The faces on which a row is most surely wrong and most surely right, by true class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_transfer.evaluation.ensemble import averaged
from fer_transfer.evaluation.predictions import Predictions


@dataclass(frozen=True)
class SureFace:
    """What a row says of one face.

    Attributes:
        id: of the face.
        truth, predicted: places in the label set; the prediction by the mean probabilities over the seeds.
        probability: the mean probability of the predicted expression, 0..1.
        agreeing: number of seeds that predict this class themselves.
        classes: of the label set.
    """

    id: str
    truth: int
    predicted: int
    probability: float
    agreeing: int
    classes: tuple[str, ...]

    @property
    def bears(self) -> str:
        """Its class."""
        return self.classes[self.truth]

    @property
    def said(self) -> str:
        """The class that it was taken for."""
        return self.classes[self.predicted]


@dataclass(frozen=True)
class Surest:
    """Of one true expression the faces that were predicted most surely, the surest first.

    Attributes:
        truth: its place in the label set.
        name: it.
        wrong, right: some of the faces that bear it.
    """

    truth: int
    name: str
    wrong: tuple[SureFace, ...]
    right: tuple[SureFace, ...]


def surest(by_seed: Sequence[Predictions], count: int) -> list[Surest]:
    """The surest faces by true expression, in the canonical order, for expressions that occur.

    Probabilities are averaged over the seeds; the most probable expression is then right or wrong. Of equally sure faces the
    one whose id sorts first comes first. Faces without a label are left out.

    Args:
        by_seed: predictions of the same faces by rows that differ in their seeds, one or more.
        count: faces wrong, and right, of each expression at most.

    Raises:
        ValueError: if there are no predictions, or not of the same faces with the same labels.
    """
    mean = averaged(by_seed)
    agreeing = np.sum([of.predicted == mean.predicted for of in by_seed], axis=0)
    surely = mean.probabilities.max(axis=1)
    order = np.lexsort((mean.ids, -surely))
    right = mean.labels == mean.predicted

    def first(chosen: NDArray[np.bool_]) -> tuple[SureFace, ...]:
        rows = order[chosen[order]][:count]
        return tuple(
            SureFace(
                str(mean.ids[i]),
                int(mean.labels[i]),
                int(mean.predicted[i]),
                float(surely[i]),
                int(agreeing[i]),
                mean.classes,
            )
            for i in rows
        )

    occurring = [truth for truth in range(len(mean.classes)) if (mean.labels == truth).any()]
    of = {truth: mean.labels == truth for truth in occurring}
    return [
        Surest(truth, mean.classes[truth], first(of[truth] & ~right), first(of[truth] & right)) for truth in occurring
    ]

"""The faces on which a row is most surely wrong and most surely right, by true expression."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fer_transfer.evaluation.ensemble import averaged
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.labels import EXPRESSIONS


@dataclass(frozen=True)
class SureFace:
    """What a row says of one face.

    Attributes:
        id: of the face.
        truth, predicted: canonical 0..6; the prediction by the mean probabilities over the seeds.
        probability: the mean probability of the predicted expression, 0..1.
        agreeing: number of seeds that predict this expression themselves.
    """

    id: str
    truth: int
    predicted: int
    probability: float
    agreeing: int


@dataclass(frozen=True)
class Surest:
    """Of one true expression the faces that were predicted most surely, the surest first.

    Attributes:
        truth: canonical 0..6.
        wrong, right: some of the faces that bear it.
    """

    truth: int
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
            SureFace(str(mean.ids[i]), int(mean.labels[i]), int(mean.predicted[i]), float(surely[i]), int(agreeing[i]))
            for i in rows
        )

    occurring = [truth for truth in range(len(EXPRESSIONS)) if (mean.labels == truth).any()]
    of = {truth: mean.labels == truth for truth in occurring}
    return [Surest(truth, first(of[truth] & ~right), first(of[truth] & right)) for truth in occurring]

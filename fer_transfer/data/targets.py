"""Which faces a stage trains on, and what they are taken to show: release labels or FER+ votes, leaks, lost faces."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_transfer.data.labelling import Labelling
from fer_transfer.errors import FacesError
from fer_transfer.faces.faces import FERPLUS_COLUMNS, Faces
from fer_transfer.labels import EXPRESSIONS, UNLABELLED, expression_index, is_expression

#: Canonical index of each FER+ column, or UNLABELLED for contempt, unknown and NF.
_FERPLUS_TO_EXPRESSION = np.array(
    [expression_index(name) if is_expression(name) else UNLABELLED for name in FERPLUS_COLUMNS]
)


def check_votes(faces: Sequence[Faces], labelling: Labelling) -> None:
    """Refuse a labelling by votes where a release that may carry votes was prepared without.

    Other releases (EmotiW) keep their labels: one recipe serves all stages of a plan.

    Raises:
        FacesError: naming the folders.
    """
    needed = labelling.labels != "release" or labelling.drop_non_faces
    without = [f.folder for f in faces if f.votes is None and "ferplus" in f.manifest["settings"]]
    if needed and without:
        raise FacesError(
            f"Expected FER+ votes in {', '.join(map(str, without))}, but there are none. "
            "Prepare with release.ferplus=<fer2013new.csv>, or use recipe.labelling.labels=release."
        )


def select_rows(faces: Faces, splits: Sequence[str], labelling: Labelling, training: bool) -> NDArray[np.int64]:
    """Rows of the splits that have a target, less what the labelling drops from training; int64 [n].

    Raises:
        FacesError: if a split is unknown.
    """
    rows = faces.rows(splits)
    keep = _hard_labels(faces, labelling.labels)[rows] != UNLABELLED
    if training and not labelling.train_on_lost:
        keep &= faces.found[rows]
    if training and labelling.drop_non_faces and faces.votes is not None:
        keep &= faces.votes[rows].argmax(axis=1) != FERPLUS_COLUMNS.index("NF")
    if training and labelling.drop_leaked:
        elsewhere = np.unique(faces.duplicate_of[~np.isin(faces.splits, list(splits))])
        keep &= ~np.isin(faces.duplicate_of[rows], elsewhere)
    kept: NDArray[np.int64] = rows[keep]
    return kept


def targets_of(faces: Faces, rows: NDArray[np.int64], labels: str) -> Tensor:
    """int64 [n] expressions, or float32 [n, 7] probabilities for ``ferplus_soft``."""
    if labels != "ferplus_soft":
        return torch.from_numpy(_hard_labels(faces, labels)[rows].astype(np.int64))
    if faces.votes is None:
        return torch.nn.functional.one_hot(
            torch.from_numpy(faces.labels[rows].astype(np.int64)), len(EXPRESSIONS)
        ).float()
    soft = _expression_votes(faces.votes)[rows].astype(np.float32)
    return torch.from_numpy(soft / soft.sum(axis=1, keepdims=True))


def _hard_labels(faces: Faces, labels: str) -> NDArray[np.int64]:
    """int64 [N]; UNLABELLED where the labelling gives a face none."""
    votes = faces.votes
    if labels == "release" or votes is None:
        return faces.labels.astype(np.int64)
    if labels == "ferplus_soft":
        expressions = _expression_votes(votes)
        return np.where(expressions.sum(axis=1) > 0, expressions.argmax(axis=1), UNLABELLED)
    tied = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return np.where(tied, UNLABELLED, _FERPLUS_TO_EXPRESSION[votes.argmax(axis=1)])


def _expression_votes(votes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """int64 [N, 7], FER+ votes for the seven in canonical order."""
    order = [int(np.flatnonzero(i == _FERPLUS_TO_EXPRESSION)[0]) for i in range(len(EXPRESSIONS))]
    return votes[:, order].astype(np.int64)

"""Which faces a stage trains on, and what they are taken to show: release labels or FER+ votes, leaks, lost faces."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_transfer.data.labelling import Labelling
from fer_transfer.errors import FacesError
from fer_transfer.faces.division import unrelated
from fer_transfer.faces.faces import FERPLUS_COLUMNS, Faces
from fer_transfer.labels import UNLABELLED, LabelSet


def check_votes(faces: Sequence[Faces], labelling: Labelling) -> None:
    """Refuse a labelling by votes where a release that may carry votes was prepared without.

    Other releases (EmotiW) keep their labels: one recipe serves all stages of a plan.

    Raises:
        FacesError: naming the folders; or the classes of faces with votes that these do not know.
    """
    without = [f.folder for f in faces if f.votes is None and "ferplus" in f.manifest["settings"]]
    if labelling.by_votes and without:
        raise FacesError(
            f"Expected FER+ votes in {', '.join(map(str, without))}, but there are none. "
            "Prepare with release.ferplus=<fer2013new.csv>, or use recipe.labelling.labels=release."
        )

    if labelling.labels != "release":
        for of in faces:
            if of.votes is not None and (unknown := sorted(set(range(len(of.classes))) - set(_voted(of.classes)))):
                names = ", ".join(of.classes[label] for label in unknown)
                raise FacesError(
                    f"Expected classes that FER+ votes know ({', '.join(FERPLUS_COLUMNS[:8])}) in {of.folder}, but {names} are "
                    "none. Use recipe.labelling.labels=release."
                )


def none_left(splits: Mapping[str, Sequence[str]], faces: Mapping[str, Faces], labelling: Labelling) -> FacesError:
    """What is told where no face of the splits has a target: how many there were, why none counts, and what to do."""
    rows = {name: faces[name].rows(of) for name, of in splits.items()}
    lost = sum(int((~faces[name].found[of]).sum()) for name, of in rows.items())
    unlabelled = sum(int((faces[name].labels[of] == UNLABELLED).sum()) for name, of in rows.items())
    count = sum(map(len, rows.values()))
    names = [f"{name} {split}" for name, of in splits.items() for split in of]
    where = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    folders = ", ".join(str(faces[name].folder) for name in splits)
    if unlabelled == count:
        advice = "Choose splits with labels (recipe.data)."
    elif lost and not labelling.train_on_lost:
        advice = (
            f"Look at the sheet.jpg of {folders}; prepare with another detector (pipeline=...), or with release.aligned=true "
            "where pictures are faces already. recipe.labelling.train_on_lost=true trains on lost ones too."
        )
    else:
        advice = f"Left out by {labelling}: change recipe.labelling."
    return FacesError(
        f"Expected labelled faces in {where or 'some split'}, but of {count} none is left: {lost} are lost, {unlabelled} "
        f"have no label. {advice}"
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
        elsewhere = np.unique(faces.duplicate_of[~faces.of_splits(splits)])
        keep &= ~np.isin(faces.duplicate_of[rows], elsewhere)
    kept: NDArray[np.int64] = rows[keep]
    return kept


def without_held_out(faces: Faces, rows: NDArray[np.int64], splits: Sequence[str]) -> NDArray[np.int64]:
    """Of rows to train on, those that have no subject and no picture in common with shares that are held out.

    Args:
        faces: of the rows.
        rows: int64 [n].
        splits: names of splits, of which those that are held out count.

    Raises:
        FacesError: if a share cannot be held out.
    """
    held = [split for split in splits if split not in faces.split_names]
    return unrelated(faces, rows, faces.few(None).rows(held)) if held else rows


def with_geometry(faces: Faces, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of rows to train on, those of which geometry is known: not those that were lost, nor those that were not searched.

    Raises:
        FacesError: if the faces have none.
    """
    known: NDArray[np.int64] = rows[np.isfinite(faces.seen("geometry")[rows, 0])]
    return known


def targets_of(faces: Faces, rows: NDArray[np.int64], labels: str) -> Tensor:
    """int64 [n] classes, or float32 [n, C] probabilities for ``ferplus_soft``."""
    if labels != "ferplus_soft":
        return torch.from_numpy(_hard_labels(faces, labels)[rows].astype(np.int64))
    if faces.votes is None:
        hard = torch.from_numpy(faces.labels[rows].astype(np.int64))
        return torch.nn.functional.one_hot(hard, len(faces.classes)).float()
    soft = _class_votes(faces.votes, faces.classes)[rows].astype(np.float32)
    return torch.from_numpy(soft / soft.sum(axis=1, keepdims=True))


def balanced_chances(targets: Tensor) -> Tensor:
    """Float64 [N]: chances of faces where a class is drawn first, each as likely, and then a face by its share of it.

    >>> balanced_chances(torch.tensor([0, 0, 0, 3])).tolist()
    [0.333..., 0.333..., 0.333..., 1.0]
    """
    shares = torch.nn.functional.one_hot(targets).double() if targets.ndim == 1 else targets.double()
    counts = shares.sum(dim=0)
    return shares @ torch.where(counts > 0, 1 / counts, torch.zeros_like(counts))


def _hard_labels(faces: Faces, labels: str) -> NDArray[np.int64]:
    """int64 [N]; UNLABELLED where the labelling gives a face none."""
    votes = faces.votes
    if labels == "release" or votes is None:
        return faces.labels.astype(np.int64)
    if labels == "ferplus_soft":
        of_classes = _class_votes(votes, faces.classes)
        return np.where(of_classes.sum(axis=1) > 0, of_classes.argmax(axis=1), UNLABELLED)
    tied = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1
    return np.where(tied, UNLABELLED, _voted(faces.classes)[votes.argmax(axis=1)])


def _voted(classes: tuple[str, ...]) -> NDArray[np.int64]:
    """int64 [10], the class of each FER+ column; UNLABELLED for unknown and NF, and for contempt where it is none."""
    labels = LabelSet(classes)
    return np.array([labels.index(name) if labels.knows(name) else UNLABELLED for name in FERPLUS_COLUMNS])


def _class_votes(votes: NDArray[np.uint8], classes: tuple[str, ...]) -> NDArray[np.int64]:
    """int64 [N, C], FER+ votes for the classes in their order."""
    voted = _voted(classes)
    return votes[:, [int(np.flatnonzero(i == voted)[0]) for i in range(len(classes))]].astype(np.int64)

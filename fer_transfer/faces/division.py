"""Which faces of a split are held out of training, to select on.

Faces of one subject, or with the same pixels, are one group and stay together. Groups come in an order that the seed gives; one
is held out where that brings the number of faces held out of every expression nearer to its share. So a split is divided alike
in every stage, whatever else is trained on, and expressions keep their proportions as far as subjects allow.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import FacesError
from fer_transfer.faces.held_out import HeldOut

if TYPE_CHECKING:
    from fer_transfer.faces.faces import Faces


def held_out_of(faces: "Faces", split: str, share: float, seed: int) -> HeldOut:
    """A share of a split of some faces.

    Raises:
        FacesError: if it is not known whose faces they are, nor that the release does not tell.
    """
    if faces.subject_of is None:
        raise FacesError(
            f"Expected in {faces.folder} whose face each is, to hold out a share by it, but an older fer_transfer prepared them. "
            "Repeat the fer-prepare command with replace=true: the faces, and so what was trained on them, stay the same."
        )
    return HeldOut(split, share, seed, faces.subjects)


def groups(faces: "Faces") -> NDArray[np.int32]:
    """int32 [N]: the group of each face; faces of one subject, and found ones with the same pixels, are in one."""
    from scipy.sparse import coo_array  # here: few stages hold faces out
    from scipy.sparse.csgraph import connected_components

    assert faces.subject_of is not None, "held_out_of comes first"
    found = np.flatnonzero(faces.found)  # what stands in for lost faces looks alike
    _, first, same = np.unique(faces.duplicate_of[found], return_index=True, return_inverse=True)
    ends = np.concatenate([np.arange(len(faces)), found]), np.concatenate([faces.subject_of, found[first][same]])
    links = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(len(faces), len(faces)))
    of: NDArray[np.int32] = connected_components(links, directed=False)[1]
    return of


def held_out_rows(faces: "Faces", held: HeldOut) -> NDArray[np.int64]:
    """int64 [n], ascending: the rows that are held out.

    Raises:
        FacesError: if the faces are of other subjects than it was divided by, or the share comes to no face.
    """
    if held_out_of(faces, held.split, held.share, held.seed) != held:
        raise FacesError(
            f"Expected in {faces.folder} the subjects that {held.name} was divided by, but they are others."
        )
    rows = np.flatnonzero(faces.of_splits(held.splits(faces.split_names)))
    _, first, own = np.unique(groups(faces)[rows], return_index=True, return_inverse=True)
    order = np.random.RandomState(held.seed).permutation(len(first))  # of all numpy's generators this one never changes
    taken = _nearest(own, faces.labels[rows].astype(np.int64), np.argsort(first)[order], held.share)
    if not taken.any():
        raise FacesError(
            f"Expected faces of {held.split} in {faces.folder} to hold out, but {held.share:g} of {len(rows)} comes to none. "
            "Raise recipe.selection.share."
        )
    chosen: NDArray[np.int64] = rows[taken[own]]
    return chosen


def _nearest(
    group: NDArray[np.int64], labels: NDArray[np.int64], order: NDArray[np.int64], share: float
) -> NDArray[np.bool_]:
    """Bool [groups]: those that, taken in an order, bring the counts of labels nearer to their share; rare ones weigh as much."""
    columns, label = np.unique(labels, return_inverse=True)
    pairs, counts = np.unique(group * len(columns) + label, return_counts=True)
    starts = np.searchsorted(pairs, np.arange(len(order) + 1) * len(columns)).tolist()
    of, has = (pairs % len(columns)).tolist(), counts.tolist()
    all_of = np.bincount(label).tolist()
    missing = [share * count for count in all_of]
    taken = np.zeros(len(order), bool)
    for number in order.tolist():
        own = range(starts[number], starts[number + 1])
        if sum(has[i] * (has[i] - 2 * missing[of[i]]) / all_of[of[i]] for i in own) < 0:
            taken[number] = True
            for i in own:
                missing[of[i]] -= has[i]
    return taken


def unrelated(faces: "Faces", rows: NDArray[np.int64], held: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of some rows those whose group has no face among others: neither a subject of theirs nor a picture."""
    of = groups(faces)
    apart: NDArray[np.int64] = rows[~np.isin(of[rows], of[held])]
    return apart

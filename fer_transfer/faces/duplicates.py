"""Exact duplicates in prepared faces: within and across splits, and under conflicting labels.

FER-2013 holds one picture in twenty more than once (34034 distinct of 35887), some of them in Training and in an
evaluation split at the same time, some with two expressions. A recipe can drop the former from training.
"""

from typing import Any

import numpy as np

from fer_transfer.faces.faces import Faces

#: Names of the splits to train on, of FER-2013 and of EmotiW.
TRAINING_SPLITS = ("Training", "Train")

_CHUNK = 4096  # faces looked at together, so that the memory map is never in memory as a whole


def duplicates(faces: Faces) -> dict[str, Any]:
    """Count exact duplicates.

    Returns:
        Plain JSON: ``faces``; ``distinct`` pictures; ``conflicting``, the number of distinct pictures that occur
        with two or more labels; ``also_in_training``, for each other split the number of its rows whose picture also
        stands in the training split; ``constant``, the number of rows of one colour.
    """
    group = faces.duplicate_of
    labelled = faces.labels >= 0
    pairs = np.unique(np.stack([group[labelled], faces.labels[labelled].astype(group.dtype)]), axis=1)
    labels_of_group = np.unique(pairs[0], return_counts=True)[1]
    training = np.isin(faces.splits, TRAINING_SPLITS)
    shared = np.isin(group, group[training])
    others = sorted(set(faces.splits[~training].tolist()))
    return {
        "faces": len(faces),
        "distinct": len(np.unique(group)),
        "conflicting": int((labels_of_group > 1).sum()),
        "also_in_training": {split: int(shared[faces.splits == split].sum()) for split in others},
        "constant": _constant(faces),
    }


def duplicate_lines(found: dict[str, Any]) -> list[str]:
    """What ``duplicates`` counted, as lines for the terminal; none where every picture is distinct and has detail."""
    lines = []
    if extra := found["faces"] - found["distinct"]:
        lines.append(
            f"exact duplicates: {found['distinct']} distinct pictures of {found['faces']} ({extra} repeat another), "
            f"{found['conflicting']} of them with conflicting labels"
        )
    for split, count in found["also_in_training"].items():
        if count:
            lines.append(f"{count} faces of {split} also stand in the training split")
    if found["constant"]:
        lines.append(f"{found['constant']} faces are of one constant colour")
    return lines


def _constant(faces: Faces) -> int:
    count = 0
    for start in range(0, len(faces), _CHUNK):
        flat = faces.pixels[start : start + _CHUNK].reshape(-1, faces.pixels[0].size)
        count += int((flat.min(axis=1) == flat.max(axis=1)).sum())
    return count

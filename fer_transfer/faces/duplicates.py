"""Exact duplicates in prepared faces: within and across splits, and under conflicting labels.

FER-2013 holds one picture in twenty more than once (34034 distinct of 35887), some of them in Training and in an
evaluation split at the same time, some with two expressions. A recipe can drop the former from training.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: What the owners call the split to train on (FER-2013, EmotiW).
TRAINING_SPLITS = ("Training", "Train")


def duplicates(
    splits: NDArray[np.str_], labels: NDArray[np.int8], duplicate_of: NDArray[np.int32], constant: int
) -> dict[str, Any]:
    """Count exact duplicates.

    Args:
        splits: str [N].
        labels: int8 [N], canonical or UNLABELLED.
        duplicate_of: int32 [N], row of the first face with exactly the same pixels.
        constant: number of faces of one colour.

    Returns:
        Plain JSON: ``faces``; ``distinct`` pictures; ``conflicting``, the number of distinct pictures that occur
        with two or more labels; ``also_in_training``, for each other split the number of its rows whose picture also
        stands in the training split; ``constant``.
    """
    labelled = labels >= 0
    pairs = np.unique(np.stack([duplicate_of[labelled], labels[labelled].astype(duplicate_of.dtype)]), axis=1)
    labels_of_picture = np.unique(pairs[0], return_counts=True)[1]
    training = np.isin(splits, TRAINING_SPLITS)
    shared = np.isin(duplicate_of, duplicate_of[training])
    others = sorted(set(splits[~training].tolist()))
    return {
        "faces": len(splits),
        "distinct": len(np.unique(duplicate_of)),
        "conflicting": int((labels_of_picture > 1).sum()),
        "also_in_training": {split: int(shared[splits == split].sum()) for split in others},
        "constant": constant,
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

"""Exact duplicates in prepared faces: within and across splits, and under conflicting labels.

FER-2013 holds one picture in twenty more than once (34034 distinct of 35887), some of them in Training and in an
evaluation split at the same time, some with two expressions. A recipe can drop the former from training.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def duplicates(
    names: Sequence[str],
    splits: NDArray[np.integer],
    labels: NDArray[np.int8],
    duplicate_of: NDArray[np.int32],
    constant: int,
) -> dict[str, Any]:
    """Count exact duplicates.

    Args:
        names: of the splits, in the order of the release.
        splits: integer [N], numbers of names; a split without a face is left out.
        labels: int8 [N], canonical or UNLABELLED.
        duplicate_of: int32 [N], row of the first face with exactly the same pixels.
        constant: number of faces of one colour.

    Returns:
        Plain JSON: ``faces``; ``distinct`` pictures; ``conflicting``, the number of distinct pictures that occur
        with two or more labels; ``repeated``, by split the number of its rows whose picture stands in it earlier;
        ``also_in``, for each split and each split before it in the release, the number of the former's rows whose
        picture also stands in the latter; ``constant``.
    """
    labelled = labels >= 0
    pairs = np.unique(np.stack([duplicate_of[labelled], labels[labelled].astype(duplicate_of.dtype)]), axis=1)
    labels_of_picture = np.unique(pairs[0], return_counts=True)[1]
    by_name = {split: duplicate_of[splits == number] for number, split in enumerate(names)}
    pictures = {split: of for split, of in by_name.items() if len(of)}
    order = list(pictures)
    return {
        "faces": len(splits),
        "distinct": len(np.unique(duplicate_of)),
        "conflicting": int((labels_of_picture > 1).sum()),
        "repeated": {split: len(of) - len(np.unique(of)) for split, of in pictures.items()},
        "also_in": {
            split: {earlier: int(np.isin(pictures[split], pictures[earlier]).sum()) for earlier in order[:i]}
            for i, split in enumerate(order)
        },
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
        within = ", ".join(f"{split} {count}" for split, count in found["repeated"].items())
        lines.append(f"repeated within a split: {within}")
    for split, others in found["also_in"].items():
        lines += [
            f"{count} {f'face of {split} also stands' if count == 1 else f'faces of {split} also stand'} in {other}"
            for other, count in others.items()
            if count
        ]
    if found["constant"]:
        count = found["constant"]
        lines.append(f"{count} {'face is' if count == 1 else 'faces are'} of one constant colour")
    return lines

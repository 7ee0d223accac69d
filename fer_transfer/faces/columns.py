"""What is read of each face when prepared faces are opened: all that their index tells but the ids, in 12 bytes a face.

Ids take most of an index (a hundred bytes each and more) and are wanted where a face is named, not where faces are trained on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: ``split``: its number, in the order of the release. ``subject_of``: row of the first face of the same subject.
COLUMN_TYPES = np.dtype([
    ("split", "<u2"), ("label", "i1"), ("found", "?"), ("duplicate_of", "<i4"), ("subject_of", "<i4"),
])  # fmt: skip


def index_types(id: int, split: int) -> np.dtype[Any]:
    """The type of an entry of the index, whose longest id and name of a split have so many characters."""
    return np.dtype([
        ("id", f"<U{id}"), ("split", f"<U{split}"), ("label", "i1"), ("found", "?"), ("duplicate_of", "<i4"),
    ])  # fmt: skip


def columns_of(index: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Names of the splits, and the columns of an index of before they were kept; subjects, which it does not tell, are rows."""
    names, first, numbers = np.unique(index["split"], return_index=True, return_inverse=True)
    order = np.argsort(first)  # as the release has them, not by the alphabet
    columns = np.zeros(len(index), COLUMN_TYPES)
    columns["split"] = np.argsort(order)[numbers]
    for name in ("label", "found", "duplicate_of"):
        columns[name] = index[name]
    columns["subject_of"] = np.arange(len(index))
    return tuple(names[order].tolist()), columns


def first_with(marks: NDArray[np.uint64]) -> NDArray[np.int32]:
    """int32 [N]: for each of N marks [N, words] the row of the first that is the same.

    >>> first_with(np.array([[7, 1], [8, 1], [7, 1]], np.uint64)).tolist()
    [0, 1, 0]
    """
    order = np.lexsort(marks.T)  # stable: of the same ones the first row comes first
    ranked = marks[order]
    begins = np.ones(len(marks), bool)
    begins[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    first = np.empty(len(marks), np.int32)
    first[order] = order[begins][np.cumsum(begins) - 1]
    return first

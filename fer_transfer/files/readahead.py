"""Telling the system which parts of a file are wanted soon, so that a disk is read while the processor is busy.

A page of a memory map that is not in memory stops the thread that touches it for as long as a disk takes, one page after another.
What was asked for before is read meanwhile, many pages at once, as disks like it.
"""

import mmap
import os
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray


def will_need(array: NDArray[Any], rows: NDArray[np.integer]) -> None:
    """Ask for some rows of a memory-mapped array to be read; of any other array, and where the system cannot, do nothing.

    Args:
        array: as ``np.load(..., mmap_mode="r")`` gives it.
        rows: integer [n], in any order.
    """
    path = getattr(array, "filename", None)
    if path is None or not len(rows) or not hasattr(os, "posix_fadvise"):
        return
    size, offset = array.strides[0], array.offset  # type: ignore[attr-defined]
    with suppress(OSError, AttributeError):  # hints, which not every system knows
        # Rows in any order: reading on from each, as for a file that is read through, would push others out of little memory.
        array._mmap.madvise(mmap.MADV_RANDOM)  # type: ignore[attr-defined]
        file = os.open(path, os.O_RDONLY)
        try:
            for first, count in runs(rows):
                os.posix_fadvise(file, offset + first * size, count * size, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(file)


def runs(rows: NDArray[np.integer]) -> list[tuple[int, int]]:
    """First row and number of each run of neighbours.

    >>> runs(np.array([7, 3, 4, 4, 5]))
    [(3, 3), (7, 1)]
    """
    ordered = np.unique(rows)
    begins = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 2) > 1)
    counts = np.diff(begins, append=len(ordered))
    return list(zip(ordered[begins].tolist(), counts.tolist(), strict=True))

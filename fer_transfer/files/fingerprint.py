"""Fingerprints of entries of an array: cheap enough to be taken of every face where it is made, and again where it is read."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def fingerprints(entries: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """uint64 [N] of entries [N, bytes]: of others they are others, but for one pair in 2**32 at most (multilinear hashing).

    >>> bool(fingerprints(np.zeros((1, 3), np.uint8)) == fingerprints(np.ones((1, 3), np.uint8)))
    False
    """
    if rest := -entries.shape[1] % 4:
        entries = np.pad(entries, ((0, 0), (0, rest)))
    # Modulo 2**64 the upper bits of words of 64 would hardly count.
    words = np.ascontiguousarray(entries).view(np.uint32).astype(np.uint64)
    found: NDArray[np.uint64] = words @ _weights(words.shape[1])
    return found


@lru_cache(4)
def _weights(count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(0).integers(0, 2**64, count, np.uint64)


class Mark(NamedTuple):
    """What is kept of the pixels of a face where they are made.

    Attributes:
        fingerprint: see ``fingerprints``.
        constant: whether all are the same.
    """

    fingerprint: int
    constant: bool


def marks(entries: NDArray[np.uint8]) -> list[Mark]:
    """Of each of entries [N, bytes].

    >>> [mark.constant for mark in marks(np.array([[7, 7], [7, 8]], np.uint8))]
    [True, False]
    """
    same = entries[:, 0] == entries[:, -1]  # of few faces: only those are looked at
    same[same] = (entries[same] == entries[same][:, :1]).all(axis=1)
    return [Mark(*known) for known in zip(fingerprints(entries).tolist(), same.tolist(), strict=True)]

"""The pixels of faces are read back while others are still added: their digest, and whether they are what was added.

SHA-256 of them takes a tenth of the time of decoding small pictures; at the end all cores but one would wait for it.
"""

import hashlib
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fer_transfer.faces.columns import first_with
from fer_transfer.files.entries import Entries
from fer_transfer.files.fingerprint import fingerprints

if TYPE_CHECKING:
    from fer_transfer.files.digest import Sha256

#: Bytes of what tells a picture from others.
_MARK = 16


class Readback:
    """Reads a file of an array of uint8 (npy) as far as it is told, in a thread.

    Args:
        path: of the file.
        shape: of the array; its first number is that of the entries.

    Attributes:
        fingerprints: uint64 [N], of the entries that were read (``fingerprints``); 0 of others.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.fingerprints = np.zeros(shape[0], np.uint64)
        self._digest = hashlib.sha256()
        self._entries = Entries(path, shape)
        self._told: SimpleQueue[int | None] = SimpleQueue()
        self._error: OSError | None = None
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def until(self, count: int) -> None:
        """Tell that so many entries are in the file, and will not change."""
        self._told.put(count)

    def end(self) -> "Sha256":
        """Wait until all that was told is read, and give the SHA-256 of it.

        Raises:
            OSError: if it cannot be read.
        """
        self._told.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._digest

    def _read(self) -> None:
        done = 0
        try:
            self._digest.update(self._entries.header)
            for count in iter(self._told.get, None):
                for block in self._entries.blocks(done, count):
                    self._digest.update(block.data)
                    self.fingerprints[done : done + len(block)] = fingerprints(block)
                    done += len(block)
        except OSError as error:
            self._error = error


def fingerprints_of(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint64]:
    """uint64 [N]: of all entries of a file; 0 of those that are not there.

    Raises:
        OSError: if it cannot be read.
    """
    found = np.zeros(shape[0], np.uint64)
    done = 0
    for block in Entries(path, shape).blocks(0, shape[0]):
        found[done : done + len(block)] = fingerprints(block)
        done += len(block)
    return found


def first_same(path: Path, shape: tuple[int, ...], found: NDArray[np.uint64]) -> NDArray[np.int32]:
    """int32 [N]: for each of the entries of a file the row of the first that is the same; those of one fingerprint are compared.

    Raises:
        OSError: if it cannot be read.
    """
    first = np.arange(shape[0], dtype=np.int32)
    ordered = np.sort(found)  # a number that several have stands beside itself
    if len(rows := np.flatnonzero(np.isin(found, ordered[1:][ordered[1:] == ordered[:-1]]))):
        entries = Entries(path, shape)
        marks = [_mark(next(entries.blocks(row, row + 1))) for row in rows.tolist()]
        first[rows] = rows[first_with(np.stack(marks))]
    return first


def _mark(entry: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.frombuffer(hashlib.blake2b(entry.data, digest_size=_MARK).digest(), np.uint64)

"""Entries of a file of an array of uint8 (npy), by their place: written by several processes at once, and read back."""

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Bytes that are read at a time.
_BLOCK = 1 << 22


class Entries:
    """The entries of a file of an array; it can be pickled.

    Args:
        path: of the file.
        shape: of the array; its first number is that of the entries.

    Attributes:
        header: what numpy puts before them.
        size: bytes of one.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.header, self.size = path, array_header(shape), math.prod(shape[1:])

    def place(self, row: int) -> int:
        """Where an entry begins in the file."""
        return len(self.header) + row * self.size

    def write(self, row: int, entries: NDArray[np.uint8]) -> None:
        """Write uint8 [n, ...] in their places from this row on; the file is there.

        Raises:
            OSError: if they cannot be written; a part of them may be.
        """
        with self.path.open("r+b") as file:
            file.seek(self.place(row))
            file.write(np.ascontiguousarray(entries).data)

    def read(self, row: int, count: int) -> NDArray[np.uint8]:
        """uint8 [count, bytes of an entry] from this row on; 0 where the file has ended.

        Raises:
            OSError: if it cannot be read.
        """
        found = np.zeros((count, self.size), np.uint8)
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.place(row))
            file.readinto(found.data.cast("B"))
        return found

    def blocks(self, start: int, stop: int) -> Iterator[NDArray[np.uint8]]:
        """uint8 [n, bytes of an entry]: those from start to stop, as far as they are there; none behind another header.

        Raises:
            OSError: if it cannot be read.
        """
        step = max(1, _BLOCK // self.size)
        with self.path.open("rb", buffering=0) as file:
            if file.read(len(self.header)) != self.header:
                return
            file.seek(self.place(start))
            for row in range(start, stop, step):
                data = file.read(min(step, stop - row) * self.size)
                there = len(data) // self.size
                yield np.frombuffer(data, np.uint8, there * self.size).reshape(there, self.size)


def array_header(shape: tuple[int, ...]) -> bytes:
    """What numpy puts before an array of uint8 in a file (npy)."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()

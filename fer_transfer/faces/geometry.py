"""What is kept of faces beside their pixels where a landmarker tells it: points in space, blendshapes, the head's pose."""

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.geometry import GEOMETRY, Geometry, nothing_known
from fer_transfer.errors import FacesError

#: The array's file: ``detection.geometry.GEOMETRY`` [N].
FILE = "geometry.npy"


class GeometryWriter:
    """Writes the file face by face, from the first of which something is known; without such a one there is none.

    Args:
        path: of the file.
        count: number of faces.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.path, self._count, self._row = path, count, 0
        self._file: IO[bytes] | None = None

    def add(self, geometry: Geometry | None) -> None:
        """The next face's, or None where nothing is known of it."""
        if geometry is not None and self._file is None:
            self._file = self.path.open("wb")
            header = {"descr": np.lib.format.dtype_to_descr(GEOMETRY), "fortran_order": False, "shape": (self._count,)}
            np.lib.format.write_array_header_1_0(self._file, header)
            self._file.write(nothing_known().tobytes() * self._row)
        if self._file is not None:
            self._file.write((nothing_known() if geometry is None else geometry).tobytes())
        self._row += 1

    def close(self) -> bool:
        """Whether there is a file, which is whole now."""
        if self._file is None:
            return False
        self._file.close()
        return True


def open_geometry(folder: Path, count: int) -> NDArray[np.void]:
    """GEOMETRY [count], a read-only memory map.

    Raises:
        FacesError: if it cannot be opened, or holds something else.
    """
    try:
        found: NDArray[np.void] = np.load(folder / FILE, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise FacesError(
            f"Expected {folder / FILE}, but it cannot be opened ({error}). Prepare the faces again."
        ) from None
    if found.dtype != GEOMETRY or found.shape != (count,):
        raise FacesError(
            f"Expected {count} entries of points, blendshapes and pose in {folder / FILE}, but got {found.shape} of "
            f"{', '.join(found.dtype.names or (str(found.dtype),))}. Prepare the faces again."
        )
    return found

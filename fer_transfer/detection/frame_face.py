"""The face of one picture as a pipeline hands it over, and what stands in for one that cannot be read."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.geometry import Geometry
from fer_transfer.files.fingerprint import Mark

#: How the reason begins where there is no frame to search, or no search that ended.
UNREADABLE = "unreadable"

#: Grey of a face that nothing is known of.
_NOTHING = 128


def _zeros(*shape: int) -> NDArray[np.float32]:
    """Of all faces that have nothing there; none may write to them."""
    zeros = np.zeros(shape, np.float32)
    zeros.flags.writeable = False
    return zeros


class FrameFace(NamedTuple):
    """The face of one picture.

    Attributes:
        pixels: uint8 [size, size], grey, or [size, size, 3], RGB.
        kind: ``found``; ``lost``; ``bypassed``: not searched, the picture is a face already.
        reason: why it was lost, or what is to be known of it ("reaches beyond the frame"), in a few words.
        score: of the face that was taken, or of the best that was refused, 0..1.
        box: float32 [4], its box (x, y, width, height) in pixels; zeros where there is none.
        eyes: float32 [2, 2], its eye centres (x, y), the person's right one first; zeros where there are none.
        faces: number of faces that passed in this picture.
        points: float32 [468, 2], or 478, its landmarks (x, y) in pixels; None where there are none, or where they were not kept.
        geometry: what else its landmarker tells of it (``detection.geometry``), or None.
        mark: what was kept of its pixels where they were made, or None.
    """

    pixels: NDArray[np.uint8]
    kind: str
    reason: str = ""
    score: float = 0.0
    box: NDArray[np.float32] = _zeros(4)
    eyes: NDArray[np.float32] = _zeros(2, 2)
    faces: int = 0
    points: NDArray[np.float32] | None = None
    geometry: Geometry | None = None
    mark: Mark | None = None


def unreadable(shape: tuple[int, ...], reason: str) -> FrameFace:
    """What stands in for a picture that cannot be read: one grey, of the shape of a pipeline's faces."""
    return FrameFace(np.full(shape, _NOTHING, np.uint8), "lost", f"{UNREADABLE}: {reason}")

"""A map laid over a face, as colours."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.colour import as_bgr

_STRONGEST = 0.75  # share of the colour where the map is 1: the face stays to be seen


def heated(face: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A face under its map: as it is where the map is 0, from purple to yellow where it is more.

    Args:
        face: uint8 [H, W], grey, or [H, W, 3], RGB.
        values: float32 [H, W], 0..1.

    Returns:
        uint8 [H, W, 3], BGR.

    >>> heated(np.full((1, 2), 100, np.uint8), np.array([[0.0, 1.0]], np.float32)).tolist()
    [[[100, 100, 100], [148, 216, 214]]]
    """
    colours = cv2.applyColorMap(np.rint(255 * values).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = _STRONGEST * values[..., None]
    return np.asarray(np.rint(share * colours + (1 - share) * as_bgr(face)), np.uint8)

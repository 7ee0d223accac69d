"""Grey and colour: what of a frame becomes a face, and a face as OpenCV draws and writes it.

Faces in colour are RGB wherever they are kept or handed on; BGR is OpenCV's, of frames and of what is drawn.
"""

import cv2
import numpy as np
from numpy.typing import NDArray


def picture_of(frame: NDArray[np.uint8], colour: bool) -> NDArray[np.uint8]:
    """A frame, uint8 [H, W, 3] BGR, as faces are cut out of it: grey [H, W], or RGB [H, W, 3].

    >>> picture_of(np.array([[[0, 0, 255]]], np.uint8), colour=True).tolist()
    [[[255, 0, 0]]]
    """
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB if colour else cv2.COLOR_BGR2GRAY), np.uint8)


def as_bgr(face: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A face, grey uint8 [H, W] or RGB [H, W, 3], as OpenCV draws and writes it: BGR [H, W, 3]."""
    return np.asarray(cv2.cvtColor(face, cv2.COLOR_GRAY2BGR if face.ndim == 2 else cv2.COLOR_RGB2BGR), np.uint8)


def repeated(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey faces uint8 [N, H, W] in three channels, [N, H, W, 3]; those in colour as they are."""
    return faces if faces.ndim == 4 else np.repeat(faces[..., None], 3, axis=3)

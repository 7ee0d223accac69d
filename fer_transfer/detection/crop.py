"""Cutting a face out of a picture, grey or RGB, by a box, without stretching it to one side, and the stretch of its range."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ConfigError

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class BoxCrop:
    """How a face is cut by a box: as a detector, or the owners of aligned faces, leave it.

    Attributes:
        size: height and width of the crop in pixels.
        stretch: whether the darkest and brightest pixel of the crop become 0 and 255 (Ng et al. 2015); see ``stretch_range``.

    Raises:
        ConfigError: if the size is under 8.
    """

    size: int = 256
    stretch: bool = True

    def __post_init__(self) -> None:
        if self.size < 8:
            raise ConfigError(f"Expected a crop of size >= 8, but got {self.size}. Change pipeline.crop.")

    def settings(self) -> dict[str, Any]:
        """The options, as plain JSON; faces cut by other ones are other faces."""
        return {"crop": "the detector's box", **asdict(self)}

    def cut(self, picture: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
        """Cut the square around a box (x, y, width, height) out of uint8 [H, W] or [H, W, 3]; uint8 [size, size] (, 3)."""
        face = cut(picture, box, self.size)
        return stretch_range(face) if self.stretch else face


def central_square(image: NDArray[np.uint8]) -> Box:
    """The box (x, y, width, height) of the shorter side in the middle of a picture [H, W] or [H, W, 3].

    >>> central_square(np.zeros((10, 20), np.uint8))
    (5, 0, 10, 10)
    """
    height, width = image.shape[:2]
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side, side


def cut(image: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """Cut the square around a box and resize it.

    Args:
        image: uint8 [H, W], or [H, W, 3].
        box: (x, y, width, height) in pixels; its longer side is the side of the square. What lies outside the
            picture repeats its edge.
        size: height and width of the result in pixels.

    Returns:
        uint8 [size, size], or [size, size, 3]: area averaging where it shrinks (nothing else avoids aliasing), bilinear where
        it grows.
    """
    x, y, width, height = box
    side = max(width, height)
    left, top = x - (side - width) // 2, y - (side - height) // 2
    right, bottom = left + side, top + side
    beyond = max(0, -left, -top, right - image.shape[1], bottom - image.shape[0])
    if beyond:
        image = cv2.copyMakeBorder(image, beyond, beyond, beyond, beyond, cv2.BORDER_REPLICATE)
    square = image[top + beyond : bottom + beyond, left + beyond : right + beyond]
    if side == size:
        return square.copy()
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    resized: NDArray[np.uint8] = cv2.resize(square, (size, size), interpolation=how)
    return resized


def stretch_range(image: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map the darkest pixel to 0 and the brightest to 255, linearly (Ng et al. 2015); one colour stays.

    In colour the darkest and brightest value of any channel: one map for all three, so that no colour becomes another.

    >>> stretch_range(np.array([[50, 60, 100]], np.uint8)).tolist()
    [[0, 51, 255]]
    """
    low, high, *_ = cv2.minMaxLoc(image.reshape(len(image), -1))
    if image.dtype == np.uint8:
        # The same values, computed once for each that a pixel may have.
        stretched: NDArray[np.uint8] = cv2.LUT(image, _stretched(low, high))
        return stretched
    return _linear(image, low, high)


@lru_cache(4096)
def _stretched(low: float, high: float) -> NDArray[np.uint8]:
    """uint8 [256]: what becomes of each value; those that do not occur are no matter."""
    return _linear(np.clip(np.arange(256.0), low, high), low, high)


def _linear(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    start, scale = (low, 255 / (high - low)) if high > low else (0.0, 1.0)
    linear = values - start  # then in its own memory: a temporary of a crop's size would be mapped anew at each step
    linear *= scale
    stretched: NDArray[np.uint8] = np.rint(linear, out=linear).astype(np.uint8)
    return stretched

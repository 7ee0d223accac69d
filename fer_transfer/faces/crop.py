"""Cutting a face out of a grey picture, without stretching it to one side."""

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]


def central_square(image: NDArray[np.uint8]) -> Box:
    """The box (x, y, width, height) of the shorter side in the middle of a picture [H, W].

    >>> central_square(np.zeros((10, 20), np.uint8))
    (5, 0, 10, 10)
    """
    height, width = image.shape
    side = min(height, width)
    return (width - side) // 2, (height - side) // 2, side, side


def cut(image: NDArray[np.uint8], box: Box, size: int) -> NDArray[np.uint8]:
    """Cut the square around a box and resize it.

    Args:
        image: uint8 [H, W].
        box: (x, y, width, height) in pixels; its longer side is the side of the square. What lies outside the
            picture repeats its edge.
        size: height and width of the result in pixels.

    Returns:
        uint8 [size, size]: area averaging where it shrinks (nothing else avoids aliasing), bilinear where it grows.
    """
    x, y, width, height = box
    side = max(width, height)
    left, top = x - (side - width) // 2, y - (side - height) // 2
    right, bottom = left + side, top + side
    beyond = max(0, -left, -top, right - image.shape[1], bottom - image.shape[0])
    if beyond:
        image = cv2.copyMakeBorder(image, beyond, beyond, beyond, beyond, cv2.BORDER_REPLICATE)
    square = image[top + beyond : bottom + beyond, left + beyond : right + beyond]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    resized: NDArray[np.uint8] = cv2.resize(square, (size, size), interpolation=how)
    return resized


def stretch_range(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Map the darkest pixel to 0 and the brightest to 255, linearly (Ng et al. 2015); one colour stays.

    >>> stretch_range(np.array([[50, 60, 100]], np.uint8)).tolist()
    [[0, 51, 255]]
    """
    low, high = int(image.min()), int(image.max())
    if low == high:
        return image
    table = np.clip((np.arange(256) - low) * (255.0 / (high - low)), 0, 255)
    stretched: NDArray[np.uint8] = np.rint(table).astype(np.uint8)[image]
    return stretched

"""A small rasteriser: triangles with a texture and light, far ones first, on one core in a few milliseconds."""

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]


def rasterised(
    points: Array, triangles: NDArray[np.int64], values: Array, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values of the vertices, interpolated over every pixel of the triangles that face the viewer.

    Args:
        points: float [V, 3]; x, y, z in pixels, (0, 0) the centre of the top left one; z grows away from the viewer.
        triangles: int [T, 3], clockwise in the picture where they are seen from outside.
        values: float [V, C].
        size: height and width in pixels.

    Returns:
        float32 [H, W, C], and bool [H, W]: where a triangle lies. Values elsewhere are the first triangle's.
    """
    height, width = size
    a, b, c = (points[triangles[:, i]] for i in range(3))
    first, second = b - a, c - a
    across = _cross(first, second)
    # Seen from the edge, values would change without bounds from pixel to pixel.
    faces_us = across[:, 2] > np.maximum(1e-3, 0.07 * np.sqrt(np.einsum("tc,tc->t", across, across)))
    high, low = np.maximum(np.maximum(a, b), c), np.minimum(np.minimum(a, b), c)
    inside = (high[:, 0] > -0.5) & (high[:, 1] > -0.5) & (low[:, 0] < width) & (low[:, 1] < height)
    front = np.flatnonzero(faces_us & inside)
    if not len(front):
        return np.zeros((*size, values.shape[1]), np.float32), np.zeros(size, bool)
    order = front[np.argsort(-(a + b + c)[front, 2], kind="stable")]
    owner = np.zeros(size, np.int32)
    for number, corner in enumerate(np.rint(points[triangles[order], :2] * 16).astype(np.int32), start=1):
        cv2.fillConvexPoly(owner, corner, number, cv2.LINE_8, 4)
    # Each value is a plane over the triangle: value = right * x + down * y + rest.
    value = values[triangles[order]]
    rise, climb, area = value[:, 1] - value[:, 0], value[:, 2] - value[:, 0], across[order, 2:]
    right = (rise * second[order, 1:2] - climb * first[order, 1:2]) / area
    down = (climb * first[order, 0:1] - rise * second[order, 0:1]) / area
    rest = value[:, 0] - right * a[order, 0:1] - down * a[order, 1:2]
    planes = [np.concatenate([plane[:1], plane]).astype(np.float32) for plane in (right, down, rest)]
    index = owner.ravel()
    x = np.tile(np.arange(width, dtype=np.float32), height)[:, None]
    y = np.repeat(np.arange(height, dtype=np.float32), width)[:, None]
    out: NDArray[np.float32] = planes[0][index] * x + planes[1][index] * y + planes[2][index]
    return out.reshape(height, width, -1), owner > 0


def _cross(a: Array, b: Array) -> Array:
    """Cross products of rows; numpy's own takes several times as long on few rows."""
    (x, y, z), (u, v, w) = a.T, b.T
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1)


def normals(points: Array, triangles: NDArray[np.int64]) -> Array:
    """Unit normals of the vertices, float64 [V, 3], away from the side where the triangles are clockwise; z < 0 there."""
    corners = points[triangles]
    faces = _cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    out = np.zeros_like(points)
    for i in range(3):
        for c in range(3):
            out[:, c] += np.bincount(triangles[:, i], faces[:, c], len(points))
    unit: Array = -out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
    return unit


def laid_over(picture: Picture, patch: NDArray[np.float32], mask: NDArray[np.float32], corner: tuple[int, int]) -> None:
    """Lay a patch, float32 [h, w, 3], over a picture at (x, y) of its top left pixel, as far as it lies inside.

    ``mask``, float32 [h, w] in 0..1, is the share of the patch in each pixel.
    """
    x, y = corner
    top, left = max(0, -y), max(0, -x)
    bottom, right = min(patch.shape[0], picture.shape[0] - y), min(patch.shape[1], picture.shape[1] - x)
    if top >= bottom or left >= right:
        return
    under = picture[y + top : y + bottom, x + left : x + right]
    share = mask[top:bottom, left:right, None]
    mixed = under + share * (patch[top:bottom, left:right] - under)
    under[:] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)

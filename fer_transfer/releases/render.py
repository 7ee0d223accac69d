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
    corners = points[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # Seen from the edge, values would change without bounds from pixel to pixel.
    front = np.flatnonzero(across[:, 2] > np.maximum(1e-3, 0.07 * np.linalg.norm(across, axis=1)))
    order = front[np.argsort(-corners[front, :, 2].mean(1), kind="stable")]
    owner = np.zeros(size, np.int32)
    for number, corner in enumerate(np.rint(corners[order, :, :2] * 16).astype(np.int32), start=1):
        cv2.fillConvexPoly(owner, corner, number, cv2.LINE_8, 4)
    flat = np.concatenate([corners[order, :, :2], np.ones((len(order), 3, 1))], axis=2)
    planes = np.linalg.solve(flat, values[triangles[order]]).astype(np.float32)  # [T, 3, C]
    planes = np.concatenate([planes[:1], planes])
    index = owner.ravel()
    x = np.tile(np.arange(width, dtype=np.float32), height)[:, None]
    y = np.repeat(np.arange(height, dtype=np.float32), width)[:, None]
    out = planes[:, 0][index] * x + planes[:, 1][index] * y + planes[:, 2][index]
    return out.reshape(height, width, -1), owner > 0


def normals(points: Array, triangles: NDArray[np.int64]) -> Array:
    """Unit normals of the vertices, float64 [V, 3], away from the side where the triangles are clockwise; z < 0 there."""
    corners = points[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
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

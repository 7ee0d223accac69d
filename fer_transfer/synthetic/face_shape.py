"""The mesh that synthetic faces are rendered from: MediaPipe's 468 points, their mean, variations and movements.

``face_shape.npz`` keeps averages only, each over at least 100 people (``experiments/face_shape`` learns them): the
neutral shape, its main variations, the mean movement of each expression, the mean brightness over the face and how
each expression changes it. All are symmetric, so one half is stored.

Coordinates are in eye distances: origin between the eyes, x to the right of the picture, y down, z away from the
viewer; the nose points to -z.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DATA = Path(__file__).with_name("face_shape.npz")

#: Six points of each eye, as MediaPipe numbers them; the person's right eye is the picture's left one.
RIGHT_EYE = (33, 160, 158, 133, 153, 144)
LEFT_EYE = (362, 385, 387, 263, 373, 380)

#: Rows and columns of the learned maps of brightness, and of what expressions change in it.
GRID, DELTA_GRID = (80, 140), (40, 70)
#: What the maps show of the unwrapped face: left, top, right, bottom in radians.
EXTENT = (-1.75, -0.88, 1.75, 1.12)
_CENTRE = (0.0, 0.45, 1.0)


@dataclass(frozen=True)
class FaceShape:
    """What was learned, both sides of the face.

    Attributes:
        triangles: int64 [852, 3], all turned the same way round.
        mirror: int64 [468], the vertex on the other side of each.
        mean: float64 [468, 3], the neutral face.
        modes: float64 [8, 468, 3], its main variations, one standard deviation each, the largest first.
        moved: float64 [6, 468, 3], the mean movement of Angry, Disgust, Fear, Happy, Sad and Surprise.
        tone: float32 [*GRID], brightness over the unwrapped face, in units of its median.
        shade: float32 [6, *DELTA_GRID], what each of the six expressions adds to it.
        uv: float64 [468, 2], where the vertices lie on the unwrapped face.
    """

    triangles: NDArray[np.int64]
    mirror: NDArray[np.int64]
    mean: Array
    modes: Array
    moved: Array
    tone: NDArray[np.float32]
    shade: NDArray[np.float32]
    uv: Array


@lru_cache(maxsize=1)
def face_shape() -> FaceShape:
    """What was learned, read once."""
    with np.load(DATA) as data:
        mirror = data["mirror"].astype(np.int64)
        half = np.flatnonzero(mirror >= np.arange(len(mirror)))

        def whole(values: NDArray[np.int8], unit: float) -> Array:
            full = np.zeros((*values.shape[:-2], len(mirror), 3))
            full[..., mirror[half], :] = values * unit * (-1, 1, 1)
            full[..., half, :] = values * unit
            full[..., mirror == np.arange(len(mirror)), 0] = 0
            return full

        def map_of(steps: NDArray[np.int8]) -> NDArray[np.float32]:
            left = np.cumsum(steps, axis=-2, dtype=np.float32) / 50
            return np.concatenate([left, left[..., ::-1]], axis=-1)

        mean = whole(data["mean"], 1e-4)
        return FaceShape(
            triangles=data["triangles"].astype(np.int64),
            mirror=mirror,
            mean=mean,
            modes=whole(data["modes"], 1 / 500),
            moved=whole(data["moved"], 1 / 500),
            tone=map_of(data["tone"]),
            shade=map_of(data["shade"]),
            uv=unwrapped(mean),
        )


def unwrapped(points: Array) -> Array:
    """Where points of the face lie on its map: angle from the middle of the face, seen from inside the head.

    Args:
        points: [..., 3].

    Returns:
        float64 [..., 2], u and v in radians.
    """
    away = points - np.array(_CENTRE)
    flat = np.linalg.norm(away[..., :2], axis=-1, keepdims=True)
    uv: Array = away[..., :2] / np.maximum(flat, 1e-9) * np.arctan2(flat, -away[..., 2:])
    return uv


def grid_places(uv: Array, triangles: NDArray[np.uint16], grid: tuple[int, int]) -> tuple[NDArray[np.int64], Array]:
    """For each texel of a map the triangle it lies in: its vertices [K, 3] and their weights [K, 3], row by row.

    Texels off the face get the nearest triangle, and a negative weight.
    """
    rows, columns = grid
    left, top, right, bottom = EXTENT
    v = (np.arange(rows) + 0.5) / rows * (bottom - top) + top
    u = (np.arange(columns) + 0.5) / columns * (right - left) + left
    texels = np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2)
    corners = np.concatenate([uv[triangles], np.ones((*triangles.shape, 1))], axis=2)
    inverse = np.linalg.inv(corners)  # rows (u, v, 1) times this are weights
    weights = np.einsum("kc,tcw->ktw", np.c_[texels, np.ones(len(texels))], inverse)
    best = weights.min(2).argmax(1)
    return triangles[best].astype(np.int64), weights[np.arange(len(texels)), best]

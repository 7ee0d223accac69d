"""Head around the face mesh: skull, ears, neck, eyeballs and the inside of the mouth, and where each lies on the texture.

Texture coordinates are those of the unwrapped face in radians; around the face come six rings for the rest of the
skull, below it a strip with the eyes, the inside of the mouth and plain skin.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fer_transfer.synthetic.face_shape import face_shape
from fer_transfer.synthetic.muscles import (
    EYE_CORNERS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LOWER_LID,
    UPPER_LID,
    mirrored,
)
from fer_transfer.synthetic.person import Person

Array = NDArray[np.float64]

#: The whole texture: left, top, right, bottom in radians.
ATLAS = (-2.05, -1.3, 2.05, 2.2)
#: Where skin and hair end; below lies the strip.
SKIN_BOTTOM = 1.46
#: Middles of the two eyes, of the upper edge of the mouth and of the plain skin on the texture.
EYE_PLACES = ((-1.2, 1.84), (1.2, 1.84))
MOUTH_PLACE = (0.0, 1.62)
SKIN_PLACE = (-1.9, 2.1)
#: Radians of texture for an eye distance of eye or mouth.
EYE_GRAIN, MOUTH_GRAIN = 1.3, 0.95

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
RINGS = 6
_RING_STEP = 0.06
_SKULL, _SKULL_SIZE = np.array([0.0, -0.2, 0.9]), np.array([1.2, 1.36, 1.35])
_NECK_SIDES = 14
_EARS = 8


@dataclass(frozen=True)
class Topology:
    """Triangles of the whole head, and the texture coordinates of all vertices but the eyes' and mouth's.

    Vertices: the 468, six rings of 36, the neck's two rings, two ears, then lids of both eyes and the inner lips again.
    """

    triangles: NDArray[np.int64]
    uv: Array


def _strip(first: NDArray[np.int64], second: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Triangles between two rows of vertices from left to right, the first above the second."""
    out = []
    for a, b, c, d in zip(first[:-1], first[1:], second[:-1], second[1:], strict=True):
        out += [(a, b, d), (a, d, c)]
    return [(int(a), int(b), int(c)) for a, b, c in out]


@lru_cache(maxsize=1)
def topology() -> Topology:
    """The head's triangles, derived once."""
    shape = face_shape()
    oval, count = np.array(OVAL), len(shape.mean)
    around = [oval] + [count + k * len(oval) + np.arange(len(oval)) for k in range(RINGS)]
    extra: list[tuple[int, int, int]] = []
    for inner, outer in pairwise(around):
        extra += _strip(np.r_[outer, outer[:1]], np.r_[inner, inner[:1]])
    out = shape.uv[oval] / np.linalg.norm(shape.uv[oval], axis=1, keepdims=True)
    uv = [shape.uv] + [shape.uv[oval] + _RING_STEP * (k + 1) * out for k in range(RINGS)]
    count += RINGS * len(oval)
    top = count + np.arange(_NECK_SIDES)
    extra += _strip(top, top + _NECK_SIDES)
    for middle, *rim in ear_vertices():
        fan = [(int(middle), int(a), int(b)) for a, b in pairwise([*rim, rim[0]])]
        extra += fan + [(a, c, b) for a, b, c in fan]
    plain = 2 * _NECK_SIDES + 2 * (_EARS + 1)
    uv.append(np.tile(SKIN_PLACE, (plain, 1)))
    count += plain
    for length in (len(UPPER_LID) + 2, len(UPPER_LID) + 2, len(INNER_UPPER_LIP)):
        rows = count + np.arange(2 * length).reshape(2, -1)
        extra += _strip(rows[0], rows[1])
        count += 2 * length
    return Topology(np.concatenate([shape.triangles, np.array(extra)]), np.concatenate(uv))


@lru_cache(maxsize=1)
def _eye_rows() -> tuple[tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]]:
    """Vertices of the upper and lower lid with both corners, left to right, for the picture's left and right eye."""
    a, b = EYE_CORNERS
    left = ((a, *UPPER_LID, b), (a, *LOWER_LID, b))
    return left, (mirrored(left[0])[::-1], mirrored(left[1])[::-1])


def head_points(face: Array, rest: Array, person: Person, gaze: tuple[float, float]) -> tuple[Array, Array]:
    """All vertices of a head around a face, and their texture coordinates.

    Args:
        face: float [468, 3].
        rest: float [468, 3], the same face at rest, where the eyeballs are.
        person: skull and hair.
        gaze: how far the eyes look to the right and down, in eye distances on the eyeball.

    Returns:
        float64 [V, 3] and float64 [V, 2].
    """
    top = topology()
    parts = [face, _rings(face, person), _neck(face), *_ears(rest, 0.02 if person.long_hair else 1.0)]
    uv = [top.uv]
    for (upper, lower), (u, v) in zip(_eye_rows(), EYE_PLACES, strict=True):
        middle = 0.5 * (rest[upper[0]] + rest[upper[-1]])[:2] + gaze
        for row in (upper, lower):
            parts.append(face[list(row)] + (0, 0, 0.02))
            uv.append((face[list(row), :2] - middle) * EYE_GRAIN + (u, v))
    upper_lip, lower_lip = face[list(INNER_UPPER_LIP)], face[list(INNER_LOWER_LIP)]
    across = (upper_lip[:, :1] - upper_lip[:, :1].mean()) * MOUTH_GRAIN + MOUTH_PLACE[0]
    height = MOUTH_PLACE[1] + (lower_lip[:, 1:2] - upper_lip[:, 1:2]) * MOUTH_GRAIN
    behind = np.array([0, 0, 0.06])
    parts += [upper_lip + behind, lower_lip + behind]
    uv += [np.c_[across, np.full_like(across, MOUTH_PLACE[1])], np.c_[across, height]]
    return np.concatenate(parts), np.concatenate(uv)


@lru_cache(maxsize=RINGS)
def _smoothing(times: int) -> Array:
    """A matrix that makes a ring of points rounder."""
    one = np.eye(len(OVAL))
    once = 0.5 * one + 0.25 * (np.roll(one, 1, axis=0) + np.roll(one, -1, axis=0))
    return np.asarray(np.linalg.matrix_power(once, times), np.float64)


def _rings(face: Array, person: Person) -> Array:
    """From the edge of the face back over the skull and its hair, and under the chin."""
    edge, size = face[list(OVAL)], _SKULL_SIZE * person.skull
    away = (edge - _SKULL) / size
    round_ = np.arctan2(away[:, 1], away[:, 0])
    start = np.arctan2(np.hypot(away[:, 0], away[:, 1]), -away[:, 2])
    fade = 2 + 3 * np.maximum(0, np.sin(round_))  # under the chin the edge must not hang out
    reach = np.clip(0.45 - np.sin(round_), 0.6 if person.long_hair else 0, 1)[:, None]

    def ball(angle: Array) -> Array:
        side = np.stack([np.sin(angle) * np.cos(round_), np.sin(angle) * np.sin(round_), -np.cos(angle)], axis=1)
        grown: Array = _SKULL + size * side
        return grown

    rings = []
    for k in range(1, RINGS + 1):
        t = k / RINGS
        at = ball(start + (2.7 - start) * t)
        out = (at - _SKULL) / np.linalg.norm(at - _SKULL, axis=1, keepdims=True)
        ring: Array = (
            at + ((1 - t) ** fade)[:, None] * (edge - ball(start)) + min(1.0, 2.4 * t) * person.volume * reach * out
        )
        rings.append(_smoothing(k) @ ring)
    return np.concatenate(rings)


def _neck(face: Array) -> Array:
    angle = np.linspace(np.pi, 2 * np.pi, _NECK_SIDES)[:, None]
    half = 0.68 * float(face[454, 0] - face[234, 0]) / 2.1
    depth = 1.05 + 0.5 * np.sin(angle)
    x = half * np.cos(angle)
    top = np.hstack([x, np.full_like(x, 1.0), depth])
    bottom = np.hstack([x * 1.2, np.full_like(x, 2.6), depth + 0.1])
    return np.concatenate([top, bottom])


def _ears(rest: Array, size: float) -> list[Array]:
    out = []
    for vertex, sign in ((234, -1), (454, 1)):
        middle = rest[vertex] + (sign * 0.03, 0.05, 0.1)
        angle = np.linspace(0, 2 * np.pi, _EARS, endpoint=False)
        rim = np.stack([sign * (0.05 + 0.09 * np.cos(angle)), 0.4 * np.sin(angle), 0.2 * np.cos(angle)], axis=1)
        out.append(np.vstack([middle, middle + size * rim]))
    return out


def ear_vertices() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vertices of the picture's left and right ear, which are seen from both sides."""
    first = len(face_shape().mean) + RINGS * len(OVAL) + 2 * _NECK_SIDES
    return first + np.arange(_EARS + 1), first + _EARS + 1 + np.arange(_EARS + 1)

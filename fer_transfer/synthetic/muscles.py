"""What a face does: action units as movements of the mesh, beside the learned mean movement of each expression.

The units follow the Facial Action Coding System (Ekman & Friesen); their number stands beside each name below.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fer_transfer.labels import EXPRESSIONS
from fer_transfer.synthetic.face_shape import face_shape

Array = NDArray[np.float64]

#: Action units. 0 is rest, 1 strong; negative is the opposite (brow down, lids closing, corners down).
UNITS = (
    "inner_brow",  # 1, negative 4
    "outer_brow",  # 2
    "knit",  # 4: brows together
    "lids",  # 5, negative 43 and 7
    "cheek",  # 6
    "wrinkle",  # 9
    "corner",  # 12, negative 15
    "jaw",  # 26, 27
    "stretch",  # 20, negative 18
    "upper_lip",  # 10
    "press",  # 23, 24
    "chin",  # 17
)
#: Everything a face can do: the units, then how much of each expression's learned movement.
MUSCLES = UNITS + EXPRESSIONS[:-1]

# Rows of the mesh around the picture's left eye and the mouth, from the left end to the right.
UPPER_LID, LOWER_LID = (246, 161, 160, 159, 158, 157, 173), (7, 163, 144, 145, 153, 154, 155)
EYE_CORNERS = (33, 133)
LID_FOLD = (247, 30, 29, 27, 28, 56, 190)
_LID_ROWS = (LID_FOLD, 0.35), ((113, 225, 224, 223, 222, 221, 189), 0.08)
INNER_UPPER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
OUTER_UPPER_LIP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
_UPPER_ROWS = (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292), (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306)
_LOWER_ROWS = (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292), (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306)
#: Gap between the lips, in eye distances, below which they begin to close.
_CLING = 0.06
BROW_TOP, BROW_BOTTOM = (70, 63, 105, 66, 107), (46, 53, 52, 65, 55)

# unit: vertices on the picture's left, reach in eye distances, movement; the right side is its mirror image.
_BUMPS: dict[str, tuple[tuple[tuple[int, ...], float, tuple[float, float, float]], ...]] = {
    "inner_brow": (((107, 55), 0.17, (0.0, -0.1, 0.0)), ((66, 65), 0.13, (0.0, -0.03, 0.0))),
    "outer_brow": (((63, 105, 53), 0.17, (0.0, -0.09, 0.0)),),
    "knit": (((107, 55), 0.15, (0.05, 0.02, -0.02)), ((66, 65), 0.14, (0.03, 0.02, 0.0))),
    "cheek": (((50, 118, 205), 0.2, (0.0, -0.06, -0.05)),),
    "wrinkle": (((48, 129, 98), 0.14, (-0.01, -0.06, 0.0)), ((198, 126), 0.13, (0.02, -0.03, -0.03))),
    "corner": (((61, 62), 0.2, (-0.05, -0.1, 0.03)), ((205,), 0.15, (-0.03, -0.03, -0.04))),
    "stretch": (((61, 57), 0.24, (-0.1, 0.02, 0.05)),),
    "upper_lip": (((37, 39, 40), 0.16, (0.0, -0.09, -0.01)), ((92, 165), 0.14, (0.0, -0.03, -0.02))),
    "chin": (((18, 83, 182), 0.16, (0.0, -0.06, -0.04)),),
}


@lru_cache(maxsize=64)
def mirrored(vertices: tuple[int, ...]) -> tuple[int, ...]:
    """The same row of vertices on the other side of the face."""
    return tuple(int(v) for v in face_shape().mirror[list(vertices)])


@lru_cache(maxsize=1)
def movements() -> tuple[Array, Array]:
    """What each muscle at strength 1 does to each vertex, float64 [len(MUSCLES), 468, 3], and what lids do closing."""
    shape = face_shape()
    mean, mirror = shape.mean, shape.mirror
    moves = np.zeros((len(MUSCLES), *mean.shape))
    for unit, bumps in _BUMPS.items():
        for vertices, reach, move in bumps:
            away = np.linalg.norm(mean[:, None] - mean[list(vertices)], axis=2).min(1)
            weight = np.exp(-0.5 * (away / reach) ** 2)[:, None]
            both = weight * move + weight[mirror] * move * (-1, 1, 1)
            moves[UNITS.index(unit)] += both
    lids, closing = _lids(mean)
    for moved, name in ((lids, "lids"), (_jaw(mean), "jaw"), (_press(mean), "press")):
        moves[UNITS.index(name)] = moved + moved[mirror] * (-1, 1, 1) if name == "lids" else moved
    # Lips do not follow a movement of the other lip.
    lower = _row(INNER_LOWER_LIP[1:-1], OUTER_LOWER_LIP[1:-1], *(row[1:-1] for row in _LOWER_ROWS))
    moves[UNITS.index("upper_lip"), lower] = 0
    upper = _row(INNER_UPPER_LIP[1:-1], OUTER_UPPER_LIP[1:-1], *(row[1:-1] for row in _UPPER_ROWS))
    moves[UNITS.index("chin"), upper] = 0
    cheek = moves[UNITS.index("cheek")]
    squint = np.zeros_like(mean)
    squint[list(LOWER_LID)] = 0.25 * (mean[list(UPPER_LID)] - mean[list(LOWER_LID)])
    cheek[list(LOWER_LID + mirrored(LOWER_LID))] = 0
    cheek += squint + squint[mirror] * (-1, 1, 1)
    moves[len(UNITS) :] = shape.moved
    return moves, closing + closing[mirror] * (-1, 1, 1)


def _row(*rows: tuple[int, ...]) -> list[int]:
    return [vertex for row in rows for vertex in row]


def _lids(mean: Array) -> tuple[Array, Array]:
    """Opening wider, and closing, of the picture's left eye."""
    opening, closing = np.zeros_like(mean), np.zeros_like(mean)
    arch = np.sin(np.linspace(0.25, np.pi - 0.25, len(UPPER_LID)))[:, None]
    gap = mean[list(LOWER_LID)] - mean[list(UPPER_LID)]
    opening[list(UPPER_LID)] = arch * (0.0, -0.038, 0.0)
    opening[list(LOWER_LID)] = arch * (0.0, 0.015, 0.0)
    closing[list(UPPER_LID)], closing[list(LOWER_LID)] = 0.85 * gap, -0.15 * gap
    for row, share in _LID_ROWS:
        opening[list(row)], closing[list(row)] = arch * (0.0, -0.038 * share, 0.0), share * gap
    return opening, closing


def _jaw(mean: Array) -> Array:
    """The lower jaw turned down around the ears: lower lip, chin, and the cheeks in part."""
    mouth = mean[list(INNER_UPPER_LIP), 1].mean()
    weight = np.clip((mean[:, 1] - mouth + 0.05) / 0.3, 0, 1) * np.clip(
        1.15 - 1.1 * np.maximum(mean[:, 2], -0.2), 0.1, 1
    )
    upper = _row(INNER_UPPER_LIP, OUTER_UPPER_LIP, *_UPPER_ROWS)
    weight[upper] = 0.0
    arch = np.array([0.35, 0.62, 0.82, 0.95, 1.0, 1.0, 1.0, 0.95, 0.82, 0.62, 0.35])
    for row in (INNER_LOWER_LIP, OUTER_LOWER_LIP, *_LOWER_ROWS):
        weight[list(row)] = arch
    down: Array = weight[:, None] * np.array([0.0, 0.42, 0.1])
    return down


def _press(mean: Array) -> Array:
    """Lips drawn in: every row of a lip moves towards the line between the lips."""
    moved = np.zeros_like(mean)
    for inner, rows in (
        (INNER_UPPER_LIP, (OUTER_UPPER_LIP, *_UPPER_ROWS)),
        (INNER_LOWER_LIP, (OUTER_LOWER_LIP, *_LOWER_ROWS)),
    ):
        line = 0.5 * (mean[list(INNER_UPPER_LIP)] + mean[list(INNER_LOWER_LIP)])
        for row in rows:
            moved[list(row)] = 0.6 * (line - mean[list(row)]) * (0.0, 1.0, 0.5)
        moved[list(inner)] = (line - mean[list(inner)]) * (0.0, 1.0, 0.5)
    return moved


def expressed(rest: Array, muscles: Array, lips_apart: float = 0.0) -> Array:
    """A face that does something.

    Args:
        rest: float [468, 3], the face at rest.
        muscles: float [2, len(MUSCLES)], strengths on the picture's left and right side.
        lips_apart: how far lips stand apart at rest, in eye distances.

    Returns:
        float64 [468, 3]; lids and lips touch where they would cross.
    """
    moves, closing = movements()
    rest = rest.copy()
    above, below = list(INNER_UPPER_LIP[1:-1]), list(INNER_LOWER_LIP[1:-1])
    gap = rest[below] - rest[above]
    part = 0.5 * (1 - lips_apart / max(0.01, float(gap[:, 1].max()))) * gap
    rest[above] += part
    rest[below] -= part
    right = np.clip(0.5 + rest[:, 0] / 0.3, 0, 1)
    lids = UNITS.index("lids")
    does = muscles.copy()
    shut = np.clip(-0.7 * does[:, lids], 0, 1)
    does[:, lids] = np.maximum(0, does[:, lids])
    moved = rest.copy()
    for side, share in ((0, 1 - right), (1, right)):
        moved += share[:, None] * (np.tensordot(does[side], moves, 1) + shut[side] * closing)
    pairs = ((UPPER_LID, LOWER_LID), (mirrored(UPPER_LID), mirrored(LOWER_LID)), (INNER_UPPER_LIP, INNER_LOWER_LIP))
    for upper, lower in pairs:
        _touch(moved, list(upper), list(lower))
    above, below = list(INNER_UPPER_LIP), list(INNER_LOWER_LIP)
    gap = moved[below] - moved[above]
    # Lips cling: what would open them by a crack leaves them closed.
    cling = 0.5 * (1 - min(1.0, float(gap[:, 1].max()) / _CLING) ** 2) * gap
    moved[above] += cling
    moved[below] -= cling
    return moved


def _touch(points: Array, upper: list[int], lower: list[int]) -> None:
    crossed = points[upper, 1] > points[lower, 1]
    middle = 0.5 * (points[upper] + points[lower])
    points[upper] = np.where(crossed[:, None], middle, points[upper])
    points[lower] = np.where(crossed[:, None], middle, points[lower])

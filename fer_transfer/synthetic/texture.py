"""The skin of a head, painted on the unwrapped face: shading, folds, brows, lips, hair, eyes, the inside of the mouth."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.synthetic.canvas import Array, Map, Skin
from fer_transfer.synthetic.eyes_and_mouth import paint_eye, paint_mouth, paint_plain
from fer_transfer.synthetic.head_mesh import ATLAS, EYE_PLACES, SKIN_PLACE
from fer_transfer.synthetic.muscles import (
    BROW_BOTTOM,
    BROW_TOP,
    EYE_CORNERS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LID_FOLD,
    LOWER_LID,
    MUSCLES,
    OUTER_LOWER_LIP,
    OUTER_UPPER_LIP,
    UNITS,
    UPPER_LID,
    mirrored,
)
from fer_transfer.synthetic.person import Person

# Shadows on skin are redder: the power of brightness in blue, green and red.
_DEPTH = (1.2, 1.08, 0.85)

# Lines on the face by the vertices they run along (picture's left side), with how deep age alone makes them.
_FOLDS: dict[str, tuple[tuple[tuple[int, ...], ...], float]] = {
    "nasolabial": (((129, 203, 206, 216),), 0.35),
    "crow": (((130, 226, 35), (130, 25, 31), (113, 156, 139)), 0.2),
    "glabella": (((55, 107), (8, 9)), 0.12),
    "forehead": (((104, 69, 108, 151), (103, 67, 109, 10), (105, 66, 107, 9)), 0.22),
    "bridge": (((193, 168), (122, 6), (188, 196, 197)), 0.0),
    "under_eye": (((33, 110, 24, 23, 22, 26, 112),), 0.25),
    "chin": (((202, 210, 169), (204, 194, 201, 200)), 0.12),
}


def painted(person: Person, muscles: Array, scale: int) -> NDArray[np.uint8]:
    """The texture of a head.

    Args:
        person: who.
        muscles: float [2, len(MUSCLES)]: folds deepen with what the face does.
        scale: pixels for a radian.

    Returns:
        uint8 [H, W, 3] BGR over ``ATLAS``.
    """
    skin = Skin(person, muscles, scale)
    tone = _tone(skin)
    picture = np.stack([colour * cv2.pow(tone, power) for colour, power in zip(person.skin, _DEPTH, strict=True)])
    _lips(skin, picture)
    _beard(skin, picture)
    _brows(skin, picture)
    _lashes(skin, picture)
    _hair(skin, picture)
    out = np.zeros((round((ATLAS[3] - ATLAS[1]) * scale), skin.frame.size[1], 3), np.uint8)
    out[: skin.frame.size[0]] = cv2.convertScaleAbs(cv2.merge(list(picture)))
    paint_plain(skin, out, SKIN_PLACE, 0.1, person.skin)
    for place in EYE_PLACES:
        paint_eye(skin, out, place)
    paint_mouth(skin, out)
    return out


def _tone(skin: Skin) -> Map:
    """Brightness of the skin in shares of its colour: what was learned, folds, unevenness."""
    frame, does, age = skin.frame, skin.does, skin.person.age
    tone = frame.tone.copy()
    for k, name in enumerate(MUSCLES[len(UNITS) :]):
        if does[name] > 0.15:
            tone += np.float32(1.3 * min(does[name], 1.5)) * frame.shade[k]
    smile = max(0.0, does["corner"]) + max(0.0, does["Happy"])
    brow = max(0.0, does["inner_brow"]) * 0.5 + max(0.0, does["outer_brow"]) * 0.5
    depth = {
        "nasolabial": 0.45 * smile + 0.5 * max(0.0, does["wrinkle"]) + 0.3 * max(0.0, does["upper_lip"]),
        "crow": 0.35 * max(0.0, does["cheek"]) + 0.1 * smile,
        "glabella": 0.75 * max(0.0, does["knit"]),
        "forehead": 0.6 * brow,
        "bridge": 0.7 * max(0.0, does["wrinkle"]),
        "under_eye": 0.35 * max(0.0, does["cheek"]),
        "chin": 0.4 * max(0.0, does["chin"]) + 0.3 * max(0.0, -does["corner"]),
    }
    mask = np.zeros(frame.size, np.uint8)
    for name, (rows, at_rest) in _FOLDS.items():
        deep = min(1.0, depth[name]) * (0.5 + 0.6 * age) + at_rest * age
        lines = [skin.place(skin.row(row)) for both in rows for row in (both, mirrored(both))]
        cv2.polylines(mask, lines, False, min(255, round(255 * deep)), max(1, round(0.03 * skin.scale)), cv2.LINE_AA, 4)
    tone *= 1 - 0.5 * skin.soft(mask, 0.022)
    lids = [np.concatenate([skin.row(UPPER_LID), skin.row(LID_FOLD)[::-1]])]
    lids.append(np.concatenate([skin.row(mirrored(UPPER_LID)), skin.row(mirrored(LID_FOLD))[::-1]]))
    tone += 0.6 * skin.area(lids, 0.015) * np.maximum(0, 0.9 - tone)  # lashes have darkened the mean's lids
    rough = skin.rng.standard_normal((24, 24), np.float32)
    tone *= 1 + 0.025 * cv2.resize(rough, frame.size[::-1], interpolation=cv2.INTER_CUBIC)
    if skin.scale > 60:
        fine = skin.rng.random(frame.size, np.float32) * 0.12 - 0.06
        tone *= 1 + cv2.GaussianBlur(fine, (0, 0), 0.012 * skin.scale)
    return np.maximum(tone, 0.05)


def _mix(picture: Map, mask: Map, colour: tuple[float, float, float]) -> None:
    for plane, value in zip(picture, colour, strict=True):
        plane += mask * (np.float32(value) - plane)


def _lips(skin: Skin, picture: Map) -> None:
    upper = np.concatenate([skin.row(OUTER_UPPER_LIP), skin.row(INNER_UPPER_LIP)[::-1]])
    lower = np.concatenate([skin.row(OUTER_LOWER_LIP), skin.row(INNER_LOWER_LIP)[::-1]])
    mask = 0.75 * skin.area([upper, lower], 0.012)
    tint = np.array(skin.person.lips) / np.maximum(skin.person.skin, 1.0)
    edges = [skin.row(INNER_UPPER_LIP), skin.row(INNER_LOWER_LIP)]
    dark = 1 - 0.45 * skin.lines(edges, 0.02, 0.008)
    for plane, share in zip(picture, tint, strict=True):
        plane *= dark * (1 - mask * np.float32(1 - share))


def _beard(skin: Skin, picture: Map) -> None:
    beard = skin.person.beard
    if beard < 0.05:
        return
    jaw = skin.row((234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152))
    inner = skin.row((200, 201, 194, 204, 202, 212, 216, 206, 203, 98, 97, 2))
    half = np.concatenate([jaw + np.array([0, 0.3]), inner])
    mouth = np.concatenate([skin.row(OUTER_UPPER_LIP), skin.row(OUTER_LOWER_LIP)[::-1]])
    mask = skin.area([half, half * (-1, 1)], 0.05) * (1 - skin.area([mouth], 0.02))
    noise = skin.rng.random(skin.frame.size, np.float32) * 0.6 + 0.4
    dark = np.array(skin.person.hair) * 0.5 + np.array(skin.person.skin) * 0.15
    _mix(picture, mask * noise * np.float32(min(0.85, beard)), tuple(dark.tolist()))


def _brows(skin: Skin, picture: Map) -> None:
    """Hairs between the two rows of vertices of a brow."""
    person, count = skin.person, 46
    t = np.sort(skin.rng.uniform(0, 1, count))
    where = t * (len(BROW_TOP) - 1)
    strokes = []
    for side in (0, 1):
        top, bottom = (skin.row(row if side == 0 else mirrored(row)) for row in (BROW_TOP, BROW_BOTTOM))
        knots = np.arange(len(BROW_TOP))
        low = np.stack([np.interp(where, knots, bottom[:, c]) for c in (0, 1)], axis=1)
        high = np.stack([np.interp(np.maximum(0, where - 0.7), knots, top[:, c]) for c in (0, 1)], axis=1)
        middle, half = 0.5 * (low + high), 0.5 * (high - low)
        thick = person.brow * (0.45 + 0.4 * t)[:, None]
        strokes.append(np.stack([middle - half * thick, middle + half * thick], axis=1))
    mask = np.minimum(1, 1.3 * skin.lines(np.concatenate(strokes), 0.022, 0.012)) * np.float32(person.brow_dark)
    dark = np.array(person.hair) * 0.55 + np.array(person.skin) * 0.08
    _mix(picture, mask, tuple(dark.tolist()))


def _lashes(skin: Skin, picture: Map) -> None:
    a, b = EYE_CORNERS
    upper, lower = (a, *UPPER_LID, b), (a, *LOWER_LID, b)
    dark = np.float32(0.5 + 0.5 * skin.person.lashes)
    lines = [skin.row(upper), skin.row(mirrored(upper))]
    mask = dark * skin.lines(lines, 0.012 + 0.012 * skin.person.lashes, 0.006)
    _mix(picture, np.minimum(mask, 1), (15.0, 15.0, 22.0))
    under = 0.4 * dark * skin.lines([skin.row(lower), skin.row(mirrored(lower))], 0.02, 0.008)
    _mix(picture, under, (25.0, 25.0, 45.0))


def _hair(skin: Skin, picture: Map) -> None:
    person, frame = skin.person, skin.frame
    top = person.hairline
    sides = 1.03 if top < 2 or person.seed % 2 else 9.0
    below = (1.05, 1.08) if person.long_hair else (1.6, 9.0)
    knots, line = (0.0, 0.75, 1.25, 1.7, 2.0, 2.3), (top, top + 0.02, min(top + 0.08, 1.0) if top < 2 else top,
                                                   sides, below[0], below[1])  # fmt: skip
    noise = skin.rng.standard_normal((32, 256), np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.6, sigmaY=6) * 3
    strand = cv2.remap(noise, *frame.strands, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    start = np.interp(frame.from_top, knots, line).astype(np.float32)
    mask = np.clip((frame.radius - start + 0.03 * strand) / 0.05, 0, 1)
    bright = np.clip(0.8 + 0.25 * strand, 0.3, 1.5)
    for plane, value in zip(picture, person.hair, strict=True):
        plane += mask * (np.float32(value) * bright - plane)

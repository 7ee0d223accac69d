"""The skin of a head, painted on the unwrapped face: shading, folds, brows, lips, hair, eyes, the inside of the mouth."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.releases.face_shape import EXTENT, face_shape
from fer_transfer.releases.head import ATLAS, EYE_GRAIN, EYE_PLACES, MOUTH_GRAIN, MOUTH_PLACE, OVAL, SKIN_PLACE
from fer_transfer.releases.muscles import (
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
from fer_transfer.releases.person import Person

Array = NDArray[np.float64]
Map = NDArray[np.float32]

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


@lru_cache(maxsize=64)
def _row(vertices: tuple[int, ...]) -> Array:
    return face_shape().uv[list(vertices)]


def scale_for(eye_distance: float) -> int:
    """Pixels of texture for a radian, enough for a face with that eye distance in pixels; steps let maps be kept."""
    wanted = 1.15 * eye_distance / 0.85
    return next((s for s in (24, 32, 40, 48, 56, 72, 96, 128, 160) if s >= wanted), 192)


@dataclass(frozen=True)
class _Frame:
    """What all textures of one scale share."""

    size: tuple[int, int]
    tone: Map
    shade: Map
    radius: Map
    from_top: Map
    strands: tuple[Map, Map]


@lru_cache(maxsize=12)
def _frame(scale: int) -> _Frame:
    left, top, right, bottom = ATLAS
    height, width = round((bottom - top) * scale), round((right - left) * scale)
    u, v = np.meshgrid(left + (np.arange(width) + 0.5) / scale, top + (np.arange(height) + 0.5) / scale)
    shape = face_shape()

    def grown(grid: Map) -> Map:
        x = (u - EXTENT[0]) / (EXTENT[2] - EXTENT[0]) * grid.shape[1] - 0.5
        y = (v - EXTENT[1]) / (EXTENT[3] - EXTENT[1]) * grid.shape[0] - 0.5
        out: Map = cv2.remap(
            grid, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return out

    edge = shape.uv[list(OVAL)] - (0, 0.1)
    angle = np.arctan2(edge[:, 0], -edge[:, 1])  # 0 at the top, growing to the right
    order = np.argsort(angle)
    around = np.arctan2(u, 0.1 - v)
    far = np.interp(around, angle[order], np.hypot(*edge.T)[order], period=2 * np.pi)
    radius = np.hypot(u, v - 0.1) / far
    return _Frame(
        size=(height, width),
        tone=grown(shape.tone),
        shade=np.stack([grown(shade) for shade in shape.shade]),
        radius=radius.astype(np.float32),
        from_top=np.abs(around).astype(np.float32),
        strands=(((around / np.pi + 1) * 255.5).astype(np.float32), np.clip(radius * 20, 0, 31).astype(np.float32)),
    )


class Skin:
    """One texture while it is painted: float32 [H, W, 3] BGR, 0..255."""

    def __init__(self, person: Person, muscles: Array, scale: int) -> None:
        self.person, self.scale, self.frame = person, scale, _frame(scale)
        self.does = dict(zip(MUSCLES, muscles.mean(0).tolist(), strict=True))
        self.rng = np.random.default_rng(person.seed)

    def place(self, uv: Array) -> NDArray[np.int32]:
        """Texture pixels in OpenCV's fixed point (4 fractional bits)."""
        return np.rint(((uv - ATLAS[:2]) * self.scale - 0.5) * 16).astype(np.int32)

    def row(self, vertices: tuple[int, ...]) -> Array:
        """Places of vertices on the unwrapped face."""
        return _row(vertices)

    def lines(self, lines: list[Array] | Array, width: float, blur: float) -> Map:
        """Soft lines, float32 [H, W] in 0..1; widths in radians."""
        mask = np.zeros(self.frame.size, np.uint8)
        thick = max(1, round(width * self.scale))
        fixed = list(self.place(lines)) if isinstance(lines, np.ndarray) else [self.place(line) for line in lines]
        cv2.polylines(mask, fixed, False, 255, thick, cv2.LINE_AA, 4)
        return self.soft(mask, blur) * min(1.0, width * self.scale / thick)

    def area(self, outlines: list[Array], blur: float) -> Map:
        """A soft area, float32 [H, W] in 0..1."""
        mask = np.zeros(self.frame.size, np.uint8)
        cv2.fillPoly(mask, [self.place(outline) for outline in outlines], 255, cv2.LINE_AA, 4)
        return self.soft(mask, blur)

    def soft(self, mask: NDArray[np.uint8], blur: float) -> Map:
        """A mask blurred by that many radians, float32 in 0..1."""
        sigma = blur * self.scale
        soft = cv2.GaussianBlur(mask, (0, 0), sigma) if sigma > 0.3 else mask
        return soft.astype(np.float32) * np.float32(1 / 255)


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
    out: NDArray[np.uint8] = cv2.convertScaleAbs(cv2.merge(list(picture)))
    _plain(skin, out, SKIN_PLACE, 0.1, person.skin)
    for place in EYE_PLACES:
        _eye(skin, out, place)
    _mouth(skin, out)
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
    rough = skin.rng.normal(0, 1, (24, 24)).astype(np.float32)
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
    noise = skin.rng.normal(0, 1, (32, 512)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.8, sigmaY=6) * 3
    strand = cv2.remap(noise, *frame.strands, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    start = np.interp(frame.from_top, knots, line).astype(np.float32)
    mask = np.clip((frame.radius - start + 0.03 * strand) / 0.05, 0, 1)
    bright = np.clip(0.8 + 0.25 * strand, 0.3, 1.5)
    for plane, value in zip(picture, person.hair, strict=True):
        plane += mask * (np.float32(value) * bright - plane)


def _plain(
    skin: Skin, out: NDArray[np.uint8], place: tuple[float, float], half: float, colour: tuple[float, ...]
) -> None:
    x, y = ((np.array(place) - ATLAS[:2]) * skin.scale).astype(int)
    size = max(2, round(half * skin.scale))
    out[y - size : y + size, max(0, x - size) : x + size] = np.clip(np.array(colour) * 0.95, 0, 255).astype(np.uint8)


def _eye(skin: Skin, out: NDArray[np.uint8], place: tuple[float, float]) -> None:
    unit = EYE_GRAIN * skin.scale * 16
    centre = skin.place(np.array(place))
    x, y = int(centre[0]), int(centre[1])

    def disc(dx: float, dy: float, radius: float, colour: tuple[float, float, float]) -> None:
        at = (x + round(dx * unit), y + round(dy * unit))
        cv2.circle(out, at, max(8, round(radius * unit)), colour, -1, cv2.LINE_AA, 4)

    half = (round(0.38 * unit / 16), round(0.22 * unit / 16))
    out[y // 16 - half[1] : y // 16 + half[1], x // 16 - half[0] : x // 16 + half[0]] = (128, 134, 156)
    cv2.ellipse(out, (x // 16, y // 16), (round(0.3 * unit / 16), half[1]), 0, 0, 360, (178, 184, 194), -1, cv2.LINE_AA)
    iris = np.array(skin.person.iris)
    disc(0, 0, 0.106, tuple((iris * 0.45).tolist()))
    disc(0, 0, 0.092, tuple(iris.tolist()))
    disc(0, 0.012, 0.06, tuple(np.minimum(255, iris * 1.25).tolist()))
    disc(0, 0, 0.04, (8, 8, 10))
    disc(-0.03, -0.032, 0.018, (235, 235, 235))


def _mouth(skin: Skin, out: NDArray[np.uint8]) -> None:
    """Teeth as far as the upper lip shows them, tongue below, dark between."""
    does = skin.does
    show = 0.01 + 0.13 * max(0.0, does["Happy"]) + 0.07 * max(0.0, does["upper_lip"]) + 0.05 * max(0.0, does["stretch"])
    show += 0.06 * max(0.0, does["Angry"]) + 0.08 * max(0.0, does["corner"]) + 0.04 * max(0.0, does["Disgust"])
    show = min(0.17, show - 0.03 * max(0.0, does["Surprise"])) * MOUTH_GRAIN
    u, v = MOUTH_PLACE
    box = np.array([(u - 0.6, v - 0.06), (u + 0.6, v - 0.06), (u + 0.6, v + 0.57), (u - 0.6, v + 0.57)])
    cv2.fillConvexPoly(out, skin.place(box), (26, 18, 38), cv2.LINE_8, 4)
    tongue = skin.place(np.array([(u, v + 0.42)]))[0]
    axes = (round(0.27 * skin.scale), round(0.17 * skin.scale))
    cv2.ellipse(out, (int(tongue[0]) // 16, int(tongue[1]) // 16), axes, 0, 0, 360, (58, 52, 120), -1, cv2.LINE_AA)
    across = np.linspace(-0.33, 0.33, 13)
    edge = np.c_[u + across, v + show * (1 - 3.0 * across**2)]
    teeth = np.concatenate([edge, [(u + 0.33, v - 0.06), (u - 0.33, v - 0.06)]])
    if show < 0.03:
        return
    cv2.fillPoly(out, [skin.place(teeth)], (165, 184, 194), cv2.LINE_AA, 4)
    if skin.scale > 60:
        gaps = [np.array([(u + x, v - 0.05), (u + x, v + show)]) for x in across[1:-1]]
        cv2.polylines(out, [skin.place(gap) for gap in gaps], False, (140, 160, 172), 1, cv2.LINE_AA, 4)

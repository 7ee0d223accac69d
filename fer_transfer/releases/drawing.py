"""Faces drawn from parameters: who (``Person``), what the face does (muscles), and how it is seen (``Pose``).

Coordinates on the face are in eye distances: the pupils of a frontal face are at (-0.5, 0) and (0.5, 0), x grows to
the right of the picture and y downwards; the mouth is near y = 1.05, the chin near 1.75.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.releases.person import MUSCLES, Colour, Person, Points, bgr


@dataclass(frozen=True)
class Pose:
    """How a face is seen: ``centre`` (x, y) between the eyes and eye distance ``scale`` in pixels, angles in radians.

    ``light`` is the relative change of brightness over one eye distance to the right and downwards.
    """

    centre: tuple[float, float]
    scale: float
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    light: tuple[float, float] = (0.0, 0.0)
    gain: float = 1.0


def draw_face(picture: NDArray[np.uint8], person: Person, muscles: Points, pose: Pose) -> Points:
    """Draw a face into a picture.

    Args:
        picture: uint8 [H, W, 3], BGR; changed in place.
        person: who.
        muscles: float [2, len(MUSCLES)].
        pose: where and from which side.

    Returns:
        float64 [2, 2]: (x, y) of the two eye centres in pixels, the picture's left one first; (0, 0) is the centre of
        the top left pixel.
    """
    head = _Head(max(8.0, 2 * pose.scale), pose)
    left, right = (dict(zip(MUSCLES, side, strict=True)) for side in muscles)
    _skull(head, person, 0.5 * (left["jaw"] + right["jaw"]))
    for sign, side in ((-1, left), (1, right)):
        _eye(head, person, side, sign)
        _brow(head, person, side, sign)
        _folds(head, person, side, sign)
    _nose(head, person)
    _mouth(head, person, left, right)
    _hair(head, person)
    if person.glasses:
        _glasses(head)
    return head.into(picture)


def _times(colour: Colour, factor: float) -> Colour:
    return bgr(np.array(colour) * factor)


@lru_cache
def _arc_basis(n: int) -> Points:
    t = np.linspace(-1, 1, n)[:, None]
    return np.concatenate([t * (t - 1) / 2, 1 - t * t, t * (t + 1) / 2], axis=1)


def _arc(left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float], n: int = 9) -> Points:
    """A parabola through three points, float64 [n, 2]."""
    curve: Points = _arc_basis(n) @ np.array([left, middle, right])
    return curve


class _Head:
    """The patch that one head is drawn on, upright, at twice the size it will have in the picture."""

    X, TOP, BOTTOM = 1.9, -2.0, 2.3  # extent in eye distances

    def __init__(self, unit: float, pose: Pose) -> None:
        self.unit, self.pose = unit, pose
        height, width = int((self.BOTTOM - self.TOP) * unit), int(2 * self.X * unit)
        self.image = np.zeros((height, width, 3), np.uint8)
        self.mask = np.zeros((height, width), np.uint8)
        self.x = np.arange(width, dtype=np.float32) / unit - self.X
        self.y = np.arange(height, dtype=np.float32) / unit + self.TOP
        self._turn = np.sin(pose.yaw), np.cos(pose.yaw), np.sin(pose.pitch), np.cos(pose.pitch)

    def seen(self, xy: Points, lift: float = 0.0) -> Points:
        """Turn points of the face, on an egg with ``lift`` above it, by yaw and pitch."""
        sin_yaw, cos_yaw, sin_pitch, cos_pitch = self._turn
        x, y = xy[..., 0], xy[..., 1]
        z = np.sqrt(np.maximum(0.05, 1 - (x / 1.3) ** 2 - ((y - 0.35) / 2.2) ** 2)) + lift
        return np.stack([x * cos_yaw + z * sin_yaw, (y - 0.35) * cos_pitch + z * sin_pitch + 0.35], axis=-1)

    def fixed(self, xy: Points) -> NDArray[np.int32]:
        """Patch pixels in OpenCV's fixed point (4 fractional bits)."""
        return np.rint((xy - (-self.X, self.TOP)) * (16 * self.unit)).astype(np.int32)

    def fill(self, xy: Points, colour: Colour, outline: bool = False) -> None:
        points = [self.fixed(xy)]
        cv2.fillPoly(self.image, points, colour, cv2.LINE_AA, 4)
        if outline:
            cv2.fillPoly(self.mask, points, 255, cv2.LINE_AA, 4)

    def line(self, xy: Points, colour: Colour, width: float) -> None:
        thickness = max(1, round(width * self.unit))
        cv2.polylines(self.image, [self.fixed(xy)], False, colour, thickness, cv2.LINE_AA, 4)

    def shade(self, blobs: Points) -> None:
        """Multiply by 1 + the sum of Gaussian blobs (x, y, sigma x, sigma y, amount), float [N, 5]."""
        xy = self.seen(blobs[:, :2])
        gx = np.exp(-0.5 * ((self.x - xy[:, :1]) / blobs[:, 2:3]) ** 2).astype(np.float32)
        gy = np.exp(-0.5 * ((self.y - xy[:, 1:]) / blobs[:, 3:4]) ** 2).astype(np.float32)
        self.scale_by(1 + (gy * blobs[:, 4:5].astype(np.float32)).T @ gx - 0.25 * (self.x / 1.15) ** 4)

    def scale_by(self, factor: NDArray[np.float32]) -> None:
        self.image = cv2.multiply(self.image, cv2.merge([factor] * 3), dtype=cv2.CV_8U)

    def into(self, picture: NDArray[np.uint8]) -> Points:
        """Light the patch, lay it into the picture and return the eyes' places there."""
        pose = self.pose
        self.scale_by(np.maximum(0.1, pose.gain * (1 + self.x * pose.light[0] + self.y[:, None] * pose.light[1])))
        s = pose.scale / self.unit
        cos, sin = s * np.cos(pose.roll), s * np.sin(pose.roll)
        matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
        matrix[:, 2] = pose.centre - matrix[:, :2] @ (self.X * self.unit, -self.TOP * self.unit)
        size = picture.shape[1::-1]
        face = cv2.warpAffine(self.image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(self.mask, matrix, size, flags=cv2.INTER_LINEAR).astype(np.float32) / 255
        cv2.blendLinear(face, picture, alpha, 1 - alpha, dst=picture)
        eyes = (self.seen(np.array([(-0.5, 0.0), (0.5, 0.0)])) - (-self.X, self.TOP)) * self.unit
        places: Points = eyes @ matrix[:, :2].T + matrix[:, 2]
        return places


def _skull(head: _Head, person: Person, jaw: float) -> None:
    wide, long = person.head
    angle = np.linspace(0, 2 * np.pi, 48)
    below = np.maximum(0, np.sin(angle))
    oval = np.stack([wide * np.cos(angle) * (1 - 0.22 * below**2), 0.1 + 1.65 * long * np.sin(angle)], axis=1)
    oval[:, 1] += 0.22 * max(0, jaw) * below
    if person.hair_style in (1, 2):  # long hair behind the head
        length = 1.0 if person.hair_style == 1 else 2.0
        back = [(-1.4, length), (-1.45, -0.4), (-1.0, -1.6), (0, -1.9), (1.0, -1.6), (1.45, -0.4), (1.4, length)]
        head.fill(np.array(back) * (wide / 1.13, 1), _times(person.hair, 0.8), outline=True)
    neck = np.array([(-0.6, 1.2), (0.6, 1.2), (0.75, 2.3), (-0.75, 2.3)])
    head.fill(neck, _times(person.skin, 0.6), outline=True)
    for sign in (-1, 1):
        ear = np.array([(0.98, -0.1), (1.18, -0.15), (1.22, 0.2), (1.1, 0.6), (0.98, 0.6)]) * (sign * wide / 1.13, 1)
        head.fill(ear, _times(person.skin, 0.75), outline=True)
    head.fill(oval, person.skin, outline=True)
    head.shade(_shading(person.beard))


def _shading(beard: float) -> Points:
    """Light and dark of any face, what Viola-Jones looks for: sockets, bridge of the nose, cheeks, beneath the lips."""
    return np.array([
        (-0.5, -0.05, 0.27, 0.17, -0.42), (0.5, -0.05, 0.27, 0.17, -0.42),
        (0.0, -0.75, 0.55, 0.28, 0.14), (-0.55, 0.55, 0.25, 0.2, 0.14), (0.55, 0.55, 0.25, 0.2, 0.14),
        (0.0, 0.2, 0.09, 0.38, 0.22), (-0.2, 0.35, 0.07, 0.3, -0.14), (0.2, 0.35, 0.07, 0.3, -0.14),
        (0.0, 0.82, 0.2, 0.06, -0.25), (0.0, 1.36, 0.25, 0.07, -0.22), (0.0, 1.6, 0.22, 0.12, 0.08),
        (0.0, 1.35, 0.65, 0.3, -0.45 * beard), (0.0, 0.9, 0.4, 0.08, -0.5 * beard), (0.0, 2.1, 0.9, 0.25, -0.25),
    ])  # fmt: skip


def _eye(head: _Head, person: Person, side: dict[str, float], sign: int) -> None:
    half = 0.27 * person.eye
    up = max(0.015, 0.115 * person.eye * (1 + 0.75 * side["lids"]))
    low = max(0.01, 0.075 * person.eye * (1 + 0.25 * side["lids"] - 0.4 * side["cheek"]))
    inner, outer = sign * 0.5 - sign * half, sign * 0.5 + sign * half
    upper = _arc((inner, 0.03), (sign * 0.5, -up), (outer, -0.01))
    lower = _arc((outer, -0.01), (sign * 0.5, low), (inner, 0.03))
    upper, lower = head.seen(upper), head.seen(lower)
    eye = np.concatenate([upper, lower])
    hole = np.zeros_like(head.mask)
    cv2.fillPoly(hole, [head.fixed(eye)], 255, cv2.LINE_8, 4)
    layer = head.image.copy()
    cv2.fillPoly(layer, [head.fixed(eye)], _times((225, 228, 230), 0.95), cv2.LINE_AA, 4)
    centre = head.fixed(head.seen(np.array([(sign * 0.5, 0.0)])))[0].tolist()
    for radius, colour in ((0.135, person.iris), (0.065, (8.0, 8.0, 8.0))):
        cv2.circle(layer, centre, round(16 * radius * head.unit), colour, -1, cv2.LINE_AA, 4)
    cv2.copyTo(layer, hole, head.image)
    head.line(upper, _times(person.skin, 0.22), 0.05)
    head.line(lower, _times(person.skin, 0.5), 0.02)
    if side["lids"] > -0.3:
        head.line(upper - (0, 0.07), _times(person.skin, 0.5), 0.02)


def _brow(head: _Head, person: Person, side: dict[str, float], sign: int) -> None:
    height, slant, thick = person.brow
    inner = -0.32 - height - slant - 0.17 * side["inner_brow"]
    outer = -0.33 - height + slant - 0.15 * side["outer_brow"]
    inside = 0.21 - 0.07 * side["knit"]
    middle = 0.55 * inner + 0.45 * outer - 0.07 - 0.03 * max(0.0, side["outer_brow"])
    spine = _arc((sign * inside, inner), (sign * 0.52, middle), (sign * 0.86, outer))
    width = thick * np.linspace(1.1, 0.35, 9)[:, None] * (0, 1)
    head.fill(head.seen(np.concatenate([spine - width, (spine + width)[::-1]]), 0.05), _times(person.hair, 0.75))


def _folds(head: _Head, person: Person, side: dict[str, float], sign: int) -> None:
    """Wrinkles that the muscles make: beside nose and mouth, between the brows, on forehead and nose."""
    dark = _times(person.skin, 0.52)
    laugh = max(side["corner"], side["upper_lip"], side["wrinkle"])
    if laugh > 0.3:
        fold = _arc((sign * 0.24, 0.62), (sign * (0.42 + 0.06 * laugh), 0.8), (sign * (0.5 + 0.08 * laugh), 1.05))
        head.line(head.seen(fold), dark, 0.03 * laugh + 0.01)
    if side["knit"] > 0.35:
        head.line(head.seen(np.array([(sign * 0.09, -0.4), (sign * 0.07, -0.16)])), dark, 0.035 * side["knit"])
    if side["inner_brow"] > 0.45:
        for y in (-0.72, -0.88):
            reach = 0.8 if side["outer_brow"] > 0.4 else 0.4
            head.line(head.seen(_arc((0, y), (sign * reach / 2, y - 0.04), (sign * reach, y + 0.02))), dark, 0.025)
    if side["wrinkle"] > 0.35:
        for y in (0.08, 0.18, 0.28):
            head.line(head.seen(np.array([(sign * 0.06, y), (sign * 0.2, y + 0.06)]), 0.1), dark, 0.03)


def _nose(head: _Head, person: Person) -> None:
    half = 0.21 * person.nose
    base = _arc((-half, 0.68), (0, 0.78), (half, 0.68))
    head.line(head.seen(base, 0.2), _times(person.skin, 0.55), 0.03)
    for sign in (-1, 1):
        nostril = head.fixed(head.seen(np.array([(sign * half * 0.5, 0.72)]), 0.2))[0].tolist()
        axes = (round(0.06 * 16 * head.unit), round(0.035 * 16 * head.unit))
        cv2.ellipse(head.image, nostril, axes, 0, 0, 360, _times(person.skin, 0.28), -1, cv2.LINE_AA, 4)
        head.line(
            head.seen(np.array([(sign * half, 0.56), (sign * half * 1.1, 0.7)]), 0.1), _times(person.skin, 0.6), 0.025
        )


def _mouth(head: _Head, person: Person, left: dict[str, float], right: dict[str, float]) -> None:
    size, rest, lips = person.mouth
    both = {name: 0.5 * (left[name] + right[name]) for name in MUSCLES}
    lips *= 1 - 0.65 * float(np.clip(both["press"], 0, 1))
    middle = 1.06 + 0.06 * both["corner"] - 0.05 * both["upper_lip"]
    corners = []
    for sign, side in ((-1, left), (1, right)):
        wide = 0.4 * size * (1 + 0.3 * side["stretch"] + 0.18 * max(0.0, side["corner"]))
        corners.append((sign * max(0.18, wide), 1.08 - 0.17 * (side["corner"] + rest) + 0.12 * max(0.0, both["jaw"])))
    a, b = corners
    top = middle - 0.05 * both["upper_lip"] - 0.04 * max(0.0, both["jaw"])
    bottom = middle + 0.5 * max(0.0, both["jaw"]) + 0.12 * max(0.0, both["upper_lip"] - 0.4)
    red = bgr(np.array(person.skin) * (0.58, 0.52, 0.78))
    outer = [_arc(a, (0, top - lips), b), _arc(b, (0, bottom + 1.3 * lips), a)]
    head.fill(head.seen(np.concatenate(outer), 0.05), red)
    upper, lower = _arc(a, (0, top), b), _arc(b, (0, bottom), a)
    if bottom - top < 0.06:
        head.line(head.seen(upper, 0.05), _times(person.skin, 0.25), 0.045)
        return
    head.fill(head.seen(np.concatenate([upper, lower]), 0.05), (18, 16, 35))
    if both["corner"] > 0.25 or both["upper_lip"] > 0.25 or both["stretch"] > 0.35:
        share = np.minimum(0.14, 0.6 * np.maximum(0, lower[::-1, 1] - upper[:, 1]))[:, None] * (0, 1)
        head.fill(head.seen(np.concatenate([upper, (upper + share)[::-1]]), 0.05), (205, 220, 225))


def _hair(head: _Head, person: Person) -> None:
    """Hair on top, lower on the forehead with a fringe; style 4 is bald."""
    if person.hair_style == 4:
        return
    wide = person.head[0] * 1.05
    line = (-0.62 if person.hair_style == 3 else -0.98) * person.head[1]
    angle = np.linspace(1.08 * np.pi, 1.92 * np.pi, 17)
    top = np.stack([wide * np.cos(angle), 0.15 + 1.8 * person.head[1] * np.sin(angle)], axis=1)
    front = _arc((wide * 0.97, -0.25), (0, line * 1.12), (-wide * 0.97, -0.25), 17)
    front[:, 1] = np.maximum(front[:, 1], line)
    head.fill(np.concatenate([top, front]), person.hair, outline=True)


def _glasses(head: _Head) -> None:
    frame = (25.0, 25.0, 25.0)
    angle = np.linspace(0, 2 * np.pi, 20)
    for sign in (-1, 1):
        rim = np.stack([sign * 0.5 + 0.37 * np.cos(angle), 0.04 + 0.29 * np.sin(angle)], axis=1)
        head.line(head.seen(rim, 0.1), frame, 0.04)
        head.line(head.seen(np.array([(sign * 0.87, 0.0), (sign * 1.1, -0.05)]), 0.05), frame, 0.04)
    head.line(head.seen(_arc((-0.14, 0.0), (0, -0.05), (0.14, 0.0)), 0.2), frame, 0.04)

"""Pixels of a head's texture while it is painted: where things lie, soft lines and areas, maps kept for each scale."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.synthetic.face_shape import EXTENT, face_shape
from fer_transfer.synthetic.head_mesh import ATLAS, OVAL, SKIN_BOTTOM
from fer_transfer.synthetic.muscles import MUSCLES
from fer_transfer.synthetic.person import Person

Array = NDArray[np.float64]
Map = NDArray[np.float32]


@lru_cache(maxsize=64)
def _row(vertices: tuple[int, ...]) -> Array:
    return face_shape().uv[list(vertices)]


def scale_for(eye_distance: float) -> int:
    """Pixels of texture for a radian, enough for a face with that eye distance in pixels; steps let maps be kept."""
    wanted = 1.1 * eye_distance
    return next((s for s in (24, 32, 40, 48, 56, 72, 96, 128, 160) if s >= wanted), 192)


@dataclass(frozen=True)
class _Frame:
    """What all textures of one scale share.

    Attributes:
        size: height and width of the skin, which is the upper part of the texture.
        tone: the learned brightness, enlarged; shade: what each of six expressions adds.
        radius: distance from the middle of the face, 1 at its edge.
        from_top: angle from the upward direction around that middle, radians.
        strands: places in a map of hairs, by angle and distance.
    """

    size: tuple[int, int]
    tone: Map
    shade: Map
    radius: Map
    from_top: Map
    strands: tuple[Map, Map]


@lru_cache(maxsize=12)
def _frame(scale: int) -> _Frame:
    left, top, right, _ = ATLAS
    height, width = round((SKIN_BOTTOM - top) * scale), round((right - left) * scale)
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
        strands=(((around / np.pi + 1) * 127.5).astype(np.float32), np.clip(radius * 20, 0, 31).astype(np.float32)),
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

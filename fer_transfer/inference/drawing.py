"""Faces drawn on their picture, and beside what spoke for their expression; with what must stand beside every number."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.colour import as_bgr
from fer_transfer.faces.heat import heated
from fer_transfer.inference.results import PredictedFace, PredictedPicture

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TILE = 256  # side in pixels of a face beside its map
_FOUND, _LOST, _INK = (80, 220, 80), (160, 160, 160), (255, 255, 255)


def annotated(frame: NDArray[np.uint8], picture: PredictedPicture, caveat: str = "") -> NDArray[np.uint8]:
    """A copy of a frame, uint8 [H, W, 3], BGR, with its faces.

    Args:
        frame: the picture.
        picture: its faces.
        caveat: at the bottom, on as many lines as it needs.
    """
    drawn = frame.copy()
    unit = max(1, round(min(frame.shape[:2]) / 300))
    for face in picture.faces:
        _draw(drawn, face, unit)
    lines = _lines(caveat, drawn.shape[1], 0.35 * unit)
    for up, line in enumerate(reversed(lines)):
        _write(drawn, line, (4, drawn.shape[0] - 5 - 15 * unit * up), 0.35 * unit, (0, 0, 0))
    return drawn


def explained(face: PredictedFace, values: NDArray[np.float32], method: str, caveat: str = "") -> NDArray[np.uint8]:
    """A face, and beside it the same under its map, uint8 [H, W, 3], BGR.

    Args:
        face: with its pixels.
        values: its map, float32 [S, S], 0..1.
        method: that made it.
        caveat: at the bottom, on as many lines as it needs.
    """
    assert face.pixels is not None
    tiles = (as_bgr(face.pixels), heated(face.pixels, values))
    beside = np.concatenate([cv2.resize(tile, (_TILE, _TILE), interpolation=cv2.INTER_CUBIC) for tile in tiles], axis=1)
    lines = _lines(caveat, 2 * _TILE, 0.35)
    drawn = np.asarray(cv2.copyMakeBorder(beside, 0, 25 + 15 * len(lines), 0, 0, cv2.BORDER_CONSTANT), np.uint8)
    _write(drawn, f"{_said(face)}: what spoke for it, by {method.replace('_', ' ')}", (4, _TILE + 15), 0.42, (0, 0, 0))
    for down, line in enumerate(lines):
        _write(drawn, line, (4, _TILE + 33 + 15 * down), 0.35, (0, 0, 0))
    return drawn


def _said(face: PredictedFace) -> str:
    return f"{face.expression} {100 * face.probabilities.max():.0f}%" + ("" if face.found else " (no face found)")


def _draw(drawn: NDArray[np.uint8], face: PredictedFace, unit: int) -> None:
    colour = _FOUND if face.found else _LOST
    x, y, width, height = (round(float(value)) for value in face.box)
    if width and height:
        cv2.rectangle(drawn, (x, y), (x + width, y + height), colour, unit)
    if face.eyes.any():
        for eye in face.eyes:
            cv2.circle(drawn, (round(float(eye[0])), round(float(eye[1]))), unit + 1, colour, -1)
    scale = float(np.clip(width / 160, 0.35, 1.2 * unit))
    _write(drawn, _said(face), (max(x, 0), max(y - 4, round(22 * scale))), scale, colour)


def _lines(text: str, width: int, scale: float) -> list[str]:
    """A text, no line of which is wider than a picture, unless a word is.

    >>> _lines("emotiw: synthetic; no pre-training", 150, 0.35)
    ['emotiw: synthetic; no', 'pre-training']
    """
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        fits = cv2.getTextSize(longer, _FONT, scale, max(1, round(scale)))[0][0] <= width - 8
        lines[-1:] = [longer] if fits or not lines else [*lines[-1:], word]
    return lines


def _write(drawn: NDArray[np.uint8], text: str, place: tuple[int, int], scale: float, ground: tuple[int, ...]) -> None:
    """A line of text on a ground of its own; OpenCV's fonts hold ASCII only."""
    plain = text.encode("ascii", "replace").decode()
    (width, height), base = cv2.getTextSize(plain, _FONT, scale, max(1, round(scale)))
    left = max(0, min(place[0], drawn.shape[1] - width))
    cv2.rectangle(drawn, (left, place[1] - height - 2), (left + width, place[1] + base), ground, -1)
    ink = _INK if sum(ground) < 200 else (0, 0, 0)
    cv2.putText(drawn, plain, (left, place[1]), _FONT, scale, ink, max(1, round(scale)), cv2.LINE_AA)

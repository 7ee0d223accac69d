"""Faces drawn on their picture: box, eyes, expression and its probability, and what must stand beside every number."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.inference.results import PredictedFace, PredictedPicture

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FOUND, _LOST, _INK = (80, 220, 80), (160, 160, 160), (255, 255, 255)


def annotated(frame: NDArray[np.uint8], picture: PredictedPicture, caveat: str = "") -> NDArray[np.uint8]:
    """A copy of a frame, uint8 [H, W, 3], BGR, with its faces.

    Args:
        frame: the picture.
        picture: its faces.
        caveat: a line at the bottom.
    """
    drawn = frame.copy()
    unit = max(1, round(min(frame.shape[:2]) / 300))
    for face in picture.faces:
        _draw(drawn, face, unit)
    if caveat:
        _write(drawn, caveat, (4, drawn.shape[0] - 5), 0.35 * unit, (0, 0, 0))
    return drawn


def _draw(drawn: NDArray[np.uint8], face: PredictedFace, unit: int) -> None:
    colour = _FOUND if face.found else _LOST
    x, y, width, height = (round(float(value)) for value in face.box)
    if width and height:
        cv2.rectangle(drawn, (x, y), (x + width, y + height), colour, unit)
    if face.eyes.any():
        for eye in face.eyes:
            cv2.circle(drawn, (round(float(eye[0])), round(float(eye[1]))), unit + 1, colour, -1)
    text = f"{face.expression} {100 * face.probabilities.max():.0f}%" + ("" if face.found else " (no face found)")
    scale = float(np.clip(width / 160, 0.35, 1.2 * unit))
    _write(drawn, text, (max(x, 0), max(y - 4, round(22 * scale))), scale, colour)


def _write(drawn: NDArray[np.uint8], text: str, place: tuple[int, int], scale: float, ground: tuple[int, ...]) -> None:
    """A line of text on a ground of its own; OpenCV's fonts hold ASCII only."""
    plain = text.encode("ascii", "replace").decode()
    (width, height), base = cv2.getTextSize(plain, _FONT, scale, max(1, round(scale)))
    left = max(0, min(place[0], drawn.shape[1] - width))
    cv2.rectangle(drawn, (left, place[1] - height - 2), (left + width, place[1] + base), ground, -1)
    ink = _INK if sum(ground) < 200 else (0, 0, 0)
    cv2.putText(drawn, plain, (left, place[1]), _FONT, scale, ink, max(1, round(scale)), cv2.LINE_AA)

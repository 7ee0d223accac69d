"""Where the moving parts of a drawn face are: the face beside the same face at rest."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.person import Person, Points, random_muscles, random_person

_GREY = 120  # around the head
_EYES, _BETWEEN = (
    (0.5, 0.4),
    1 / 2.24,
)  # where the paper's crop has the middle of the eyes, and their distance, of its side
_SPREAD = 1 / 64  # of the side: movements this near to each other are one


def moving_face(rng: np.random.Generator, expression: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A face seen from the front, cut as ``pipeline=aligned`` does, and what its expression changed in it.

    Args:
        rng: source of chance: who it is, how strongly the face moves.
        expression: canonical index 0..6; Neutral moves by chance alone.
        size: of the picture, in pixels.

    Returns:
        uint8 [size, size], grey; float32 [size, size], the difference from the same face at rest, grey values, smoothed.
    """
    person, muscles = random_person(rng), random_muscles(rng, expression)
    pose = Pose(centre=(size * _EYES[0] - 0.5, size * _EYES[1] - 0.5), scale=size * _BETWEEN)
    face, rest = (_drawn(size, person, of, pose) for of in (muscles, np.zeros_like(muscles)))
    moved = np.abs(face.astype(np.float32) - rest)
    return face, np.asarray(cv2.GaussianBlur(moved, (0, 0), size * _SPREAD), np.float32)


def _drawn(size: int, person: Person, muscles: Points, pose: Pose) -> NDArray[np.uint8]:
    picture = np.full((size, size, 3), _GREY, np.uint8)
    draw_face(picture, person, muscles, pose)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)

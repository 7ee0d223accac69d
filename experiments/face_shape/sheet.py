"""Draw ``faces.jpg``: the seven expressions on several invented people, and small grey faces below.

::

    python experiments/face_shape/sheet.py experiments/face_shape/faces.jpg
"""

import sys

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.labels import EXPRESSIONS
from fer_transfer.synthetic.camera import draw_photograph
from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.person import random_muscles, random_person

Picture = NDArray[np.uint8]

WIDTH, HEIGHT, EYES = 150, 180, 42.0
PEOPLE, SMALL_ROWS = 5, 3


def portrait(person: int, expression: int) -> Picture:
    """One of a few people, turned and lit a little differently each time, drawn at twice the size."""
    rng = np.random.default_rng([2016, person, expression])
    picture = np.full((2 * HEIGHT, 2 * WIDTH, 3), rng.uniform(60, 150, 3), np.uint8)
    pose = Pose(
        (WIDTH, 0.84 * HEIGHT), 2 * EYES, roll=rng.normal(0, 0.05), yaw=rng.normal(0, 0.25), pitch=rng.normal(0, 0.08),
        light=(rng.normal(0, 0.18), rng.normal(-0.03, 0.08)), gaze=(rng.normal(0, 0.02), 0.0),
    )  # fmt: skip
    cloth = np.random.default_rng(person).uniform(30, 200, 3)
    draw_face(
        picture, random_person(np.random.default_rng([18, person])), random_muscles(rng, expression, 0.08), pose, cloth
    )
    return cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def small(row: int, expression: int) -> Picture:
    """Faces as in the synthetic FER-2013, twice as large, side by side to fill a column."""
    faces = [draw_photograph(np.random.default_rng([9, row, expression, k]), expression, 48)[0] for k in range(2)]
    grey = cv2.resize(np.hstack(faces), (WIDTH, WIDTH // 2), interpolation=cv2.INTER_CUBIC)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)


def text(words: str, width: int) -> Picture:
    strip = np.full((24, width, 3), 255, np.uint8)
    cv2.putText(strip, words, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def main() -> None:
    """Write the sheet to the path given."""
    columns = range(len(EXPRESSIONS))
    rows = [text("synthetic: every face is rendered from parameters, none is a photograph", WIDTH * len(EXPRESSIONS))]
    rows.append(np.hstack([text(name, WIDTH) for name in EXPRESSIONS]))
    rows += [np.hstack([portrait(person, k) for k in columns]) for person in range(PEOPLE)]
    rows.append(text("synthetic: small grey faces (48x48) of the same expressions", WIDTH * len(EXPRESSIONS)))
    rows += [np.hstack([small(row, k) for k in columns]) for row in range(SMALL_ROWS)]
    if not cv2.imwrite(sys.argv[1], np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 68]):
        raise SystemExit(f"Cannot write {sys.argv[1]}.")


if __name__ == "__main__":
    main()

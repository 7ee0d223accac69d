"""Draw what the alignment measures on a synthetic face: the six points of each eye, e2e, and the box (``eyes.jpg``).

::

    python experiments/alignment/eyes.py experiments/alignment/eyes.jpg
"""

import sys

import cv2
import numpy as np

from fer_transfer.detection.alignment import Alignment
from fer_transfer.detection.detectors import ViolaJones
from fer_transfer.detection.landmarks import LEFT_EYE, RIGHT_EYE, FaceMesh
from fer_transfer.labels import SEVEN
from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.person import random_muscles, random_person

SIDE = 900
BLUE, YELLOW, GREEN, WHITE = (255, 160, 60), (60, 220, 240), (80, 220, 80), (255, 255, 255)


def text(picture: np.ndarray, words: str, place: tuple[int, int], colour: tuple[int, int, int] = WHITE) -> None:
    cv2.putText(picture, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def main() -> None:
    picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
    rng = np.random.default_rng(4)
    person, muscles = random_person(rng), random_muscles(rng, SEVEN.index("Neutral"))
    draw_face(picture, person, muscles, Pose(centre=(SIDE / 2, 400), scale=270, roll=0.12))
    fit = FaceMesh().fit(picture, ViolaJones().detect(picture).boxes[0])
    eyes = fit.eyes
    corners = np.round(Alignment().corners(eyes)).astype(int)
    cv2.polylines(picture, [corners], True, GREEN, 2, cv2.LINE_AA)
    centres = [tuple(int(v) for v in np.round(eye)) for eye in eyes]
    cv2.line(picture, *centres, GREEN, 1, cv2.LINE_AA)
    for eye, centre, outward in ((RIGHT_EYE, centres[0], -1), (LEFT_EYE, centres[1], 1)):
        for index in eye:
            x, y = (int(v) for v in np.round(fit.points[index]))
            away = np.array([x, y]) - centre
            cv2.circle(picture, (x, y), 4, YELLOW, -1, cv2.LINE_AA)
            text(picture, str(index), (x + int(0.35 * away[0]) - 12, y + int(np.sign(away[1]) * 18) + 5), YELLOW)
        cv2.circle(picture, centre, 5, BLUE, -1, cv2.LINE_AA)
        text(picture, "eye centre", (centre[0] - 40 + 10 * outward, centre[1] - 78), BLUE)
    middle = np.round(eyes.mean(axis=0)).astype(int)
    text(picture, "e2e", (int(middle[0]) - 14, int(middle[1]) - 8), GREEN)
    top, right, bottom = (corners[[0, 1]].mean(axis=0), corners[[1, 2]].mean(axis=0), corners[[2, 3]].mean(axis=0))
    text(picture, "0.9 e2e above", (int(top[0]) - 55, int(top[1]) + 30), GREEN)
    text(picture, "0.62 e2e", (int(right[0]) - 95, int(middle[1]) + 95), GREEN)
    text(picture, "1.35 e2e below", (int(bottom[0]) - 55, int(bottom[1]) - 15), GREEN)
    text(picture, "synthetic face; landmark numbers are those of MediaPipe's face mesh", (12, SIDE - 14))
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    assert done
    with open(sys.argv[1], "wb") as file:
        file.write(data.tobytes())


if __name__ == "__main__":
    main()

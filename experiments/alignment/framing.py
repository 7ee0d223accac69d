"""How FER-2013 frames a face, in eye-to-eye distances: the measure of which reading of e2e the paper can have meant.

The paper's box reaches 0.62 e2e to each side of the eyes, 0.9 above and 1.35 below, and is said to frame the face as
FER-2013 does. The face mesh is run on FER-2013's faces enlarged to 256 pixels; those that fit count.

::

    python experiments/alignment/framing.py faces/fer2013
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from fer_transfer.detection.landmarks import FaceMesh
from fer_transfer.faces.opening import open_faces

FIT = 0.9  # surer than the paper's 0.3: landmarks at 48 pixels are doubtful
WHOLE = np.array([25, 25, 205, 205])  # the face fills about 0.8 of the picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, help="FER-2013 as fer-prepare leaves it")
    parser.add_argument("--count", type=int, default=1000, help="faces to look at (default: %(default)s)")
    options = parser.parse_args()
    faces, mesh = open_faces(options.faces), FaceMesh()
    measured = []
    for row in np.random.default_rng(0).choice(len(faces), min(options.count, len(faces)), replace=False):
        grey = cv2.resize(faces.pixels[row], (256, 256), interpolation=cv2.INTER_LINEAR)
        fit = mesh.fit(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), WHOLE)
        if fit.score >= FIT:
            centres = np.hypot(*(fit.eyes[1] - fit.eyes[0]))
            corners = np.hypot(*(fit.points[263] - fit.points[33]))
            measured.append((centres, corners, fit.eyes[:, 1].mean() + 0.5))
    of_centres, of_corners, level = np.array(measured).T
    print(f"{len(measured)} of {options.count} faces fit (score >= {FIT}); medians")
    print(f"{'e2e between':<14} {'width':>6} {'above':>6} {'below':>6}   (the paper's box: 2.24, 0.9, 1.35)")
    for name, e2e in (("eye centres", of_centres), ("outer corners", of_corners)):
        sides = [np.median(256 / e2e), np.median(level / e2e), np.median((256 - level) / e2e)]
        print(f"{name:<14} " + " ".join(f"{side:6.2f}" for side in sides))


if __name__ == "__main__":
    main()

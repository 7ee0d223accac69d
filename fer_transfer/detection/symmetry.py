"""How far a face's points lie from those of its mirror image: what one look at it tells of its own doubt."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Points on the person's right side, and their mirror images: eyes, brows, lips, nose, outline.
PAIRS = (
    (33, 263), (7, 249), (163, 390), (144, 373), (145, 374), (153, 380), (154, 381), (155, 382), (133, 362), (173, 398),
    (157, 384), (158, 385), (159, 386), (160, 387), (161, 388), (246, 466),
    (70, 300), (63, 293), (105, 334), (66, 296), (107, 336), (46, 276), (53, 283), (52, 282), (65, 295), (55, 285),
    (61, 291), (146, 375), (91, 321), (181, 405), (84, 314), (185, 409), (40, 270), (39, 269), (37, 267), (78, 308),
    (95, 324), (88, 318), (178, 402), (87, 317), (191, 415), (80, 310), (81, 311), (82, 312),
    (98, 327), (97, 326), (48, 278), (115, 344), (220, 440), (45, 275),
    (234, 454), (93, 323), (132, 361), (58, 288), (172, 397), (136, 365), (150, 379), (149, 378), (176, 400), (148, 377),
    (127, 356), (162, 389), (21, 251), (54, 284), (103, 332), (67, 297), (109, 338),
)  # fmt: skip

#: Points in the middle of a face, from the forehead to the chin: their own mirror images.
MIDDLE = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 164, 0, 13, 14, 17, 18, 200, 199, 175, 152)

_POINTS = np.array([*sum(PAIRS, ()), *MIDDLE])
_IMAGES = np.array([*sum(((other, one) for one, other in PAIRS), ()), *MIDDLE])

_MIRROR = np.array([-1.0, 1.0, 1.0])

#: Outer and inner corners of the eyes, the person's right one first.
_CORNERS = (33, 133), (362, 263)


def asymmetry(points: NDArray[np.floating[Any]]) -> float:
    """Root mean square distance, across and down, of points from those of the mirror image, in eye-to-eye distances.

    The mirror image is turned and moved in space as fits best (Kabsch), so that it does not matter where a head turns, as far
    as the model knows the depth of its points. A face of which half is hidden, or that a mesh lies across, gives more than one
    that is seen well; so do a smile on one side and one eye shut. 0 is a face that is its own mirror image.

    Args:
        points: [468 or 478, 3]; x, y and z in the same measure.
    """
    points = points.astype(np.float64)
    face, image = points[_POINTS], points[_IMAGES] * _MIRROR
    face -= face.mean(0)
    image -= image.mean(0)
    u, _, v = np.linalg.svd(image.T @ face)
    turn = u * (1, 1, np.sign(np.linalg.det(u @ v))) @ v
    apart = (image @ turn - face)[:, :2]
    right, left = ((points[outer] + points[inner]) / 2 for outer, inner in _CORNERS)
    return float(np.sqrt((apart**2).sum(1).mean()) / max(float(np.linalg.norm(left - right)), 1e-6))

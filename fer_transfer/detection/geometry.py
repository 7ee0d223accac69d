"""What MediaPipe's FaceLandmarker tells of a face beside where its eyes are: 478 points, 52 blendshapes, the head's pose."""

from base64 import b64decode, b64encode

import numpy as np
from numpy.typing import NDArray

#: Movements of a face, each 0..1, in the order in which the model gives them (ARKit's names; left and right are the person's).
BLENDSHAPES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
)  # fmt: skip

#: Of the model: the 468 of the face mesh, then five of each iris, the person's right eye first.
POINTS = 478

#: One face. ``points``: x, y in pixels of the frame, z in the same measure, smaller is nearer. ``pose``: from centimetres of
#: MediaPipe's canonical face to those of its camera (63 degrees high), which looks along -z. All NaN: nothing is known of it.
GEOMETRY = np.dtype([
    ("points", "<f4", (POINTS, 3)), ("blendshapes", [(name, "<f4") for name in BLENDSHAPES]), ("pose", "<f4", (4, 4)),
])  # fmt: skip

Geometry = NDArray[np.void]

#: Numbers of one face.
NUMBERS = GEOMETRY.itemsize // 4


def geometry_of(
    points: NDArray[np.floating], blendshapes: NDArray[np.floating], pose: NDArray[np.floating]
) -> Geometry:
    """GEOMETRY [], of points [478, 3], blendshapes [52] and pose [4, 4]."""
    numbers = np.concatenate([points.ravel(), blendshapes.ravel(), pose.ravel()]).astype("<f4")
    return geometry_from(numbers.tobytes())


def geometry_from(data: bytes) -> Geometry:
    """GEOMETRY [], of its bytes; it may be written to."""
    found: Geometry = np.frombuffer(bytearray(data), GEOMETRY)[0:1].reshape(())
    return found


def nothing_known() -> Geometry:
    """GEOMETRY [] of a face of which nothing is known: NaN."""
    return geometry_from(np.full(NUMBERS, np.nan, "<f4").tobytes())


def bounds(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Left top, and right bottom, float32 [2] each, of points float32 [N, 2 or 3] of which x and y come first.

    >>> bounds(np.array([[1, 9, 0], [4, 2, 0]], np.float32))
    (array([1., 2.], dtype=float32), array([4., 9.], dtype=float32))
    """
    placed = np.ascontiguousarray(points[:, :2].T)  # NumPy is four times as fast along memory as across it
    return placed.min(1), placed.max(1)


def as_numbers(geometry: NDArray[np.void]) -> NDArray[np.float32]:
    """GEOMETRY [N] as float32 [N, 1502], in the same memory: points, then blendshapes, then pose, row by row.

    >>> as_numbers(nothing_known()[None]).shape
    (1, 1502)
    """
    numbers: NDArray[np.float32] = geometry.view("<f4").reshape(len(geometry), NUMBERS)
    return numbers


def encoded(geometry: Geometry) -> str:
    """GEOMETRY [] as text, for JSON."""
    return b64encode(geometry.tobytes()).decode()


def decoded(text: str) -> Geometry:
    """GEOMETRY [], of ``encoded``."""
    return geometry_from(b64decode(text))

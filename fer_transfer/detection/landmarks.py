"""Landmarks of a face: MediaPipe's face mesh (Kartynnik et al. 2019), run by OpenCV from the model in MediaPipe's wheel.

Ng et al. (2015) took 49 points and a fit score from IntraFace, which is no longer given out. Of the 468 points of the
mesh, six around each eye stand for IntraFace's, and the model's own face presence for its fit score. MediaPipe itself is
never imported: it would start threads that no process may fork after, and write to the terminal.
"""

import importlib.util
import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.geometry import Geometry
from fer_transfer.detection.model_file import ModelFile
from fer_transfer.errors import ConfigError

Frame = NDArray[np.uint8]
Matrix = NDArray[np.float64]

#: The six points around each eye, from the picture's left corner: corner, two above, corner, two below.
RIGHT_EYE = (33, 160, 158, 133, 153, 144)
LEFT_EYE = (362, 385, 387, 263, 373, 380)

#: Where the lips meet, in the middle: upper and lower.
MOUTH = (13, 14)

POINTS = 468
INPUT = 192  # side of the model's input in pixels

#: The model puts every point so far to the right in its input: half the mean difference between the points of 295
#: photographs and of the same photographs mirrored (standard error 0.02; of up and down that tells nothing). It is 0.7 % of e2e.
SHIFT = 0.33

#: The model's file inside MediaPipe's package.
BUNDLED = "modules/face_landmark/face_landmark.tflite"


@dataclass(frozen=True)
class Landmarks:
    """The mesh fitted to one face.

    Attributes:
        points: float32 [468, 2], or 478 with the irises; x, y in pixels of the frame; they may lie outside it.
        score: the fit score, 0..1; what it measures is the landmarker's to say.
        geometry: what else the landmarker tells of the face, or None.
        beside: how far the eye centres lie outward and below the means of six points, in eye-to-eye distances: models differ in
            where they put the points of an eye, and an eye centre is where the mesh of 468 has it.
    """

    points: NDArray[np.float32]
    score: float
    geometry: Geometry | None = None
    beside: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def eyes(self) -> Matrix:
        """float64 [2, 2], x, y of the eye centres, means of six points each (and ``beside``); the person's right eye first."""
        points = self.points.astype(np.float64)
        right, left = points[list(RIGHT_EYE)].mean(0), points[list(LEFT_EYE)].mean(0)
        outward, down = np.outer(self.beside, left - right)
        below = np.array([-down[1], down[0]])
        return np.stack([right - outward + below, left + outward + below])

    @property
    def mirrored(self) -> bool:
        """Whether left and right are swapped: seen from the eyes, the mouth is on the wrong side.

        True of landmarks whose sides were exchanged, or that lost their shape. A tilted head, even one upside
        down, is not mirrored.
        """
        (across_x, across_y), (down_x, down_y) = self._axes
        return bool(across_x * down_y - across_y * down_x <= 0)

    @property
    def _axes(self) -> Matrix:
        """From the right eye to the left one, and from between the eyes to the mouth."""
        eyes = self.eyes
        return np.stack([eyes[1] - eyes[0], self.points[list(MOUTH)].mean(0, dtype=np.float64) - eyes.mean(0)])


class Landmarker(Protocol):
    """Anything that fits the mesh to a face. It can be pickled, to travel to the workers of a pool."""

    def fit(self, frame: Frame, box: NDArray[Any]) -> Landmarks:
        """Landmarks of the face in a box.

        Args:
            frame: uint8 [H, W, 3], BGR, 0..255.
            box: [4], x, y, width, height in pixels, as a detector gives it.

        Returns:
            The landmarks, whatever the box holds; the score says whether they mean anything.
        """

    def settings(self) -> dict[str, Any]:
        """What was chosen, as plain JSON under ``landmarker``; faces aligned by another choice are other faces."""


@runtime_checkable
class Finder(Landmarker, Protocol):
    """A landmarker that needs no detector before it."""

    def find(self, frame: Frame) -> list[Landmarks]:
        """Landmarks of every face of a frame, uint8 [H, W, 3], BGR, 0..255; none is no error."""


class Tracker(Protocol):
    """What finds the faces of one video, frame after frame; one thread's."""

    def follow(self, frame: Frame, seconds: float) -> list[Landmarks]:
        """Landmarks of every face of the next frame (``Finder.find``); a time that goes back begins another video."""


@runtime_checkable
class Following(Finder, Protocol):
    """A finder that can follow faces through a video."""

    def tracker(self) -> Tracker:
        """A new one, for one video after another."""


class FaceMesh:
    """MediaPipe's mesh of 468 points, without the tracker around it.

    The first pass looks at a square around the box, each further one at the square that MediaPipe's tracker would
    take: turned by the eyes, 1.5 times as wide as the points of the pass before. Beyond the frame its edge repeats.

    Passes end when the eyes stay where they are. Around a face they do at the second pass nearly always; from a box
    beside a face they wander, for some passes towards it.

    The fit score is the model's presence output through a sigmoid at the last pass, times the steadiness: 1 where
    that pass moved the eye centres by no more than ``steady``, otherwise ``steady`` over what it moved them. Presence
    tells faces from other things: nearly every face gets more than 0.99, nearly everything else under 0.02. It does not
    tell a mesh on the face from one on the hair above it; steadiness does.

    A pass takes about 3 ms on one thread. The second turns the square with the head. On 43 faces with dlib's landmarks
    another enlargement (1.2 to 1.7) or smoother interpolation changed the median error by no more than its noise.

    Args:
        model: a ``.tflite`` file with the 192 px mesh model; None is the one in MediaPipe's wheel.
        enlarge: side of the first square, in longer sides of the box.
        passes: how often the model is run at most.
        steady: mean movement of the eye centres from pass to pass that counts as none, in eye-to-eye distances.

    Raises:
        ConfigError: if the model is missing or another one, or an option is out of range.
    """

    def __init__(self, model: str | None = None, enlarge: float = 1.3, passes: int = 8, steady: float = 0.03) -> None:
        if not 0.5 <= enlarge <= 5 or not 2 <= passes <= 50 or not 0 < steady < 1:
            raise ConfigError(
                "Expected 0.5 <= enlarge <= 5, 2 <= passes <= 50 and 0 < steady < 1 for the face mesh, but got "
                f"enlarge={enlarge}, passes={passes}, steady={steady}. Change the landmarker's options."
            )
        self.enlarge, self.passes, self.steady = enlarge, passes, steady
        what = f"a face mesh model with {INPUT} px input and {POINTS} points"
        self.model = ModelFile(str(model or _bundled()), what, _load_mesh, _ADVICE)

    def settings(self) -> dict[str, Any]:
        """Digest of the model, options, OpenCV's version."""
        chosen = {
            "name": "MediaPipe face mesh",
            "model": self.model.digest[:12],
            "enlarge": self.enlarge,
            "passes": self.passes,
            "steady": self.steady,
            "opencv": cv2.__version__,
        }
        return {"landmarker": chosen}

    def fit(self, frame: Frame, box: NDArray[Any]) -> Landmarks:
        """See ``Landmarker.fit``."""
        x, y, width, height = (float(v) for v in box)
        square = _square((x + (width - 1) / 2, y + (height - 1) / 2), self.enlarge * max(width, height, 1.0), 0.0)
        points, score = self._run(frame, square)
        moved = np.inf
        for _ in range(self.passes - 1):
            before = points
            points, score = self._run(frame, around(points))
            moved = _movement(before, points)
            if moved <= self.steady:
                break
        return Landmarks(points.astype(np.float32), score * min(1.0, self.steady / moved))

    def _run(self, frame: Frame, square: Matrix) -> tuple[Matrix, float]:
        """Points float64 [468, 2] in the frame and the score, from the place that ``square`` maps to the input."""
        crop = _look(frame, square)
        network = self.model.network
        network.setInput(cv2.dnn.blobFromImage(crop, 1 / 255, swapRB=True))
        logit, points = sorted(network.forward(network.getUnconnectedOutLayersNames()), key=np.size)
        inside = points.reshape(POINTS, 3)[:, :2] - np.array([SHIFT, 0.0])
        if not np.isfinite(inside).all():
            return np.zeros((POINTS, 2)) + square[:, 2], 0.0
        return inside @ square[:, :2].T + square[:, 2], float(1 / (1 + np.exp(-np.clip(logit.item(), -50, 50))))


def _movement(before: Matrix, after: Matrix) -> float:
    """How far the eye centres moved on average, in eye-to-eye distances; a little at least."""
    was, now = (np.stack([points[list(eye)].mean(0) for eye in (RIGHT_EYE, LEFT_EYE)]) for points in (before, after))
    distance = np.linalg.norm(now[1] - now[0])
    return float(np.linalg.norm(now - was, axis=1).mean() / max(distance, 1e-6)) + 1e-9


def around(points: Matrix) -> Matrix:
    """The square that MediaPipe's tracker looks at next: turned by the outer eye corners, 1.5 times the longer side.

    Args:
        points: float64 [468, 2] in the frame.

    Returns:
        float64 [2, 3], from pixels of the model's input to pixels of the frame.
    """
    low, high = points.min(0), points.max(0)
    x, y = points[263] - points[33]
    return _square(tuple((low + high) / 2), 1.5 * max(float((high - low).max()), 1.0), float(np.arctan2(y, x)))


def _square(centre: tuple[float, float], side: float, angle: float) -> Matrix:
    """From pixels of the model's input to pixels of the frame, for a square turned by an angle in radians."""
    scale = side / INPUT
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.array(centre) - turn @ np.full(2, (INPUT - 1) / 2)
    return np.column_stack([turn, shift])


def _look(frame: Frame, square: Matrix) -> Frame:
    """The model's input, uint8 [192, 192, 3]: first cut and shrunk by whole pixels, for no aliasing, then turned."""
    corners = np.array([[0, 0], [INPUT, 0], [0, INPUT], [INPUT, INPUT]]) - 0.5
    corners = corners @ square[:, :2].T + square[:, 2]
    limit = np.array([frame.shape[1], frame.shape[0]]) - 1
    low = np.clip(np.floor(corners.min(0)) - 1, 0, limit).astype(int)
    high = np.clip(np.ceil(corners.max(0)) + 1, 0, limit).astype(int) + 1
    patch = frame[low[1] : high[1], low[0] : high[0]]
    square = square.copy()
    square[:, 2] -= low
    shrink = int(np.hypot(square[0, 0], square[1, 0]))
    if shrink > 1:
        size = max(1, patch.shape[1] // shrink), max(1, patch.shape[0] // shrink)
        ratio = np.array([size[0] / patch.shape[1], size[1] / patch.shape[0]])
        patch = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
        square = square * ratio[:, None]
        square[:, 2] += (ratio - 1) / 2
    crop: Frame = cv2.warpAffine(
        patch,
        square,
        (INPUT, INPUT),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return crop


def _bundled() -> Path:
    """The model in MediaPipe's wheel, found without importing it."""
    found = importlib.util.find_spec("mediapipe")
    for folder in (found.submodule_search_locations or []) if found else []:
        if (path := Path(folder) / BUNDLED).exists():
            return path
    raise ConfigError(
        f"Expected the face mesh model {BUNDLED} in the package mediapipe, but "
        f"{'this version has none' if found else 'it is not installed'}. Fetch it with fer-weights model=mesh fetch=true "
        "and give pipeline.landmarker.model=face_landmark.tflite; or install mediapipe==0.10.14, which carries it (up to "
        "Python 3.12); or take pipeline=box, which needs none."
    )


_ADVICE = (
    "Fetch it with fer-weights model=mesh fetch=true and give the path of face_landmark.tflite as the landmarker's option "
    "model (pipeline.landmarker.model=FILE), or give none for the one in MediaPipe's wheel."
)

#: Its 256 px model of 478 points does load, but OpenCV gives 2x2 values for each coordinate, all of them wrong.
_TASK = "it looks like a MediaPipe .task bundle, whose model OpenCV loads but computes wrongly"


def _load_mesh(data: bytes) -> Any:
    network = cv2.dnn.readNetFromTFLite(np.frombuffer(data, np.uint8)) if data[4:8] == b"TFL3" else None
    if network is None or _output_sizes(network) != [1, 3 * POINTS]:
        raise ValueError(_TASK if zipfile.is_zipfile(io.BytesIO(data)) else "")
    return network


def _output_sizes(network: Any) -> list[int]:
    network.setInput(np.zeros((1, 3, INPUT, INPUT), np.float32))
    return sorted(out.size for out in network.forward(network.getUnconnectedOutLayersNames()))

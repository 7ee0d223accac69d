"""MediaPipe's FaceLandmarker: finds faces and fits 478 points to each, or fits them where another detector found a face.

Its library is ``mediapipe`` (0.10.14 or 1.2), its model a file of the user's, ``face_landmarker_v2_with_blendshapes.task``.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.face_tracker import FaceTracker
from fer_transfer.detection.geometry import POINTS, Geometry
from fer_transfer.detection.landmarks import Frame, Landmarks
from fer_transfer.detection.model_file import ModelFile
from fer_transfer.detection.tasks import Tasks, version
from fer_transfer.errors import ConfigError

#: What it is called in settings.
NAME = "MediaPipe FaceLandmarker"

#: The model's input looks at a square of 1.5 times the longer side of a face's points, in so many pixels.
INPUT, AROUND = 256, 1.5

#: The model puts every point so far to the right in its input, in its pixels: half the mean difference between the points of
#: photographs and of the same photographs mirrored (``benchmarks/shift.py``): 0.634 +- 0.028 in 157 photographs, 0.640 +- 0.028
#: in the same enlarged twice. A mirror tells nothing of up and down.
SHIFT = 0.64


class FaceLandmarker:
    """MediaPipe's FaceLandmarker, as a landmarker, and as a finder of faces without a detector before it.

    The fit score is the agreement of two looks: the face is cut out, mirrored, and looked at again. Where both looks put the
    eye centres in one place, it is 1; where they lie ``doubt`` of the eye-to-eye distance apart, a half; where the second
    look finds no face, 0. MediaPipe itself tells no score.

    Args:
        model: path of ``face_landmarker_v2_with_blendshapes.task``.
        faces: how many faces of a frame it looks for at most.
        detection: least score of its own detector.
        enlarge: side of the square that is looked at around a box, in longer sides of the box.
        doubt: distance of the eye centres between two looks that halves the score, in eye-to-eye distances.

    Raises:
        ConfigError: if the model is missing or another one, MediaPipe cannot be loaded, or an option is out of range.
    """

    def __init__(
        self, model: str, faces: int = 20, detection: float = 0.5, enlarge: float = 2.0, doubt: float = 0.1
    ) -> None:
        if not 1 <= faces <= 1000 or not 0 < detection < 1 or not 1 <= enlarge <= 5 or not 0 < doubt < 1:
            raise ConfigError(
                "Expected 1 <= faces <= 1000, 0 < detection < 1, 1 <= enlarge <= 5 and 0 < doubt < 1 for MediaPipe's "
                f"FaceLandmarker, but got faces={faces}, detection={detection}, enlarge={enlarge}, doubt={doubt}. "
                "Change the landmarker's options."
            )
        self.faces, self.detection, self.enlarge, self.doubt = faces, detection, enlarge, doubt
        load = partial(Tasks, faces, detection)
        self.model = ModelFile(
            model, "MediaPipe's face landmarker (a .task bundle)", load, _ADVICE, f"MediaPipe {version()}"
        )

    def settings(self) -> dict[str, Any]:
        """Digest of the model, options, MediaPipe's version."""
        chosen = {
            "name": NAME,
            "model": self.model.digest[:12],
            "faces": self.faces,
            "detection": self.detection,
            "enlarge": self.enlarge,
            "doubt": self.doubt,
            "mediapipe": version(),
        }
        return {"landmarker": chosen}

    def find(self, frame: Frame) -> list[Landmarks]:
        """See ``landmarks.Finder.find``."""
        return self.told(frame, self.model.network.look(frame))

    def told(self, frame: Frame, faces: list[Geometry]) -> list[Landmarks]:
        """What the model told of the faces of a frame, its points put right, with scores."""
        return [self._judged(frame, face) for face in _put_right(faces)]

    def tracker(self) -> FaceTracker:
        """See ``landmarks.Following.tracker``."""
        return FaceTracker(self)

    def video_task(self) -> Tasks:
        """MediaPipe's task in video mode, for one video."""
        return Tasks(self.faces, self.detection, self.model.again(), video=True)

    def fit(self, frame: Frame, box: NDArray[Any]) -> Landmarks:
        """See ``landmarks.Landmarker.fit``; of several faces around the box the one whose middle is nearest to the box's."""
        x, y, width, height = (float(v) for v in box)
        middle = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
        face = self._nearest(frame, middle, self.enlarge * max(width, height, 1.0) / 2)
        if face is None:
            return Landmarks(np.repeat(middle[None].astype(np.float32), POINTS, axis=0), 0.0)
        return self._judged(frame, face)

    def _judged(self, frame: Frame, face: Geometry) -> Landmarks:
        """A face with its score: how well a look at its mirror image agrees."""
        low, high = _extent(face)
        middle = np.array([frame.shape[1] - 1 - (low + high)[0] / 2, (low + high)[1] / 2])
        other = self._nearest(frame[:, ::-1], middle, float((high - low).max()))
        if other is None:
            return _landmarks(face, 0.0)
        eyes, others = _landmarks(face, 1.0).eyes, _landmarks(other, 1.0).eyes[::-1]
        others[:, 0] = frame.shape[1] - 1 - others[:, 0]
        apart = np.linalg.norm(eyes - others, axis=1).mean() / max(float(np.linalg.norm(eyes[1] - eyes[0])), 1e-6)
        return _landmarks(face, float(self.doubt / (self.doubt + apart)))

    def _nearest(self, frame: Frame, middle: NDArray[np.float64], reach: float) -> Geometry | None:
        """Of the faces of a square (its middle, and its reach to each side) the one nearest to its middle, if there is one."""
        size = np.array([frame.shape[1], frame.shape[0]])
        low = np.clip(np.floor(middle - reach), 0, size - 1).astype(int)
        high = np.clip(np.ceil(middle + reach), low, size - 1).astype(int) + 1
        found = self._looked(frame[low[1] : high[1], low[0] : high[0]])
        for face in found:
            face["points"][:, :2] += low
        return min(found, key=lambda face: float(np.linalg.norm(np.mean(_extent(face), 0) - middle)), default=None)

    def _looked(self, frame: Frame) -> list[Geometry]:
        return _put_right(self.model.network.look(frame))


def _put_right(faces: list[Geometry]) -> list[Geometry]:
    for face in faces:
        face["points"][:, :2] -= _shift(face["points"])
    return faces


def _landmarks(face: Geometry, score: float) -> Landmarks:
    return Landmarks(face["points"][:, :2].copy(), score, face)


def _extent(face: Geometry) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Left top, and right bottom, of a face's points: float32 [2] each."""
    return face["points"][:, :2].min(0), face["points"][:, :2].max(0)


def _shift(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far the model put points [478, 3] beside where they are, float32 [2], in pixels of the frame."""
    side = AROUND * float(np.ptp(points[:, :2], axis=0).max())
    across = points[263, :2] - points[33, :2]
    length: float = max(float(np.linalg.norm(across)), 1e-6)
    return (SHIFT * side / INPUT / length * across).astype(np.float32)


_ADVICE = (
    "Fetch it with fer-weights model=landmarker fetch=true, and give the path of face_landmarker_v2_with_blendshapes.task as "
    "the landmarker's option model (pipeline.landmarker.model=FILE)."
)

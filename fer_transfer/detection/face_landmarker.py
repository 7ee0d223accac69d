"""MediaPipe's FaceLandmarker: finds faces and fits 478 points to each, or fits them where another detector found a face.

Its library is ``mediapipe`` (0.10.14 or 1.2), its model a file of the user's, ``face_landmarker_v2_with_blendshapes.task``.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.face_tracker import FaceTracker
from fer_transfer.detection.geometry import POINTS, Geometry, bounds
from fer_transfer.detection.landmarks import Frame, Landmarks
from fer_transfer.detection.model_file import ModelFile
from fer_transfer.detection.symmetry import asymmetry
from fer_transfer.detection.tasks import Tasks, version
from fer_transfer.errors import ConfigError

#: What it is called in settings.
NAME = "MediaPipe FaceLandmarker"

#: The model's input looks at a square of 1.5 times the longer side of a face's points, in so many pixels.
INPUT, AROUND = 256, 1.5

#: The model puts every point so far to the right in its input, in its pixels: half the mean difference between the points of
#: photographs and of the same photographs mirrored (``benchmarks/shift.py``): 0.666 +- 0.012 in 863 photographs; in 157 of them
#: 0.634 +- 0.028, and 0.640 +- 0.028 in the same enlarged twice. A mirror tells nothing of up and down.
SHIFT = 0.67

#: How far outward of the mean of its six points, and below it, an eye centre lies, in eye-to-eye distances: there the mesh of
#: ``pipeline=aligned`` has it, in the mean over 864 photographs (``benchmarks/shift.py``; +- 0.0005). Its corners lie further in.
BESIDE = (0.0105, -0.0089)

#: MediaPipe's own least share that its model gives to a face being there, below which it refuses what its detector found.
PRESENCE = 0.5

#: Faces of a smaller share of a frame's longer side are looked at from nearer: MediaPipe's detector, by whose answer the model's
#: input is cut, sees a whole frame in 128 pixels.
SMALL = 0.2


class FaceLandmarker:
    """MediaPipe's FaceLandmarker, as a landmarker, and as a finder of faces without a detector before it.

    MediaPipe tells no score. The fit score is ``doubt / (doubt + distance)``. With one look at a face the distance is its
    asymmetry (``symmetry.asymmetry``): of its points from those of its mirror image. With two, the face is cut out, mirrored and
    looked at again, and it is what lies between the eye centres of both looks; where the second finds no face, the score is 0.
    Both sort the doubtful first, the second better, at twice the time (``benchmarks/fit_score.py``). In either MediaPipe
    itself has refused what it takes for no face.

    Args:
        model: path of ``face_landmarker_v2_with_blendshapes.task``, which must be given.
        faces: how many faces of a frame it looks for at most.
        detection: least score of its own detector.
        presence: of a frame in which MediaPipe's model refuses all that its detector finds, it is asked again with this least
            share for a face being there; ``PRESENCE``: it is not.
        enlarge: side of the square that is looked at around a box, in longer sides of the box.
        looks: 1, or 2: once more at the mirror image of each face, for a better score.
        doubt: distance that halves the score, in eye-to-eye distances.

    Raises:
        ConfigError: if the model is missing or another one, MediaPipe cannot be loaded, or an option is out of range.
    """

    def __init__(
        self,
        model: str | None = None,
        faces: int = 20,
        detection: float = 0.5,
        presence: float = 0.1,
        enlarge: float = 2.0,
        looks: int = 1,
        doubt: float = 0.1,
    ) -> None:
        shares = 0 < detection < 1 and 0 < presence <= PRESENCE and 0 < doubt < 1
        if not (shares and 1 <= faces <= 1000 and 1 <= enlarge <= 5 and looks in (1, 2)):
            raise ConfigError(
                f"Expected 1 <= faces <= 1000, 0 < detection < 1, 0 < presence <= {PRESENCE}, 1 <= enlarge <= 5, looks=1 or 2 "
                f"and 0 < doubt < 1 for MediaPipe's FaceLandmarker, but got faces={faces}, detection={detection}, "
                f"presence={presence}, enlarge={enlarge}, looks={looks}, doubt={doubt}. Change the landmarker's options."
            )
        self.faces, self.detection, self.presence, self.doubt = faces, detection, presence, doubt
        self.enlarge, self.looks = enlarge, looks
        self._lenient: Tasks | None = None
        load = partial(Tasks, faces, detection, PRESENCE)
        self.model = ModelFile(
            model, "MediaPipe's face landmarker (a .task bundle)", load, _ADVICE, f"MediaPipe {version()}"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lenient": None}  # what the library makes does not pickle

    def settings(self) -> dict[str, Any]:
        """Digest of the model, options, MediaPipe's version."""
        chosen = {
            "name": NAME,
            "model": self.model.digest[:12],
            "faces": self.faces,
            "detection": self.detection,
            "presence": self.presence,
            "enlarge": self.enlarge,
            "looks": self.looks,
            "doubt": self.doubt,
            "mediapipe": version(),
        }
        return {"landmarker": chosen}

    def find(self, frame: Frame) -> list[Landmarks]:
        """See ``landmarks.Finder.find``."""
        seen = self._looked(frame) or self._asked_again(frame)
        return [self._judged(frame, self._from_nearer(frame, face)) for face in seen]

    def told(self, frame: Frame, faces: list[Geometry]) -> list[Landmarks]:
        """What the model told of the faces of a frame, its points put right, with scores."""
        return [self._judged(frame, face) for face in _put_right(faces)]

    def tracker(self) -> FaceTracker:
        """See ``landmarks.Following.tracker``."""
        return FaceTracker(self)

    def video_task(self) -> Tasks:
        """MediaPipe's task in video mode, for one video."""
        return Tasks(self.faces, self.detection, PRESENCE, self.model.again(), video=True)

    def fit(self, frame: Frame, box: NDArray[Any]) -> Landmarks:
        """See ``landmarks.Landmarker.fit``; of several faces around the box the one whose middle is nearest to the box's."""
        x, y, width, height = (float(v) for v in box)
        middle = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
        face = self._nearest(frame, middle, self.enlarge * max(width, height, 1.0) / 2)
        if face is None:
            return Landmarks(np.repeat(middle[None].astype(np.float32), POINTS, axis=0), 0.0)
        return self._judged(frame, face)

    def _asked_again(self, frame: Frame) -> list[Geometry]:
        """Faces of a frame in which there are none without much doubt."""
        if self.presence == PRESENCE:
            return []
        if self._lenient is None:
            self._lenient = Tasks(self.faces, self.detection, self.presence, self.model.again())
        return _put_right(self._lenient.look(frame))

    def _from_nearer(self, frame: Frame, face: Geometry) -> Geometry:
        """A face that is small in its frame looked at again, around its place."""
        low, high = bounds(face["points"])
        side = float((high - low).max())
        if side > SMALL * max(frame.shape[:2]):
            return face
        nearer = self._nearest(frame, (low + high) / 2, self.enlarge * side / 2)
        if nearer is None:
            return face
        nearer["pose"] = face["pose"]  # of the camera that took the frame, not of one that took its part
        return nearer

    def _judged(self, frame: Frame, face: Geometry) -> Landmarks:
        """A face with its score."""
        distance = asymmetry(face["points"]) if self.looks == 1 else self._between_looks(frame, face)
        return _landmarks(face, float(self.doubt / (self.doubt + distance)))

    def _between_looks(self, frame: Frame, face: Geometry) -> float:
        """How far the eye centres of a look at the mirror image lie from a face's on average, in eye-to-eye distances."""
        low, high = bounds(face["points"])
        middle = np.array([frame.shape[1] - 1 - (low + high)[0] / 2, (low + high)[1] / 2])
        other = self._nearest(frame[:, ::-1], middle, float((high - low).max()))
        if other is None:
            return float("inf")
        eyes, others = _landmarks(face, 1.0).eyes, _landmarks(other, 1.0).eyes[::-1]
        others[:, 0] = frame.shape[1] - 1 - others[:, 0]
        return float(np.linalg.norm(eyes - others, axis=1).mean() / max(float(np.linalg.norm(eyes[1] - eyes[0])), 1e-6))

    def _nearest(self, frame: Frame, middle: NDArray[np.float64], reach: float) -> Geometry | None:
        """Of the faces of a square (its middle, and its reach to each side) the one nearest to its middle, if there is one."""
        size = np.array([frame.shape[1], frame.shape[0]])
        low = np.clip(np.floor(middle - reach), 0, size - 1).astype(int)
        high = np.clip(np.ceil(middle + reach), low, size - 1).astype(int) + 1
        found = self._looked(frame[low[1] : high[1], low[0] : high[0]])
        for face in found:
            face["points"][:, :2] += low
        return min(
            found, key=lambda face: float(np.linalg.norm(np.mean(bounds(face["points"]), 0) - middle)), default=None
        )

    def _looked(self, frame: Frame) -> list[Geometry]:
        return _put_right(self.model.network.look(frame))


def _put_right(faces: list[Geometry]) -> list[Geometry]:
    for face in faces:
        face["points"][:, :2] -= _shift(face["points"])
    return faces


def _landmarks(face: Geometry, score: float) -> Landmarks:
    return Landmarks(face["points"][:, :2].copy(), score, face, BESIDE)


def _shift(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far the model put points [478, 3] beside where they are, float32 [2], in pixels of the frame."""
    low, high = bounds(points)
    side = AROUND * float((high - low).max())
    across = points[263, :2] - points[33, :2]
    length: float = max(float(np.linalg.norm(across)), 1e-6)
    return (SHIFT * side / INPUT / length * across).astype(np.float32)


_ADVICE = (
    "Fetch it with fer-weights model=landmarker fetch=true, and give the path of face_landmarker_v2_with_blendshapes.task as "
    "the landmarker's option model (pipeline.landmarker.model=FILE)."
)

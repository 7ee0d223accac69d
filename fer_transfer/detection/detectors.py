"""Finding faces in a frame: OpenCV's Viola-Jones cascades (Viola & Jones 2001) and YuNet (Wu et al. 2023).

Both answer with boxes and scores. A score only orders the boxes of one detector: 0.5 means one thing for Viola-Jones
and another for YuNet. Whether a box holds a face at all is for the landmarks' fit score to say.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.model_file import ModelFile
from fer_transfer.errors import ConfigError

Frame = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Profile = Literal["always", "fallback", "never"]

FRONTAL = "haarcascade_frontalface_default.xml"
PROFILE = "haarcascade_profileface.xml"  # knows faces turned to one side only, so the mirrored frame is searched too


@dataclass(frozen=True)
class Detections:
    """The faces found in one frame, best score first.

    Attributes:
        boxes: float32 [K, 4]: x, y of the top left corner, width, height, in pixels of the frame. A box may reach
            beyond the frame. K is 0 where no face was found.
        scores: float32 [K], 0..1; what it measures is the detector's to say.
    """

    boxes: Boxes
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)


class Detector(Protocol):
    """Anything that finds the boxes of faces. It can be pickled, to travel to the workers of a pool."""

    def detect(self, frame: Frame) -> Detections:
        """Boxes of the faces in a frame.

        Args:
            frame: uint8 [H, W, 3], BGR, 0..255.

        Returns:
            The boxes, best score first; none is no error.
        """

    def settings(self) -> dict[str, Any]:
        """What was chosen, as plain JSON under the key ``detector``; faces found by another choice are other faces."""


class ViolaJones:
    """OpenCV's cascades, as shipped in its package: frontal faces, and profiles turned to either side.

    The score is ``hits / (hits + 3 * neighbours)``: how many windows of slightly different place and size called it
    a face, a quarter where they were just enough, near 1 for a clear, large face.

    Answers that overlap (see ``merge``) become one box, the one with the most hits, with the hits of all.

    The defaults suit faces of 100 px and more in movie frames. One thread needs about 40 ms for the frontal cascade on
    720x576, and 50 ms more for each of the profile cascade's two sides; with ``step=1.2, neighbours=2`` 26 ms, with
    ``smallest=0.2`` 23 ms, with 0.1 83 ms. Of 1766 head-and-shoulders photographs (250x250) the defaults lose no face,
    the longer step two. Groups of small faces need ``smallest=0.05``, or YuNet.

    Args:
        smallest: least side of a box as a share of the shorter side of the frame. Small boxes are mostly false,
            and looking for them takes most of the time.
        step: ratio of one box size to the next.
        neighbours: how many overlapping hits make a face; more means fewer false boxes and more lost faces. The few
            false boxes of OpenCV's default, 3, are refused by their landmarks' fit; without landmarks take 5.
        profile: search for profiles "always" (Ng et al. 2015 name both cascades, and no order), as a "fallback"
            where no frontal face was found, or "never".

    Raises:
        ConfigError: if an option is out of range, or this OpenCV has no cascades (5.0, or no data files).

    >>> len(ViolaJones().detect(np.full((64, 64, 3), 128, np.uint8)))
    0
    """

    def __init__(
        self, smallest: float = 0.15, step: float = 1.1, neighbours: int = 3, profile: Profile = "fallback"
    ) -> None:
        if not 0 < smallest < 1 or not step > 1 or neighbours < 1 or profile not in ("always", "fallback", "never"):
            raise ConfigError(
                "Expected 0 < smallest < 1, step > 1, neighbours >= 1 and profile always, fallback or never for the "
                f"Viola-Jones detector, but got smallest={smallest}, step={step}, neighbours={neighbours}, "
                f"profile={profile}. Change the detector's options."
            )
        self.smallest, self.step, self.neighbours, self.profile = smallest, step, neighbours, profile
        self._cascades: dict[str, Any] = {}
        for name in (FRONTAL,) if profile == "never" else (FRONTAL, PROFILE):
            self._cascade(name)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cascades": {}}  # OpenCV's objects do not pickle

    def settings(self) -> dict[str, Any]:
        """Cascades, options, and OpenCV's version, for its results differ a little from version to version."""
        chosen = {
            "name": "Viola-Jones",
            "cascades": [FRONTAL] if self.profile == "never" else [FRONTAL, PROFILE],
            "profile": self.profile,
            "smallest": self.smallest,
            "step": self.step,
            "neighbours": self.neighbours,
            "opencv": cv2.__version__,
        }
        return {"detector": chosen}

    def detect(self, frame: Frame) -> Detections:
        """Square boxes from above the brows to the chin; see ``Detector.detect``."""
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        boxes, hits = self._search(FRONTAL, grey)
        if self.profile == "always" or (self.profile == "fallback" and not len(hits)):
            left, left_hits = self._search(PROFILE, grey)
            right, right_hits = self._search(PROFILE, cv2.flip(grey, 1))
            right[:, 0] = grey.shape[1] - right[:, 0] - right[:, 2]
            boxes = np.concatenate([boxes, left, right])
            hits = np.concatenate([hits, left_hits, right_hits])
        boxes, hits = merge(boxes, hits)
        return Detections(boxes, hits / (hits + 3 * self.neighbours))

    def _search(self, cascade: str, grey: NDArray[np.uint8]) -> tuple[Boxes, NDArray[np.float32]]:
        """Boxes float32 [K, 4] and hits float32 [K] of one cascade, in an order that does not depend on threads."""
        side = max(1, round(self.smallest * min(grey.shape)))
        found, hits = self._cascade(cascade).detectMultiScale2(grey, self.step, self.neighbours, minSize=(side, side))
        boxes = np.asarray(found, np.float32).reshape(-1, 4)
        order = np.lexsort(boxes.T)
        return boxes[order], np.asarray(hits, np.float32).reshape(-1)[order]

    def _cascade(self, name: str) -> Any:
        if name not in self._cascades:
            self._cascades[name] = _load_cascade(name)
        return self._cascades[name]


def _load_cascade(name: str) -> Any:
    data, kind = getattr(cv2, "data", None), getattr(cv2, "CascadeClassifier", None)
    path = Path(data.haarcascades) / name if data else Path(name)
    classifier = kind(str(path)) if kind and path.exists() else None
    if classifier is None or classifier.empty():
        raise ConfigError(
            f"Expected OpenCV 4, or 5.1 on, with its cascade {name}, but version {cv2.__version__} has none at {path}. "
            "Install opencv-contrib-python>=4.10,!=5.0.* and no other OpenCV package, or take pipeline/detector=yunet."
        )
    return classifier


def merge(boxes: Boxes, weights: NDArray[np.float32]) -> tuple[Boxes, NDArray[np.float32]]:
    """Make one box of those that overlap: intersection at least 0.4 of the union, or 0.7 of the smaller box.

    The box of the greatest weight stands for all that overlap it, and gets their weights. The second condition joins
    a mouth or an eye taken for a face to the face around it.

    Args:
        boxes: float32 [K, 4], x, y, width, height.
        weights: float32 [K], for instance hits.

    Returns:
        boxes float32 [M, 4] and weights float32 [M], greatest weight first; of equals the one that came first.

    >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [50, 0, 10, 10]], np.float32)
    >>> [part.tolist() for part in merge(boxes, np.array([3, 5, 7], np.float32))]
    [[[1.0, 0.0, 10.0, 10.0], [50.0, 0.0, 10.0, 10.0]], [8.0, 7.0]]
    """
    areas = boxes[:, 2] * boxes[:, 3]
    left = np.argsort(-weights, kind="stable")
    kept, sums = [], []
    while len(left):
        best = left[0]
        low = np.maximum(boxes[left, :2], boxes[best, :2])
        high = np.minimum(boxes[left, :2] + boxes[left, 2:], boxes[best, :2] + boxes[best, 2:])
        shared = np.clip(high - low, 0, None).prod(1)
        union = areas[left] + areas[best] - shared
        same = (shared >= 0.4 * union) | (shared >= 0.7 * np.minimum(areas[left], areas[best]))
        kept.append(best)
        sums.append(weights[left[same]].sum())
        left = left[~same]
    order = np.argsort(-np.array(sums, np.float32), kind="stable")
    return boxes[np.array(kept, int)[order]], np.array(sums, np.float32)[order]


class YuNet:
    """YuNet (Wu et al. 2023) through OpenCV's ``FaceDetectorYN``; the model is a file of the user's.

    It finds faces turned to the side, tilted or partly hidden, from about 10 px of the searched picture. The score is
    the network's own, the root of its face and place probabilities.

    One thread needs about 7 ms for 720x576 with ``longest=320``, enough for faces of 50 px there, 13 ms with 480, 23 ms
    with the default, which also finds the small faces of groups; searching an enlarged frame finds the smallest and
    more that are none.

    Args:
        model: path of ``face_detection_yunet_2023mar.onnx``, which must be given.
        longest: the frame is shrunk to at most so many pixels on its longer side before it is searched.
        enlarge: and enlarged by at most this factor; more than 1 finds smaller faces.
        score: boxes under it are dropped.
        overlap: of two boxes whose intersection over union is more, the one with the lower score is dropped.

    Raises:
        ConfigError: if the model is missing or no such model, or an option is out of range.
    """

    def __init__(
        self,
        model: str | None = None,
        longest: int = 640,
        enlarge: float = 1.0,
        score: float = 0.6,
        overlap: float = 0.3,
    ) -> None:
        if not 32 <= longest <= 8192 or not enlarge >= 1 or not 0 < score < 1 or not 0 < overlap < 1:
            raise ConfigError(
                "Expected 32 <= longest <= 8192, enlarge >= 1, 0 < score < 1 and 0 < overlap < 1 for YuNet, but got "
                f"longest={longest}, enlarge={enlarge}, score={score}, overlap={overlap}. Change the detector's options."
            )
        self.longest, self.enlarge, self.score, self.overlap = longest, enlarge, score, overlap
        self.model = ModelFile(model, "the YuNet model", partial(_load_yunet, score, overlap), _ADVICE)

    def settings(self) -> dict[str, Any]:
        """Digest of the model, options, OpenCV's version."""
        chosen = {
            "name": "YuNet",
            "model": self.model.digest[:12],
            "longest": self.longest,
            "enlarge": self.enlarge,
            "score": self.score,
            "overlap": self.overlap,
            "opencv": cv2.__version__,
        }
        return {"detector": chosen}

    def detect(self, frame: Frame) -> Detections:
        """Boxes from hairline to chin, higher than wide; see ``Detector.detect``."""
        height, width = frame.shape[:2]
        scale = min(self.enlarge, self.longest / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if size != (width, height):
            frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        beyond = [max(0, 64 - side) for side in size]  # under 64 px the network answers with nonsense
        frame = cv2.copyMakeBorder(frame, 0, beyond[1], 0, beyond[0], cv2.BORDER_CONSTANT)
        network = self.model.network
        network.setInputSize((frame.shape[1], frame.shape[0]))
        _, rows = network.detect(frame)
        rows = np.zeros((0, 15), np.float32) if rows is None else rows
        # thin or tiny pictures make the network answer with places far outside
        rows = rows[np.isfinite(rows).all(1) & (np.abs(rows[:, :4]).max(1, initial=0) < 4 * max(size))]
        boxes, scores = rows[:, :4], np.clip(rows[:, 14], 0, 1)
        inside = (boxes[:, :2] < size).all(1) & (boxes[:, :2] + boxes[:, 2:] > 0).all(1) & (boxes[:, 2:] >= 1).all(1)
        boxes, scores = boxes[inside], scores[inside]
        back = np.array([width / size[0], height / size[1]] * 2, np.float32)
        boxes = boxes * back
        order = np.lexsort((*boxes.T, -scores))
        return Detections(boxes[order], scores[order])


_ADVICE = (
    "Fetch it with fer-weights model=yunet fetch=true, or get face_detection_yunet_2023mar.onnx from "
    "github.com/opencv/opencv_zoo, and give its path as the detector's option model (pipeline.detector.model=FILE)."
)


def _load_yunet(score: float, overlap: float, data: bytes) -> Any:
    content = np.frombuffer(data, np.uint8)
    network = cv2.FaceDetectorYN.create("onnx", content, np.empty(0, np.uint8), (320, 320), score, overlap)
    network.detect(np.zeros((320, 320, 3), np.uint8))  # only now are the network's outputs looked for
    return network

"""Finding faces in a frame: what a detector does, and OpenCV's Viola-Jones cascade (Viola & Jones 2001)."""

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ConfigError

Boxes = NDArray[np.int32]


class Detector(Protocol):
    """Anything that finds the boxes of faces."""

    def detect(self, image: NDArray[np.uint8]) -> Boxes:
        """Boxes of the faces in a picture.

        Args:
            image: uint8 [H, W], grey, 0..255.

        Returns:
            int32 [K, 4]: x, y of the top left corner, width, height, in pixels; K is 0 where no face was found.
        """

    def settings(self) -> dict[str, Any]:
        """What was chosen, as plain JSON; faces found by another choice are other faces."""


class ViolaJones:
    """OpenCV's frontal face cascade, as shipped in its package (``haarcascade_frontalface_default.xml``).

    Args:
        smallest: least side of a box as a share of the shorter side of the picture. Small boxes are mostly false,
            and looking for them takes most of the time.
        step: ratio of one box size to the next.
        neighbours: how many overlapping hits make a face; more means fewer false boxes and more lost faces.

    Raises:
        ConfigError: if an option is out of range, or this OpenCV has no cascades (version 5, or no data files).

    >>> ViolaJones().detect(np.full((64, 64), 128, np.uint8)).shape
    (0, 4)
    """

    def __init__(self, smallest: float = 0.15, step: float = 1.1, neighbours: int = 5) -> None:
        if not 0 < smallest < 1 or not step > 1 or neighbours < 1:
            raise ConfigError(
                "Expected 0 < smallest < 1, step > 1 and neighbours >= 1 for the Viola-Jones detector, "
                f"but got smallest={smallest}, step={step}, neighbours={neighbours}. Change release.detector."
            )
        self.smallest, self.step, self.neighbours = smallest, step, neighbours
        self.cascade = "haarcascade_frontalface_default.xml"
        self._classifier = _load(self.cascade)

    def settings(self) -> dict[str, Any]:
        """Cascade, options, and OpenCV's version, for its results differ a little from version to version."""
        return {
            "detector": "Viola-Jones",
            "cascade": self.cascade,
            "smallest": self.smallest,
            "step": self.step,
            "neighbours": self.neighbours,
            "opencv": cv2.__version__,
        }

    def detect(self, image: NDArray[np.uint8]) -> Boxes:
        """Square boxes of frontal faces, in no particular order; see ``Detector.detect``."""
        side = max(1, round(self.smallest * min(image.shape)))
        boxes = self._classifier.detectMultiScale(image, self.step, self.neighbours, minSize=(side, side))
        return np.asarray(boxes, np.int32).reshape(-1, 4)


def _load(cascade: str) -> Any:
    data, kind = getattr(cv2, "data", None), getattr(cv2, "CascadeClassifier", None)
    path = Path(data.haarcascades) / cascade if data else Path(cascade)
    classifier = kind(str(path)) if kind and path.exists() else None
    if classifier is None or classifier.empty():
        raise ConfigError(
            f"Expected OpenCV 4 with its cascade {cascade}, but version {cv2.__version__} has none at {path}. "
            "Install opencv-contrib-python>=4.10,<5 and no other OpenCV package."
        )
    return classifier


def largest(boxes: Boxes) -> tuple[int, int, int, int] | None:
    """The box of the greatest area, or None; of equals the one nearest to the top, then to the left.

    >>> largest(np.array([[0, 0, 5, 5], [9, 9, 8, 8]], np.int32))
    (9, 9, 8, 8)
    """
    if not len(boxes):
        return None
    x, y, width, height = min(boxes.tolist(), key=lambda box: (-box[2] * box[3], box[1], box[0]))
    return x, y, width, height

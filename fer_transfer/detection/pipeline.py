"""From a picture's bytes to a face: decode, detect, landmark, choose, align and crop (Ng et al. 2015, data preparation)."""

from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.alignment import Alignment, beyond
from fer_transfer.detection.colour import picture_of
from fer_transfer.detection.crop import Box, BoxCrop, central_square
from fer_transfer.detection.detectors import Detections, Detector
from fer_transfer.detection.frame_face import FrameFace, unreadable
from fer_transfer.detection.geometry import bounds
from fer_transfer.detection.landmarks import Finder, Following, Landmarker, Landmarks, Tracker
from fer_transfer.errors import ConfigError
from fer_transfer.files.picture import PictureError, decode

#: Rules for one face of several: how a candidate is ranked by the area it fills (pixels), its score (0..1) and its
#: distance from the middle of the frame (pixels).
_RULES = {
    "largest_times_score": lambda area, score, distance: area * score,
    "largest": lambda area, score, distance: area,
    "score": lambda area, score, distance: score,
    "central": lambda area, score, distance: -distance,
}

#: Two fits that share more than this of the smaller one's rectangle are fits to one face.
_SHARED = 0.3


@dataclass(frozen=True)
class Candidate:
    """What was found at one box: float32 [4]; its score 0..1 (the fit's, or the detector's without landmarks), and fit."""

    box: NDArray[np.float32]
    score: float
    fit: Landmarks | None = None

    @property
    def extent(self) -> NDArray[np.float64]:
        """The upright rectangle that the landmarks fill, or the box: float64 [4], left, top, right, bottom."""
        if self.fit is None:
            x, y, width, height = self.box.astype(np.float64)
            return np.array([x, y, x + width, y + height])
        points = self.fit.points.astype(np.float64)
        return np.concatenate([points.min(axis=0), points.max(axis=0)])


#: A picture of fewer pixels a side is no face.
LEAST_SIDE = 8


class FacePipeline:
    """How frames become faces.

    Every box that the detector finds is landmarked; those that fit are faces, and the rule chooses one. Where none is
    left, a stated crop stands in: the best box that was refused, otherwise the central square of the frame, otherwise
    (an unreadable picture) one grey.

    Args:
        detector: finds boxes; None: the landmarker finds faces itself.
        landmarker: fits landmarks to a box; None: the boxes are the faces, cut as they are.
        crop: ``Alignment`` with a landmarker, ``BoxCrop`` without.
        fit: least fit score of a face; the paper refuses IntraFace's under 0.3.
        choose: which face of several: largest_times_score, largest, score, central.
        smallest_e2e: least eye-to-eye distance in pixels; landmarks mean nothing below.
        colour: whether faces keep their colours; else they are grey (the paper). What is found is the same.

    Raises:
        ConfigError: if the options contradict each other or are out of range.
    """

    def __init__(
        self,
        detector: Detector | None,
        landmarker: Landmarker | None,
        crop: Alignment | BoxCrop,
        fit: float = 0.3,
        choose: str = "largest_times_score",
        smallest_e2e: float = 4.0,
        colour: bool = False,
    ) -> None:
        if isinstance(crop, Alignment) == (landmarker is None):
            raise ConfigError(
                "Expected a landmarker with an Alignment and none with a BoxCrop, but got "
                f"{type(crop).__name__} and landmarker={landmarker}. Choose pipeline=aligned or pipeline=box."
            )
        if detector is None and not isinstance(landmarker, Finder):
            raise ConfigError(
                f"Expected a detector, for {type(landmarker).__name__} finds no faces, but got detector=null. "
                "Choose one: pipeline/detector=viola_jones."
            )
        if choose not in _RULES or not 0 <= fit <= 1 or smallest_e2e <= 0:
            raise ConfigError(
                f"Expected choose to be one of {', '.join(_RULES)}, 0 <= fit <= 1 and smallest_e2e > 0, "
                f"but got choose={choose!r}, fit={fit}, smallest_e2e={smallest_e2e}. Change pipeline."
            )
        if not isinstance(colour, bool):
            raise ConfigError(f"Expected pipeline.colour to be true or false, but got {colour!r}.")
        self.detector, self.landmarker, self.crop, self.colour = detector, landmarker, crop, colour
        self.fit, self.choose, self.smallest_e2e = fit, choose, smallest_e2e
        self._tracker: Tracker | None = None

    def following(self) -> "FacePipeline | None":
        """The same for the frames of one video in their order, through which faces are followed, on one thread; None: it cannot.

        Frames come to ``find`` or ``find_all`` with their times.
        """
        if self.detector is not None or not isinstance(self.landmarker, Following):
            return None
        following = copy(self)
        following._tracker = self.landmarker.tracker()
        return following

    @property
    def follows(self) -> bool:
        """Whether it is for the frames of one video, in their order and on one thread."""
        return self._tracker is not None

    @property
    def size(self) -> int:
        """Height and width of a face in pixels."""
        return self.crop.size

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a face's pixels: (size, size), or (size, size, 3) in colour."""
        return (self.size, self.size, 3) if self.colour else (self.size, self.size)

    def of_size(self, size: int) -> "FacePipeline":
        """The same pipeline with faces of another side, in pixels.

        Raises:
            ConfigError: if it is under 8.
        """
        crop = replace(self.crop, size=size)
        return FacePipeline(self.detector, self.landmarker, crop, self.fit, self.choose, self.smallest_e2e, self.colour)

    def settings(self) -> dict[str, Any]:
        """What was chosen, as plain JSON; faces found by another choice are other faces."""
        without = {"without a face": "the best refused box, otherwise the central square, otherwise grey"}
        found = {**self._finding(), **self.crop.settings(), "choose": self.choose, **without}
        if self.landmarker is not None:
            found |= {**self.landmarker.settings(), "fit": self.fit, "smallest_e2e": self.smallest_e2e}
        # Grey says nothing: faces of before there was a choice stay what they are.
        return found | ({"colour": True} if self.colour else {})

    def _finding(self) -> dict[str, Any]:
        """What finds faces: the detector, or the landmarker itself, whose options stand under ``landmarker``."""
        if self.detector is not None:
            return self.detector.settings()
        assert self.landmarker is not None
        return {"detector": {"name": self.landmarker.settings()["landmarker"]["name"]}}

    def read(
        self, data: bytes, aligned: bool = False, aligned_size: tuple[int, int] | None = None, box: Box | None = None
    ) -> FrameFace:
        """The face of an encoded picture; never raises for what the picture holds.

        Args:
            data: the file's bytes.
            aligned: the picture is a face already and is not searched.
            aligned_size: (height, width) by which a picture is known to be a face already.
            box: (x, y, width, height) in pixels of the face in a picture that is not searched; None: its central square.
        """
        try:
            frame = decode(data)
        except PictureError as error:
            return unreadable(self.shape, error.reason)
        if aligned or frame.shape[:2] == aligned_size:
            if aligned and min(frame.shape[:2]) < LEAST_SIDE:
                return unreadable(self.shape, f"{frame.shape[1]}x{frame.shape[0]}: too small for a face")
            picture = picture_of(frame, self.colour)
            if box is not None and not _meets(box, picture.shape):
                return unreadable(self.shape, f"{frame.shape[1]}x{frame.shape[0]}: its box {box} lies outside")
            return FrameFace(self._cut_box(picture, box or central_square(picture)), "bypassed", score=1.0)
        try:
            return self.find(frame)
        except (cv2.error, MemoryError) as error:  # one odd frame must not stop the others
            why = getattr(error, "err", "") or type(error).__name__
            return unreadable(self.shape, f"{frame.shape[1]}x{frame.shape[0]}: {why}")

    def find(self, frame: NDArray[np.uint8], seconds: float | None = None) -> FrameFace:
        """The face of a frame, uint8 [H, W, 3] BGR; ``seconds``: its time, where it is one of a video (``following``)."""
        candidates, refusals, passed = self._searched(frame, seconds)
        picture = picture_of(frame, self.colour)
        if not passed:
            return self._lost(picture, candidates, refusals)
        return self._found(picture, self._best(passed, picture.shape), len(passed))

    def find_all(self, frame: NDArray[np.uint8], seconds: float | None = None) -> list[FrameFace]:
        """Every face of a frame, uint8 [H, W, 3] BGR, from top to bottom, then from left to right; none where none passes.

        ``seconds``: as of ``find``.
        """
        *_, passed = self._searched(frame, seconds)
        picture = picture_of(frame, self.colour)
        ordered = sorted(passed, key=lambda candidate: (candidate.box[1], candidate.box[0]))
        return [self._found(picture, face, len(passed)) for face in ordered]

    def _searched(
        self, frame: NDArray[np.uint8], seconds: float | None
    ) -> tuple[list[Candidate], list[str], list[Candidate]]:
        """Every candidate, why it is refused, and those that pass, each face once."""
        candidates = self.candidates(frame, seconds)
        refusals = [self._refusal(candidate) for candidate in candidates]
        return candidates, refusals, _distinct([c for c, why in zip(candidates, refusals, strict=True) if not why])

    def _found(self, picture: NDArray[np.uint8], face: Candidate, count: int) -> FrameFace:
        """The face cut out of its frame; ``count`` passed there."""
        if face.fit is None:
            pixels = self._cut_box(picture, _whole(face.box))
            return FrameFace(pixels, "found", score=face.score, box=face.box, faces=count)
        assert isinstance(self.crop, Alignment)
        eyes, points = face.fit.eyes, face.fit.points
        note = "the crop reaches beyond the frame" if beyond(self.crop.corners(eyes, points), picture.shape) else ""
        pixels, at = self.crop.cut(picture, eyes, points), eyes.astype(np.float32)
        return FrameFace(pixels, "found", note, face.score, face.box, at, count, points, face.fit.geometry)

    def candidates(self, frame: NDArray[np.uint8], seconds: float | None = None) -> list[Candidate]:
        """Every box of a frame with its fit, in the detector's order; without a detector every face that is found.

        ``seconds``: as of ``find``.
        """
        if self.detector is None:
            assert isinstance(self.landmarker, Finder)
            fits = self._tracker.follow(frame, seconds or 0.0) if self._tracker else self.landmarker.find(frame)
            return [Candidate(_box_around(fit.points), fit.score, fit) for fit in fits]
        found: Detections = self.detector.detect(frame)
        if self.landmarker is None:
            return [Candidate(box, float(score)) for box, score in zip(found.boxes, found.scores, strict=True)]
        fits = [self.landmarker.fit(frame, box) for box in found.boxes]
        return [
            Candidate(box, float(np.nan_to_num(fit.score)), fit) for box, fit in zip(found.boxes, fits, strict=True)
        ]

    def _refusal(self, candidate: Candidate) -> str:
        """Why a candidate is no face, or nothing."""
        fit = candidate.fit
        if fit is None:
            return ""
        if not np.isfinite(fit.points).all() or candidate.score < self.fit:
            return f"fit under {self.fit:g}"
        if float(np.hypot(*(fit.eyes[1] - fit.eyes[0]))) < self.smallest_e2e:
            return f"e2e under {self.smallest_e2e:g} pixels"
        return "landmarks swapped left and right" if fit.mirrored else ""

    def _best(self, candidates: list[Candidate], shape: tuple[int, ...]) -> Candidate:
        """The candidate that the rule ranks first; of equals the one nearest to the top, then to the left."""

        def rank(candidate: Candidate) -> tuple[float, float, float]:
            left, top, right, bottom = candidate.extent.tolist()
            distance = float(np.hypot((left + right - shape[1]) / 2, (top + bottom - shape[0]) / 2))
            return _RULES[self.choose]((right - left) * (bottom - top), candidate.score, distance), -top, -left

        return max(candidates, key=rank) if len(candidates) > 1 else candidates[0]

    def _lost(self, picture: NDArray[np.uint8], candidates: list[Candidate], refusals: list[str]) -> FrameFace:
        if not candidates:
            return FrameFace(self._cut_box(picture, central_square(picture)), "lost", "no face detected")
        best = self._best(candidates, picture.shape)
        reason = next(why for other, why in zip(candidates, refusals, strict=True) if other is best)
        return FrameFace(self._cut_box(picture, _whole(best.box)), "lost", reason, best.score, best.box)

    def _cut_box(self, picture: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
        return BoxCrop(self.crop.size, self.crop.stretch).cut(picture, box)


def _distinct(candidates: list[Candidate]) -> list[Candidate]:
    """One candidate a face: a detector may answer twice for one, and the worse box leads the landmarks astray."""
    if len(candidates) < 2:
        return candidates
    ordered = sorted(candidates, key=lambda c: -c.score)
    extents = np.array([candidate.extent for candidate in ordered]).reshape(-1, 4)
    kept: list[int] = []
    for number, extent in enumerate(extents):
        if (_shared(extent, extents[kept]) <= _SHARED).all():
            kept.append(number)
    return [ordered[number] for number in kept]


def _shared(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area that a rectangle float64 [4] shares with each of others [K, 4], of the smaller one's: float64 [K]."""
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    smaller = np.minimum(np.prod(one[2:] - one[:2]), np.prod(others[:, 2:] - others[:, :2], axis=1))
    shared: NDArray[np.float64] = np.prod(np.maximum(high - low, 0), axis=1) / np.maximum(smaller, 1e-9)
    return shared


def _box_around(points: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = bounds(points)
    return np.concatenate([low, high - low])


def _meets(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether a box has pixels in a picture of shape (height, width)."""
    x, y, width, height = box
    return min(width, height) > 0 and x < shape[1] and y < shape[0] and x + width > 0 and y + height > 0


def _whole(box: NDArray[np.float32]) -> Box:
    x, y, width, height = (round(float(v)) for v in box)
    return x, y, max(1, width), max(1, height)

"""Faces followed through a video by where they are, and their probabilities smoothed over time."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fer_transfer.inference.results import PredictedFace, PredictedPicture

_SAME = 0.3  # boxes that share more than this, of both together, are one face in two frames
_FORGOTTEN = 0.5  # seconds after which a face that is not seen is another when it comes back


@dataclass
class _Track:
    number: int
    box: NDArray[np.float32]
    time: float
    mean: NDArray[np.float64]
    seen: deque[tuple[float, NDArray[np.float64]]] = field(default_factory=deque)


class Follower:
    """Follows faces from frame to frame, and smooths what is said of each.

    ``exponential``: the mean of all that was seen of a face, what lies ``seconds`` back counting 1/e of what is seen now.
    ``window``: the plain mean over the last ``seconds``. Both look back only, so that a camera is answered at once.

    Args:
        how: ``none`` (faces are followed and numbered only), ``exponential``, ``window``.
        seconds: above 0.
    """

    def __init__(self, how: str = "none", seconds: float = 0.5) -> None:
        self.how, self.seconds = how, seconds
        self._tracks: list[_Track] = []
        self._count = 0

    @property
    def note(self) -> str | None:
        """What was done, for whoever reads the numbers; None where nothing was."""
        words = {"exponential": "exponential mean, time constant", "window": "mean over the last"}
        return (
            f"probabilities are smoothed over time: {words[self.how]} {self.seconds:g} s" if self.how in words else None
        )

    def follow(self, picture: PredictedPicture) -> PredictedPicture:
        """The next frame, its faces numbered and smoothed."""
        time = picture.time or 0.0
        self._tracks = [track for track in self._tracks if time - track.time <= max(_FORGOTTEN, self.seconds)]
        free, told = list(self._tracks), []
        for face in picture.faces:
            track = _best(free, face) if face.found else None
            if track is None:
                track = _Track(self._count, face.box, time, face.probabilities)
                self._count += 1
                self._tracks.append(track)
            else:
                free.remove(track)
            told.append(replace(face, track=track.number, probabilities=self._smoothed(track, face, time)))
        return replace(picture, faces=tuple(told))

    def _smoothed(self, track: _Track, face: PredictedFace, time: float) -> NDArray[np.float64]:
        now = face.probabilities
        if self.how == "exponential":
            kept = math.exp(-(time - track.time) / self.seconds) if track.seen else 0.0
            now = kept * track.mean + (1 - kept) * now
            track.seen = deque([(time, now)])
        elif self.how == "window":
            track.seen.append((time, now))
            while track.seen[0][0] <= time - self.seconds:
                track.seen.popleft()
            now = np.mean([of for _, of in track.seen], axis=0)
        track.box, track.time, track.mean = face.box, time, now
        return now


def _best(tracks: Iterable[_Track], face: PredictedFace) -> _Track | None:
    """The track whose last box shares most with a face's, if they share enough."""
    found = max(tracks, key=lambda track: _shared(track.box, face.box), default=None)
    return found if found is not None and _shared(found.box, face.box) > _SAME else None


def _shared(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Intersection over union of two boxes (x, y, width, height).

    >>> _shared(np.array([0, 0, 10, 10], np.float32), np.array([5, 0, 10, 10], np.float32))
    0.333...
    """
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[:2] + one[2:], other[:2] + other[2:])
    both = float(np.prod(np.maximum(high - low, 0)))
    union = float(np.prod(one[2:]) + np.prod(other[2:])) - both
    return both / union if union > 0 else 0.0

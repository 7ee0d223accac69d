"""MediaPipe's FaceLandmarker following faces through a video: where a face was in the frame before is looked at first."""

from typing import TYPE_CHECKING

import cv2

from fer_transfer.detection.landmarks import Frame, Landmarks
from fer_transfer.detection.tasks import Tasks

if TYPE_CHECKING:
    from fer_transfer.detection.face_landmarker import FaceLandmarker


class FaceTracker:
    """Finds the faces of a video in MediaPipe's video mode (``landmarks.Tracker``).

    With ``faces=1`` points are smoothed over time; ``benchmarks/video.py`` measures what following is worth.
    A frame whose time is no later than that of the one before begins another video, of which nothing is known.

    Args:
        landmarker: whose model and options it has.
    """

    def __init__(self, landmarker: "FaceLandmarker") -> None:
        self._landmarker = landmarker
        self._task: Tasks | None = None
        self._seconds, self._stamp = 0.0, 0

    def follow(self, frame: Frame, seconds: float) -> list[Landmarks]:
        """See ``landmarks.Tracker.follow``; frames may be left out.

        Raises:
            cv2.error: if the library cannot look at it.
            ConfigError: if the model's file changed.
        """
        if self._task is None or seconds <= self._seconds:
            self._task, self._stamp = self._landmarker.video_task(), 0
        self._seconds, self._stamp = (
            seconds,
            max(self._stamp + 1, round(1000 * seconds)),
        )  # they must rise, each in its place
        try:
            return self._landmarker.told(frame, self._task.look(frame, self._stamp))
        except cv2.error:
            self._task = None  # a graph that failed once answers no more
            raise

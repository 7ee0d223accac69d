"""Videos and cameras, read and written by OpenCV: frame by frame, and what a damaged file says is told, not printed."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # looked at when the first video is opened: damage is told by us

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.files.names import shown
from fer_transfer.inference.pictures import Picture, Source

_MOST_PIXELS = 50_000_000  # as of a picture (files.picture)
_RATE = 25.0  # where a file or a camera does not tell


def video(path: Path) -> Source:
    """The frames of a video.

    Raises:
        ReleaseError: if it cannot be opened; when frames are read, if there is not one.
    """
    capture = _opened(str(path))
    if capture is None:
        raise ReleaseError(
            f"Expected a picture, a video, an archive or a folder in {shown(str(path))}, but it is neither a picture nor a video "
            "that OpenCV can open: damaged, or of an unknown kind. Try whether another program plays it, and convert it to mp4."
        )
    stated = round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    rate = capture.get(cv2.CAP_PROP_FPS)
    count = stated if 0 < stated < 1 << 31 else None
    source = Source("video", shown(path.name), count, lambda: iter(()), rate if 0 < rate < 1000 else _RATE)
    source.pictures = lambda: _frames(capture, source)
    return source


def camera(index: int, seconds: float | None = None) -> Source:
    """The frames of a camera, until it stops, or for so many seconds.

    Raises:
        ConfigError: if there is no such camera.
    """
    capture = _opened(index)
    if capture is None:
        there = sorted(str(path) for path in Path("/dev").glob("video*"))
        raise ConfigError(
            f"Expected a camera with number {index}, but none opens; this machine has {', '.join(there) or 'no camera at all'}. "
            "Plug one in, give the number of another, or look whether another program uses it."
        )
    rate = capture.get(cv2.CAP_PROP_FPS)
    source = Source("camera", f"camera {index}", None, lambda: iter(()), rate if 0 < rate < 1000 else _RATE)
    source.pictures = lambda: itertools.takewhile(
        lambda picture: seconds is None or (picture.time or 0) < seconds, _frames(capture, source)
    )
    return source


def _frames(capture: Any, source: Source) -> Iterator[Picture]:
    """Every frame; in the end, whether there were as many as the file states."""
    rate, last = source.rate or _RATE, -1.0
    read = 0
    try:
        while True:
            try:
                good, frame = capture.read()
            except (cv2.error, MemoryError):
                break
            if not good or frame is None or frame.shape[0] * frame.shape[1] > _MOST_PIXELS:
                break
            time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if source.kind == "video" else 0.0
            time = time if time > last else read / rate  # not every container tells, and no camera
            last = time
            yield Picture(f"{read:06d}", frame, time)
            read += 1
    finally:
        capture.release()
    if not read:
        raise ReleaseError(
            f"Expected frames from {source.name}, but not one can be read: it is damaged, or another program uses it."
        )
    if source.count is not None and read < source.count:
        source.notes.append(
            f"{source.name} ended early: {read} of the {source.count} frames that it states can be read: cut short, or damaged"
        )


def _opened(what: str | int) -> Any:
    """OpenCV's capture, or None; what its back ends print is kept off the terminal."""
    with _quiet():
        capture = cv2.VideoCapture(what)
    return capture if capture.isOpened() else None


@contextmanager
def _quiet() -> Iterator[None]:
    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)


class VideoWriter:
    """Writes frames as an mp4; a context manager.

    Args:
        path: of the file.
        rate: frames a second.

    Raises:
        ConfigError: when the first frame comes, if this OpenCV cannot write videos.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate = path, rate
        self._writer: Any = None
        self._size: tuple[int, int] = (0, 0)

    def __enter__(self) -> "VideoWriter":
        return self

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append uint8 [H, W, 3], BGR; one of another size than the first is resized to it."""
        if self._writer is None:
            self._size = frame.shape[1], frame.shape[0]
            with _quiet():
                self._writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*"mp4v"), self.rate, self._size)
            if not self._writer.isOpened():
                raise ConfigError(f"This OpenCV cannot write the video {self.path}. Leave it out: annotate=false.")
        if (frame.shape[1], frame.shape[0]) != self._size:
            frame = cv2.resize(frame, self._size).astype(np.uint8)
        self._writer.write(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()

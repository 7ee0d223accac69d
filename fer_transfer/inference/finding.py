"""Pictures to faces on several threads, in order: OpenCV computes without Python's lock, so threads do what processes would."""

import os
import pickle
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, LifoQueue
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.frame_face import UNREADABLE, FrameFace, unreadable
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.files.picture import PictureError, decode
from fer_transfer.inference.pictures import Picture

_AHEAD = 3  # pictures that wait for each thread


class FoundFaces(NamedTuple):
    """The faces of a picture.

    Attributes:
        picture: without its content.
        frame: uint8 [H, W, 3], BGR, or None where it cannot be read.
        faces: in order; none where none was found, or it cannot be read.
        reason: why there are none, or "".
    """

    picture: Picture
    frame: NDArray[np.uint8] | None
    faces: list[FrameFace]
    reason: str = ""


def find_faces(
    pipeline: FacePipeline, pictures: Iterable[Picture], every: bool, threads: int | None = None, wait: bool = True
) -> Iterator[FoundFaces]:
    """The faces of each picture, in order.

    Args:
        pipeline: how frames become faces; one that follows faces through a video searches on one thread.
        pictures: what to search.
        every: all faces of a picture; else the one that the pipeline chooses, and where there is none what stands in for it,
            exactly as when a release is prepared.
        threads: how many search at a time; None: one for each core.
        wait: read pictures ahead of their turn; False for a camera, whose frames are answered at once.
    """
    count = 1 if pipeline.follows else threads or available_threads()
    idle: LifoQueue[FacePipeline] = LifoQueue()  # OpenCV's networks and cascades are one thread's at a time
    idle.put(pipeline)

    def search(picture: Picture) -> FoundFaces:
        try:
            mine = idle.get_nowait()
        except Empty:
            mine = pickle.loads(pickle.dumps(pipeline))
        try:
            return _search(mine, picture, every)
        finally:
            idle.put(mine)

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # as when releases are prepared: the order of boxes depends on it
    pool, waiting = ThreadPoolExecutor(count), deque[Future[FoundFaces]]()
    try:
        for picture in pictures:
            waiting.append(pool.submit(search, picture))
            while len(waiting) >= (_AHEAD * count if wait else 1):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(before)


def available_threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _search(pipeline: FacePipeline, picture: Picture, every: bool) -> FoundFaces:
    told = picture._replace(content="")
    try:
        frame = _decoded(picture.content)
    except PictureError as error:
        return _none(pipeline, told, None, error.reason, every)
    try:
        if not every:
            return FoundFaces(told, frame, [pipeline.find(frame, picture.time)])
        faces = pipeline.find_all(frame, picture.time)
    except (cv2.error, MemoryError) as error:  # one odd picture must not stop the others
        why = getattr(error, "err", "") or type(error).__name__
        return _none(pipeline, told, None, f"{frame.shape[1]}x{frame.shape[0]}: {why}", every)
    return FoundFaces(told, frame, faces, "" if faces else "no face found")


def _decoded(content: bytes | NDArray[np.uint8] | str) -> NDArray[np.uint8]:
    if isinstance(content, str):
        raise PictureError(content)
    return decode(content) if isinstance(content, bytes) else content


def _none(
    pipeline: FacePipeline, picture: Picture, frame: NDArray[np.uint8] | None, why: str, every: bool
) -> FoundFaces:
    """A picture that cannot be read: no face, or what stands in for it."""
    stand_in = unreadable(pipeline.shape, why)
    return FoundFaces(picture, frame, [] if every else [stand_in], f"{UNREADABLE}: {why}")

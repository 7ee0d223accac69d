"""Frames to faces over several processes: in order, the same for any number of them, nothing done twice."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import cv2

from fer_transfer.detection.frame_process import FrameJob, FrameProcess, Loaded, face_of, packed, unpacked
from fer_transfer.detection.pipeline import FacePipeline, FrameFace, unreadable
from fer_transfer.errors import ConfigError, FacesError, ReleaseError
from fer_transfer.files.journal import Journal
from fer_transfer.files.limits import TooMuchError

#: Messages that wait for each process: enough to keep it busy, few enough to hold in memory.
_AHEAD = 4

#: Pictures that go to a process in one message, and bytes beyond which no other joins them: a frame of a film goes alone.
_TOGETHER, _SMALL = 32, 1 << 14

#: Bytes of pictures that wait at most, and one picture.
_HELD = 256 << 20


class FrameReader:
    """Applies a pipeline to pictures.

    Args:
        workers: number of processes; 0 works in this one, where nothing can end a frame that takes too long.
        journal: keeps the faces of all pictures, in order, so that an interrupted run goes on; None: keeps nothing.

    Raises:
        ConfigError: if the number is negative.
    """

    def __init__(self, workers: int = 0, journal: Journal | None = None) -> None:
        if workers < 0:
            raise ConfigError(f"Expected a number of processes, or 0 for this one, but got workers={workers}.")
        self.workers, self.journal = workers, journal

    def read(
        self,
        pipeline: FacePipeline,
        jobs: Iterable[FrameJob],
        load: Callable[[str], bytes],
        seconds: float | None = None,
    ) -> Iterator[FrameFace]:
        """The faces of the pictures, in their order.

        Args:
            pipeline: how frames become faces.
            jobs: the pictures.
            load: gives the bytes of one; what it raises as ReleaseError makes that picture unreadable.
            seconds: a frame that takes a process longer is lost; None: none is.

        Raises:
            FacesError: if a process dies; what is done is kept.
        """
        todo = deque(jobs)
        for done in self._done(todo):
            yield unpacked(done, pipeline.shape)
        jobs = list(todo)
        work = _spread(pipeline, jobs, load, self.workers, seconds) if self.workers else _here(pipeline, jobs, load)
        for job, face in zip(jobs, work, strict=True):
            if self.journal is not None:
                self.journal.put(job.name, face)
            yield unpacked(face, pipeline.shape)

    def _done(self, jobs: deque[FrameJob]) -> Iterator[bytes]:
        """What the journal holds of the first pictures, which are taken off; what it holds besides is none of them."""
        if self.journal is None:
            return
        for row in range(len(jobs)):
            if (done := self.journal.get(row, jobs[0].name)) is None:
                self.journal.cut(row)
                return
            jobs.popleft()
            yield done


def available_processes() -> int:
    """Number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _here(pipeline: FacePipeline, jobs: list[FrameJob], load: Callable[[str], bytes]) -> Iterator[bytes]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # OpenCV's cascades give their boxes in an order that depends on its threads
    try:
        for job in jobs:
            _, data, trouble = _loaded(load, job)
            yield packed(unreadable(pipeline.shape, trouble)) if trouble else face_of(pipeline, job, data)
    finally:
        cv2.setNumThreads(before)


def _spread(
    pipeline: FacePipeline, jobs: list[FrameJob], load: Callable[[str], bytes], count: int, seconds: float | None
) -> Iterator[bytes]:
    processes = [FrameProcess(pipeline, seconds) for _ in range(min(count, len(jobs)))]
    idle: SimpleQueue[FrameProcess] = SimpleQueue()
    for process in processes:
        idle.put(process)

    def faces(pictures: list[Loaded]) -> list[bytes]:
        process = idle.get()
        try:
            return process.faces(pictures)
        finally:
            idle.put(process)

    threads = ThreadPoolExecutor(max(1, len(processes)))  # each waits for one process at a time
    waiting: deque[tuple[Future[list[bytes]], int]] = deque()
    held = 0
    try:
        for pictures in _together(_loaded(load, job) for job in jobs):
            waiting.append((threads.submit(faces, pictures), size := sum(len(picture.data) for picture in pictures)))
            held += size
            while len(waiting) >= _AHEAD * count or held > _HELD:
                future, size = waiting.popleft()
                held -= size
                yield from future.result()
        while waiting:
            yield from waiting.popleft()[0].result()
    except EOFError:
        raise FacesError(
            f"One of {count} processes ended by itself (out of memory?). What is done is kept: repeat the command, "
            "with fewer workers if it happens again (workers=1)."
        ) from None
    finally:
        for process in processes:
            process.end()
        threads.shutdown(cancel_futures=True)


def _together(pictures: Iterable[Loaded]) -> Iterator[list[Loaded]]:
    """Small neighbours in one message: what a message costs is more than what a small picture costs."""
    some: list[Loaded] = []
    for picture in pictures:
        some.append(picture)
        if len(some) == _TOGETHER or sum(len(of.data) for of in some) > min(_SMALL, _HELD):
            yield some
            some = []
    if some:
        yield some


def _loaded(load: Callable[[str], bytes], job: FrameJob) -> Loaded:
    try:
        return Loaded(job, load(job.name), "")
    except TooMuchError as error:
        return Loaded(job, b"", error.reason)
    except ReleaseError:
        return Loaded(job, b"", "damaged in the archive")

"""Frames to faces over several processes: in order, the same for any number of them, nothing done twice."""

import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from queue import SimpleQueue

import cv2
import numpy as np

from fer_transfer.detection.frame_face import FrameFace
from fer_transfer.detection.frame_process import (
    FrameJob,
    FrameProcess,
    Load,
    Loaded,
    Made,
    face_of,
    loaded,
    made,
    unpacked,
)
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.files.entries import Entries
from fer_transfer.files.journal import Journal

#: Messages that wait for each process: enough to keep it busy, few enough to hold in memory.
_AHEAD = 4

#: Pictures that go to a process in one message, at most.
_TOGETHER = 64

#: Seconds a message takes: where it is less, twice as many pictures go together; where it is much more, fewer.
_LEAST, _MOST = 0.05, 0.5

#: Bytes of pictures in a message beyond which no other joins them.
_SENT = 1 << 20

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
        load: Load,
        seconds: float | None = None,
        load_there: bool = False,
    ) -> Iterator[FrameFace]:
        """The faces of the pictures, in their order.

        Args:
            pipeline: how frames become faces.
            jobs: the pictures.
            load: gives the bytes of one; what it raises as ReleaseError makes that picture unreadable.
            seconds: a frame that takes a process longer is lost; None: none is.
            load_there: whether the processes load pictures themselves: ``load`` can be pickled then. Otherwise this process
                loads, one picture after another.

        Raises:
            FacesError: if a process dies; what is done is kept.
        """
        todo = yield from self._done(pipeline, iter(jobs))
        row = 0 if self.journal is None else len(self.journal)
        work = _Work(pipeline, load, seconds, load_there, None if self.journal is None else self.journal.entries)
        for faces in _spread(work, todo, row, self.workers) if self.workers else _here(work, todo, row):
            yield from self._faces(pipeline, faces)

    def _done(self, pipeline: FacePipeline, jobs: Iterator[FrameJob]) -> Generator[FrameFace, None, Iterator[FrameJob]]:
        """What the journal holds of the first pictures; what it holds besides is none of them. Returns the other pictures."""
        if self.journal is None:
            return jobs
        for row, job in enumerate(jobs):
            if (done := self.journal.get(row, job.name)) is None:
                self.journal.cut(row)
                return chain([job], jobs)
            line, _, pixels = done.partition(b"\n")
            yield unpacked(line, np.frombuffer(pixels, np.uint8), pipeline.shape)
        return jobs

    def _faces(self, pipeline: FacePipeline, faces: list[Made]) -> Iterator[FrameFace]:
        """The next faces, which are told to the journal."""
        if self.journal is None:
            pixels = [np.frombuffer(face.pixels, np.uint8) for face in faces]
        else:
            row = len(self.journal)
            self.journal.add([face.record for face in faces])
            pixels = list(self.journal.read(row, len(faces)))
        for face, of in zip(faces, pixels, strict=True):
            yield unpacked(face.line, of, pipeline.shape, face.mark)


def available_processes() -> int:
    """Number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class _Work:
    """What is done to every picture, as ``FrameReader.read`` has it."""

    pipeline: FacePipeline
    load: Load
    seconds: float | None
    load_there: bool
    entries: Entries | None

    def process(self) -> FrameProcess:
        return FrameProcess(self.pipeline, self.load if self.load_there else None, self.seconds, self.entries)

    def messages(self, jobs: Iterable[FrameJob], together: "_Together") -> Iterator[tuple[list[Loaded], int]]:
        """Pictures to be sent together, and the bytes of them that this process holds."""
        some: list[Loaded] = []
        held = 0
        for job in jobs:
            some.append(Loaded(job, None) if self.load_there else loaded(self.load, job))
            held += len(some[-1].data or b"")
            if len(some) >= together.count or held > min(_SENT, _HELD):
                yield some, held
                some, held = [], 0
        if some:
            yield some, held


class _Together:
    """How many pictures go in one message, by how long they take.

    What a message costs is more than what a small picture costs; frames of a film go alone, for what a process has at hand is
    lost where it is ended.
    """

    def __init__(self) -> None:
        self.count = 1

    def took(self, seconds: float, count: int) -> None:
        """So many pictures took so long."""
        if seconds < _LEAST and count == self.count:
            self.count = min(2 * count, _TOGETHER)
        elif seconds > _MOST:
            self.count = max(1, min(self.count, int(count * _MOST / seconds)))


def _here(work: _Work, jobs: Iterable[FrameJob], row: int) -> Iterator[list[Made]]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # OpenCV's cascades give their boxes in an order that depends on its threads
    try:
        for place, job in enumerate(jobs, start=row):
            yield made([job.name], [face_of(work.pipeline, loaded(work.load, job))], place, work.entries)
    finally:
        cv2.setNumThreads(before)


def _why_one_ended(count: int, any_began: bool) -> str:
    if any_began:
        return (
            f"One of {count} processes ended by itself (out of memory?). What is done is kept: repeat the command, "
            "with fewer workers if it happens again (workers=1)."
        )
    return (
        f"No process of {count} began its work; each reads the script that starts it. Put what your script does below a line "
        'if __name__ == "__main__": or give workers=0, which takes no other process. What is done is kept.'
    )


def _spread(work: _Work, jobs: Iterator[FrameJob], row: int, count: int) -> Iterator[list[Made]]:
    first = list(islice(jobs, count))
    processes = [work.process() for _ in first]
    idle: SimpleQueue[FrameProcess] = SimpleQueue()
    for process in processes:
        idle.put(process)

    together = _Together()

    def faces(pictures: list[Loaded], row: int) -> list[Made]:
        process, done = idle.get(), list[Made]()
        try:
            while len(done) < len(pictures):  # as many as go together by now: they may take longer than those before
                some, began = pictures[len(done) : len(done) + together.count], time.monotonic()
                done += process.faces(some, row + len(done))
                together.took(time.monotonic() - began, len(some))
            return done
        finally:
            idle.put(process)

    threads = ThreadPoolExecutor(max(1, len(processes)))  # each waits for one process at a time
    waiting: deque[tuple[Future[list[Made]], int]] = deque()
    held = 0
    try:
        for pictures, size in work.messages(chain(first, jobs), together):
            waiting.append((threads.submit(faces, pictures, row), size))
            row += len(pictures)
            held += size
            while len(waiting) >= _AHEAD * count or held > _HELD:
                future, size = waiting.popleft()
                held -= size
                yield future.result()
        while waiting:
            yield waiting.popleft()[0].result()
    except EOFError:
        raise FacesError(_why_one_ended(count, any(process.began for process in processes))) from None
    finally:
        for process in processes:
            process.end()
        threads.shutdown(cancel_futures=True)

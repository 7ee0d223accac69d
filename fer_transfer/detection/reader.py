"""Frames to faces over several processes: in order, the same for any number of them, nothing done twice."""

import json
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import NamedTuple

import cv2
import numpy as np

from fer_transfer.detection.pipeline import FacePipeline, FrameFace, unreadable
from fer_transfer.errors import ConfigError, FacesError, ReleaseError
from fer_transfer.files.journal import Journal

#: Pictures that wait for each process: enough to keep it busy, few enough to hold in memory.
_AHEAD = 4


class FrameJob(NamedTuple):
    """One picture to read: its name in the release, whether it is a face already, and the size that tells so."""

    name: str
    aligned: bool
    aligned_size: tuple[int, int] | None


class FrameReader:
    """Applies a pipeline to pictures.

    Args:
        workers: number of processes; 1 works in this one.
        journal: keeps what is done, so that an interrupted run goes on; None: keeps nothing.

    Raises:
        ConfigError: if there are no workers.
    """

    def __init__(self, workers: int = 1, journal: Journal | None = None) -> None:
        if workers < 1:
            raise ConfigError(f"Expected at least 1 process, but got workers={workers}.")
        self.workers, self.journal = workers, journal

    def read(
        self, pipeline: FacePipeline, jobs: Iterable[FrameJob], load: Callable[[str], bytes]
    ) -> Iterator[FrameFace]:
        """The faces of the pictures, in their order.

        Args:
            pipeline: how frames become faces.
            jobs: the pictures.
            load: gives the bytes of one; what it raises as ReleaseError makes that picture unreadable.

        Raises:
            FacesError: if a process dies; what is done is kept.
        """
        jobs = list(jobs)
        todo = [job for job in jobs if self.journal is None or job.name not in self.journal]
        work = _here(pipeline, todo, load) if self.workers == 1 else _spread(pipeline, todo, load, self.workers)
        for job in jobs:
            done = None if self.journal is None else self.journal.get(job.name)
            if done is None:
                done = next(work)
                if self.journal is not None:
                    self.journal.put(job.name, done)
            yield _unpacked(done, pipeline.size)


def available_processes() -> int:
    """Number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _here(pipeline: FacePipeline, jobs: list[FrameJob], load: Callable[[str], bytes]) -> Iterator[bytes]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # OpenCV's cascades give their boxes in an order that depends on its threads
    try:
        for job in jobs:
            yield _face(pipeline, job, *_loaded(load, job))
    finally:
        cv2.setNumThreads(before)


def _spread(pipeline: FacePipeline, jobs: list[FrameJob], load: Callable[[str], bytes], count: int) -> Iterator[bytes]:
    # Spawned, not forked: libraries with threads do not survive a fork.
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_begin, initargs=(pipeline,))
    waiting: deque[Future[bytes]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(_work, job, *_loaded(load, job)))
            if len(waiting) >= _AHEAD * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise FacesError(
            f"One of {count} processes ended by itself (out of memory?). What is done is kept: repeat the command, "
            "with fewer workers if it happens again (workers=1)."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_pipeline: FacePipeline | None = None


def _begin(pipeline: FacePipeline) -> None:
    global _pipeline  # the only way to keep what an initializer made
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the work
    cv2.setNumThreads(1)
    _pipeline = pipeline
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A parent that was killed cannot stop its workers: they would wait for it for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(job: FrameJob, data: bytes, trouble: str) -> bytes:
    assert _pipeline is not None, "_begin comes first"
    return _face(_pipeline, job, data, trouble)


def _loaded(load: Callable[[str], bytes], job: FrameJob) -> tuple[bytes, str]:
    """The picture's bytes, or why there are none."""
    try:
        return load(job.name), ""
    except ReleaseError:
        return b"", "damaged in the archive"


def _face(pipeline: FacePipeline, job: FrameJob, data: bytes, trouble: str) -> bytes:
    if trouble:
        return _packed(unreadable(pipeline.size, trouble))
    return _packed(pipeline.read(data, job.aligned, job.aligned_size))


def _packed(face: FrameFace) -> bytes:
    """A face as bytes: a line of JSON, then its pixels."""
    told = {
        "kind": face.kind,
        "reason": face.reason,
        "score": face.score,
        "box": face.box.tolist(),
        "eyes": face.eyes.tolist(),
        "faces": face.faces,
    }
    return json.dumps(told).encode() + b"\n" + face.pixels.tobytes()


def _unpacked(data: bytes, size: int) -> FrameFace:
    head, _, pixels = data.partition(b"\n")
    told = json.loads(head)
    told["box"], told["eyes"] = np.array(told["box"], np.float32), np.array(told["eyes"], np.float32)
    return FrameFace(np.frombuffer(pixels, np.uint8).reshape(size, size), **told)

"""A process that makes faces of frames, and the form in which frames and faces travel between processes."""

import json
import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_all_start_methods, get_context, get_start_method, parent_process, set_start_method
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cv2
import numpy as np

from fer_transfer.detection.crop import Box
from fer_transfer.detection.pipeline import FacePipeline, FrameFace, unreadable


class FrameJob(NamedTuple):
    """One picture to read: its name in the release, whether it is a face already, the size that tells so, and where it is one."""

    name: str
    aligned: bool
    aligned_size: tuple[int, int] | None
    box: Box | None = None


class Loaded(NamedTuple):
    """A picture's bytes, or why there are none."""

    job: FrameJob
    data: bytes
    trouble: str


class FrameProcess:
    """A process that makes faces of frames, one after another; where one takes too long, another process takes its place.

    Args:
        pipeline: how frames become faces.
        seconds: for one frame; None: any time.
    """

    def __init__(self, pipeline: FacePipeline, seconds: float | None) -> None:
        self._pipeline, self._seconds = pipeline, seconds
        self._begin()

    def _begin(self) -> None:
        # Spawned, not forked: libraries with threads do not survive a fork.
        context = get_context("spawn")
        if get_start_method(allow_none=True) not in (None, *get_all_start_methods()):
            set_start_method("spawn", force=True)  # joblib's workers have a method that a new process does not know
        self._pipe, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._pipeline), daemon=True)
        process.start()
        self._process = process
        theirs.close()
        self._ready = False

    def end(self) -> None:
        """End the process, whatever it is at; a thread that waits for it meets the end of file."""
        self._process.kill()
        self._process.join()

    def faces(self, pictures: Sequence[Loaded]) -> list[bytes]:
        """The faces of some pictures, packed.

        Raises:
            EOFError: if the process ended by itself.
        """
        whole = [picture for picture in pictures if not picture.trouble]
        answers = iter(self._answers(whole))
        return [
            packed(unreadable(self._pipeline.shape, of.trouble)) if of.trouble else next(answers) for of in pictures
        ]

    def _answers(self, pictures: Sequence[Loaded]) -> list[bytes]:
        """In one message there and back; where that takes longer than one of them may, one by one."""
        if not pictures:
            return []
        try:
            self._ready = self._ready or self._pipe.recv()  # until it is, its libraries are loaded: no frame's time
            self._pipe.send([(picture.job, picture.data) for picture in pictures])
            if not self._pipe.poll(self._seconds):
                self.end()
                self._begin()
                return self._one_by_one(pictures)
            answer = self._pipe.recv()
        except OSError:  # the pipe broke while it was written to
            raise EOFError from None
        if isinstance(answer, Exception):
            raise answer
        faces: list[bytes] = answer
        return faces

    def _one_by_one(self, pictures: Sequence[Loaded]) -> list[bytes]:
        if len(pictures) == 1:
            return [packed(unreadable(self._pipeline.shape, f"took longer than {self._seconds:g} s"))]
        return [face for picture in pictures for face in self._answers([picture])]


def _work(pipe: "Connection[Any, Any]", pipeline: FacePipeline) -> None:
    """What a process does until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the work
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        pipe.send(True)
        while True:
            pipe.send(_answer(pipeline, pipe.recv()))


def _answer(pipeline: FacePipeline, pictures: Sequence[tuple[FrameJob, bytes]]) -> list[bytes] | Exception:
    try:
        return [face_of(pipeline, job, data) for job, data in pictures]
    except Exception as error:  # the parent raises it
        return error


def _end_with_the_parent() -> None:
    """A parent that was killed cannot stop its workers: one at a frame would go on for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def face_of(pipeline: FacePipeline, job: FrameJob, data: bytes) -> bytes:
    """The face of an encoded picture, packed."""
    return packed(pipeline.read(data, job.aligned, job.aligned_size, job.box))


def packed(face: FrameFace) -> bytes:
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


def unpacked(data: bytes, shape: tuple[int, ...]) -> FrameFace:
    """The face that was packed, its pixels of this shape."""
    head, _, pixels = data.partition(b"\n")
    told = json.loads(head)
    told["box"], told["eyes"] = np.array(told["box"], np.float32), np.array(told["eyes"], np.float32)
    return FrameFace(np.frombuffer(pixels, np.uint8).reshape(shape), **told)

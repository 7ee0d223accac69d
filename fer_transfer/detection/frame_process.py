"""A process that makes faces of frames, and the form in which frames and faces travel between processes."""

import json
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from multiprocessing import get_all_start_methods, get_context, get_start_method, parent_process, set_start_method
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cv2
import numpy as np

from fer_transfer.detection.crop import Box
from fer_transfer.detection.geometry import decoded, encoded
from fer_transfer.detection.pipeline import FacePipeline, FrameFace, unreadable
from fer_transfer.errors import ReleaseError
from fer_transfer.files.limits import TooMuchError


class FrameJob(NamedTuple):
    """One picture to read: its name in the release, whether it is a face already, the size that tells so, and where it is one."""

    name: str
    aligned: bool
    aligned_size: tuple[int, int] | None
    box: Box | None = None


#: Gives the bytes of a picture by its name; what it raises as ReleaseError makes that picture unreadable.
Load = Callable[[str], bytes]


class Loaded(NamedTuple):
    """A picture's bytes, or why there are none; or neither, for the process to load it."""

    job: FrameJob
    data: bytes | None
    trouble: str = ""


def loaded(load: Load, job: FrameJob) -> Loaded:
    """A picture with its bytes."""
    try:
        return Loaded(job, load(job.name))
    except TooMuchError as error:
        return Loaded(job, b"", error.reason)
    except ReleaseError:
        return Loaded(job, b"", "damaged in the archive")


#: Processes that end one after the other before it is taken for more than a frame's doing: no memory left, say.
_DEATHS = 3


class FrameProcess:
    """A process that makes faces of frames, one after another.

    Where a frame takes too long, or ends the process (a crash inside a library), another process takes its place.

    Args:
        pipeline: how frames become faces.
        load: for pictures that come without their bytes; it can be pickled. None: all come with them.
        seconds: for one frame; None: any time.

    Attributes:
        began: whether a process got as far as its work; one that did not ended while Python started it.
    """

    def __init__(self, pipeline: FacePipeline, load: Load | None, seconds: float | None) -> None:
        self._pipeline, self._load, self._seconds = pipeline, load, seconds
        self._deaths, self._ended, self._changing = 0, False, threading.Lock()
        self.began = False
        self._begin()

    def _begin(self) -> None:
        # Spawned, not forked: libraries with threads do not survive a fork.
        context = get_context("spawn")
        if get_start_method(allow_none=True) not in (None, *get_all_start_methods()):
            set_start_method("spawn", force=True)  # joblib's workers have a method that a new process does not know
        self._pipe, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._pipeline, self._load), daemon=True)
        process.start()
        self._process = process
        theirs.close()
        self._ready = False

    def end(self) -> None:
        """End the process, whatever it is at; a thread that waits for it meets the end of file."""
        with self._changing:
            self._ended = True
            self._process.kill()
            self._process.join()

    def _replace(self) -> str:
        """Another process in place of this one, and how this one ended."""
        with self._changing:
            if self._ended:
                raise EOFError
            self._process.kill()
            self._process.join()
            code = self._process.exitcode or 0
            self._begin()
        return signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"

    def faces(self, pictures: Sequence[Loaded]) -> list[bytes]:
        """The faces of some pictures, packed.

        Raises:
            EOFError: if the process ended by itself before it began, or with frame after frame.
        """
        return self._answers(pictures)

    def _answers(self, pictures: Sequence[Loaded]) -> list[bytes]:
        """In one message there and back; where that takes longer than one of them may, or ends the process, one by one."""
        try:
            self._ready = self._ready or self._pipe.recv()  # until it is, its libraries are loaded: no frame's time
            self.began = True
        except OSError:
            raise EOFError from None
        try:
            self._pipe.send(pictures)
            if not self._pipe.poll(self._seconds):
                self._replace()
                return self._one_by_one(pictures, f"took longer than {self._seconds:g} s")
            answer = self._pipe.recv()
        except (EOFError, OSError):  # it ended, or the pipe broke while it was written to
            self._process.join(5)  # a pipe may close a little before its process has ended
            how = self._replace()
            self._deaths += 1
            if self._deaths == _DEATHS:
                raise EOFError from None
            return self._one_by_one(pictures, f"ended its process ({how})")
        self._deaths = 0
        if isinstance(answer, Exception):
            raise answer
        faces: list[bytes] = answer
        return faces

    def _one_by_one(self, pictures: Sequence[Loaded], why: str) -> list[bytes]:
        if len(pictures) == 1:
            return [packed(unreadable(self._pipeline.shape, why))]
        return [face for picture in pictures for face in self._answers([picture])]


def _work(pipe: "Connection[Any, Any]", pipeline: FacePipeline, load: Load | None) -> None:
    """What a process does until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the work
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        pipe.send(True)
        while True:
            pipe.send(_answer(pipeline, load, pipe.recv()))


def _answer(pipeline: FacePipeline, load: Load | None, pictures: Sequence[Loaded]) -> list[bytes] | Exception:
    try:
        return [face_of(pipeline, load, picture) for picture in pictures]
    except Exception as error:  # the parent raises it
        return error


def _end_with_the_parent() -> None:
    """A parent that was killed cannot stop its workers: one at a frame would go on for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def face_of(pipeline: FacePipeline, load: Load | None, picture: Loaded) -> bytes:
    """The face of an encoded picture, which is loaded where it comes without its bytes, packed."""
    if load is not None and picture.data is None:
        picture = loaded(load, picture.job)
    job, data, trouble = picture
    assert data is not None, "without load pictures come with their bytes"
    face = (
        unreadable(pipeline.shape, trouble) if trouble else pipeline.read(data, job.aligned, job.aligned_size, job.box)
    )
    return packed(face)


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
    if face.geometry is not None:
        told["geometry"] = encoded(face.geometry)
    return json.dumps(told).encode() + b"\n" + face.pixels.tobytes()


def unpacked(data: bytes, shape: tuple[int, ...]) -> FrameFace:
    """The face that was packed, its pixels of this shape."""
    line = data.index(b"\n")
    return FrameFace(np.frombuffer(data, np.uint8, offset=line + 1).reshape(shape), **_told(data[:line]))


@lru_cache(64)
def _told(line: bytes) -> dict[str, Any]:
    """What the line says; pictures that are not searched all say the same."""
    told: dict[str, Any] = json.loads(line)
    told["box"], told["eyes"] = np.array(told["box"], np.float32), np.array(told["eyes"], np.float32)
    if "geometry" in told:
        told["geometry"] = decoded(told["geometry"])
    return told

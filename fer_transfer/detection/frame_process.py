"""A process that makes faces of frames, and the form in which frames and faces travel between processes."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from multiprocessing import get_all_start_methods, get_context, get_start_method, parent_process, set_start_method
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.crop import Box
from fer_transfer.detection.frame_face import FrameFace, unreadable
from fer_transfer.detection.geometry import decoded, encoded
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ReleaseError
from fer_transfer.files.entries import Entries
from fer_transfer.files.fingerprint import Mark, marks
from fer_transfer.files.journal import failed, sealed
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


class Made(NamedTuple):
    """A face as it travels between processes.

    Attributes:
        line: what is known of it beside its pixels, JSON.
        mark: of its pixels.
        pixels: of the face; empty where they are in their place already.
        record: of the face in the journal (``files.journal.sealed``); empty where there is none.
    """

    line: bytes
    mark: Mark
    pixels: bytes
    record: bytes


#: Bytes of pictures that a process reads before it decodes them, and one picture.
_READ = 1 << 19

#: Processes that end one after the other before it is taken for more than a frame's doing: no memory left, say.
_DEATHS = 3


class FrameProcess:
    """A process that makes faces of frames, one after another.

    Where a frame takes too long, or ends the process (a crash inside a library), another process takes its place.

    Args:
        pipeline: how frames become faces.
        load: for pictures that come without their bytes; it can be pickled. None: all come with them.
        seconds: for one frame; None: any time.
        entries: where pixels are written; None: they come back.

    Attributes:
        began: whether a process got as far as its work; one that did not ended while Python started it.
    """

    def __init__(
        self, pipeline: FacePipeline, load: Load | None, seconds: float | None, entries: Entries | None = None
    ) -> None:
        self._pipeline, self._load, self._seconds, self._entries = pipeline, load, seconds, entries
        self._deaths, self._ended, self._changing = 0, False, threading.Lock()
        self.began = False
        self._begin()

    def _begin(self) -> None:
        # Spawned, not forked: libraries with threads do not survive a fork.
        context = get_context("spawn")
        if get_start_method(allow_none=True) not in (None, *get_all_start_methods()):
            set_start_method("spawn", force=True)  # joblib's workers have a method that a new process does not know
        self._pipe, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._pipeline, self._load, self._entries), daemon=True)
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

    def faces(self, pictures: Sequence[Loaded], row: int = 0) -> list[Made]:
        """The faces of some pictures, of which the first is in this place among all.

        Raises:
            EOFError: if the process ended by itself before it began, or with frame after frame.
        """
        return self._answers(pictures, row)

    def _answers(self, pictures: Sequence[Loaded], row: int) -> list[Made]:
        """In one message there and back; where that takes longer than one of them may, or ends the process, one by one."""
        try:
            self._ready = self._ready or self._pipe.recv()  # until it is, its libraries are loaded: no frame's time
            self.began = True
        except OSError:
            raise EOFError from None
        try:
            self._pipe.send((pictures, row))
            if not self._pipe.poll(self._seconds):
                self._replace()
                return self._one_by_one(pictures, row, f"took longer than {self._seconds:g} s")
            answer = self._pipe.recv()
        except (EOFError, OSError):  # it ended, or the pipe broke while it was written to
            self._process.join(5)  # a pipe may close a little before its process has ended
            how = self._replace()
            self._deaths += len(pictures) == 1  # of several any may be it
            if self._deaths == _DEATHS:
                raise EOFError from None
            return self._one_by_one(pictures, row, f"ended its process ({how})")
        self._deaths = 0
        if isinstance(answer, Exception):
            raise answer
        faces: list[Made] = answer
        return faces

    def _one_by_one(self, pictures: Sequence[Loaded], row: int, why: str) -> list[Made]:
        if len(pictures) == 1:
            return made([pictures[0].job.name], [unreadable(self._pipeline.shape, why)], row, self._entries)
        return [face for i, picture in enumerate(pictures) for face in self._answers([picture], row + i)]


def _work(pipe: "Connection[Any, Any]", pipeline: FacePipeline, load: Load | None, entries: Entries | None) -> None:
    """What a process does until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the work
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    with suppress(EOFError, OSError):
        pipe.send(True)
        while True:
            pipe.send(_answer(pipeline, load, entries, *pipe.recv()))


def _answer(
    pipeline: FacePipeline, load: Load | None, entries: Entries | None, pictures: Sequence[Loaded], row: int
) -> list[Made] | Exception:
    try:
        faces = [face_of(pipeline, picture) for picture in _with_bytes(pictures, load)]
        return made([picture.job.name for picture in pictures], faces, row, entries)
    except Exception as error:  # the parent raises it
        return error


def _with_bytes(pictures: Sequence[Loaded], load: Load | None) -> Iterator[Loaded]:
    """Pictures with their bytes: a few are read at a time, for reading between two others costs a small picture twice as much."""
    some: list[Loaded] = []
    held = 0
    for picture in pictures:
        some.append(picture if load is None or picture.data is not None else loaded(load, picture.job))
        held += len(some[-1].data or b"")
        if held > _READ:
            yield from some
            some, held = [], 0
    yield from some


def _end_with_the_parent() -> None:
    """A parent that was killed cannot stop its workers: one at a frame would go on for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def face_of(pipeline: FacePipeline, picture: Loaded) -> FrameFace:
    """The face of an encoded picture."""
    job, data, trouble = picture
    assert data is not None, "without load pictures come with their bytes"
    return (
        unreadable(pipeline.shape, trouble) if trouble else pipeline.read(data, job.aligned, job.aligned_size, job.box)
    )


def made(names: Sequence[str], faces: Sequence[FrameFace], row: int, entries: Entries | None) -> list[Made]:
    """Faces, of which the first is in this place among all, as they travel; their pixels are written in their places, if any.

    Raises:
        FacesError: if they cannot be written.
    """
    pixels = np.stack([face.pixels for face in faces]).reshape(len(faces), -1)
    told = [_line(face) for face in faces]
    if entries is None:
        alone = [one.tobytes() for one in pixels]
        return [Made(*one, b"") for one in zip(told, marks(pixels), alone, strict=True)]
    try:
        entries.write(row, pixels)
    except OSError as error:
        raise failed(entries.path, error) from None
    records = [sealed(*record) for record in zip(names, told, (one.data for one in pixels), strict=True)]
    return [Made(line, mark, b"", record) for line, mark, record in zip(told, marks(pixels), records, strict=True)]


def _line(face: FrameFace) -> bytes:
    """What is known of a face beside its pixels, as a line of JSON."""
    if face.kind == "bypassed" and not face.reason:
        return _BYPASSED
    return _json(face)


def _json(face: FrameFace) -> bytes:
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
    return json.dumps(told).encode()


#: Of a picture that is a face already all is known.
_BYPASSED = _json(FrameFace(np.empty((0, 0), np.uint8), "bypassed", score=1.0))


def unpacked(line: bytes, pixels: NDArray[np.uint8], shape: tuple[int, ...], mark: Mark | None = None) -> FrameFace:
    """The face of its line and its pixels, uint8 of this shape."""
    return FrameFace(pixels.reshape(shape), **_told(line), mark=mark)


@lru_cache(64)
def _told(line: bytes) -> dict[str, Any]:
    """What the line says; pictures that are not searched all say the same."""
    told: dict[str, Any] = json.loads(line)
    told["box"], told["eyes"] = np.array(told["box"], np.float32), np.array(told["eyes"], np.float32)
    if "geometry" in told:
        told["geometry"] = decoded(told["geometry"])
    return told

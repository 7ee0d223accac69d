"""MediaPipe's library for tasks: imported when a face is looked for, kept quiet, and used only in the process that made it."""

import io
import os
import signal
import sys
import threading
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from weakref import finalize

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.geometry import Geometry, geometry_of
from fer_transfer.detection.task_answers import asking
from fer_transfer.errors import ConfigError

#: What a bundle for FaceLandmarker holds.
_PARTS = ("face_detector.tflite", "face_landmarks_detector.tflite", "face_blendshapes.tflite")

#: Pixels of a frame's longer side beyond which it is shrunk: at twice as many MediaPipe's own OpenCV ends the process.
_LONGEST = 1 << 14


class Tasks:
    """FaceLandmarker of ``mediapipe.tasks``, in image mode, or in video mode; one thread's at a time.

    Args:
        faces: how many it looks for at most.
        detection: least score of its detector, 0..1.
        presence: least share, 0..1, that its landmark model gives to a face being there.
        data: a ``.task`` bundle.
        video: frames are those of one video in their order: where a face was is looked at first.

    Raises:
        ValueError: if the bundle is damaged, or is another task's.
        ConfigError: if MediaPipe is missing, or a library of the system that it needs.
    """

    def __init__(self, faces: int, detection: float, presence: float, data: bytes, video: bool = False) -> None:
        _check(data)
        self._library, vision = _imported()
        options = vision.FaceLandmarkerOptions(
            base_options=self._library.tasks.BaseOptions(model_asset_buffer=data),
            running_mode=vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE,
            num_faces=faces,
            min_face_detection_confidence=detection,
            min_face_presence_confidence=presence,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        # of google.protobuf, where 0.10 reads an answer
        warnings.filterwarnings("ignore", "SymbolDatabase.GetPrototype", UserWarning)
        try:
            with _quiet():
                self._task = vision.FaceLandmarker.create_from_options(_heeding_presence(options))
                self._ask = asking(self._task, version(), video)
                self._process = os.getpid()
                self.look(np.zeros((64, 64, 3), np.uint8))  # the last of what it writes comes with the first picture
        except (RuntimeError, ValueError, cv2.error) as error:
            raise ValueError(_first_line(error)[:200].rstrip(" .:")) from None
        except OSError as error:  # 1.2 loads its C library only now
            raise _missing(error) from None
        _keep_ignored()
        closed = finalize(self, self._task.close)
        closed.atexit = False  # Python takes apart what closing needs before it calls anything at its exit
        self._task.close = _nothing  # and what is collected then would call it still

    def look(self, frame: NDArray[np.uint8], at: int = 0) -> list[Geometry]:
        """What is known of each face of a frame, uint8 [H, W, 3], BGR, 0..255, in no order that means anything.

        Points are as the model gives them, in pixels: (0, 0) is the middle of the top left one.

        Args:
            frame: to look at.
            at: in video mode, its time in milliseconds: at least 1, and above that of every frame before.

        Raises:
            cv2.error: if the library cannot look at it.
            ConfigError: in a process that was forked of the one that made this: the library would wait for ever; or if the
                model gives other points or blendshapes than those known.
        """
        if os.getpid() != self._process:
            raise ConfigError(
                "Expected MediaPipe in the process that loaded it, but this one was forked of that, where it would wait for "
                "ever. Start processes by spawn (multiprocessing.get_context('spawn'))."
            )
        height, width = frame.shape[:2]
        seen = cv2.cvtColor(_shrunk(frame), cv2.COLOR_BGR2RGB)
        picture = self._library.Image(image_format=self._library.ImageFormat.SRGB, data=seen)
        try:
            faces = self._ask(picture, at)
        except ConfigError:  # of the model: no other frame would do better
            raise
        except (RuntimeError, ValueError) as error:  # told as OpenCV tells what it cannot do with a frame
            told = cv2.error(_first_line(error))
            told.err = _first_line(error)
            raise told from None
        size = width, height, width
        return [geometry_of(face.points * size, face.shapes, face.pose) for face in faces]


def version() -> str:
    """Of MediaPipe, without importing it; "none" where it is not installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as of

    try:
        return of("mediapipe")
    except PackageNotFoundError:
        return "none"


def _check(data: bytes) -> None:
    """Whether bytes are a bundle for this task: the library's own words of another one are many and tell little."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            names = bundle.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise ValueError("it is no .task bundle, or cut short") from None
    if lacking := [name for name in _PARTS if name not in names]:
        held = ", ".join(names[:3]) or "nothing"
        raise ValueError(f"it has no {lacking[0]}: a bundle of another task ({held})")


def _imported() -> tuple[Any, Any]:
    if find_spec("mediapipe") is None:
        raise ConfigError(
            "Expected the package mediapipe for its FaceLandmarker, but it is not installed. pip install mediapipe"
        )
    try:
        with _quiet():
            import mediapipe
            from mediapipe.tasks.python import vision
    except (ImportError, OSError) as error:
        raise _missing(error) from None
    return mediapipe, vision


def _heeding_presence(options: Any) -> Any:
    """Options of which 0.10 tells its graph the least presence too: it gives the detector's least score in its place."""
    if hasattr(options, "to_pb2"):
        told = options.to_pb2()
        told.face_landmarks_detector_graph_options.min_detection_confidence = options.min_face_presence_confidence
        options.to_pb2 = lambda: told
    return options


def _missing(error: Exception) -> ConfigError:
    return ConfigError(
        f"Expected MediaPipe {version()} to load, but got: {_first_line(error)}. It needs libGL and libEGL of the system "
        "(Debian: apt-get install libgl1 libegl1 libgles2). pipeline=aligned needs no libEGL."
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _keep_ignored() -> None:
    """Tell Python that SIGPROF is ignored, as the library has it from 1.2 on, which lets timers send it.

    Python believes what it found when it started. Whoever sets all signals to what Python says of them, as Lightning does at the
    end of a training, would otherwise have the next one end the process.
    """
    if not hasattr(signal, "SIGPROF") or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGPROF) is signal.SIG_DFL:
        signal.signal(signal.SIGPROF, signal.SIG_IGN)


def _nothing() -> None:
    """In place of closing what is closed, or what the process's end closes."""


def _shrunk(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame that MediaPipe can look at."""
    height, width = frame.shape[:2]
    longer = max(height, width)
    if longer <= _LONGEST:
        return frame
    size = max(1, width * _LONGEST // longer), max(1, height * _LONGEST // longer)
    shrunk: NDArray[np.uint8] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return shrunk


@contextmanager
def _quiet() -> Iterator[None]:
    """Descriptor 2 leads nowhere: no variable silences what the library writes while it starts."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

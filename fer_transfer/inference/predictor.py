"""A model with what cuts faces for it: pictures in, faces with their expressions out."""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ConfigError
from fer_transfer.evaluation.temperature import tempered
from fer_transfer.inference.cutting import Cutting
from fer_transfer.inference.methods import METHODS
from fer_transfer.inference.model import CutFaces, FaceModel, KnownFaces, seen_by, sees_pixels
from fer_transfer.inference.pictures import Picture, Source, from_arrays, from_path
from fer_transfer.inference.provenance import Provenance
from fer_transfer.inference.results import PredictedFace, PredictedFaces, PredictedPicture
from fer_transfer.inference.saliency import saliency_maps

if TYPE_CHECKING:
    from fer_transfer.detection.frame_face import FrameFace
    from fer_transfer.detection.pipeline import FacePipeline
    from fer_transfer.inference.finding import FoundFaces

#: What ``predict`` takes: a path of a picture, folder, archive or video; frames uint8 [H, W, 3], RGB, one or several; faces
#: that are cut already, uint8 [N, H, W], grey, or [N, H, W, 3], RGB (``faces="cut"``).
Pictures = str | os.PathLike[str] | NDArray[np.uint8] | Iterable[NDArray[np.uint8]]

_FOLLOWED = "faces are followed from frame to frame by MediaPipe; follow=false looks at every frame by itself"
_TOGETHER = 32  # pictures, or faces, that the network sees at once


class Streamed(NamedTuple):
    """A picture that was predicted, and its frame uint8 [H, W, 3], BGR, to draw on; None where it could not be read."""

    picture: PredictedPicture
    frame: NDArray[np.uint8] | None


class Predictor:
    """A model of faces that looks at pictures.

    Args:
        model: classifies cut faces.
        cutting: how pictures become its faces.
        about: what made it.
        detector_model: the file of the model that finds faces (YuNet, MediaPipe); of two, both.
        pipeline: cuts faces in place of what ``cutting`` tells.
    """

    def __init__(
        self,
        model: FaceModel,
        cutting: Cutting,
        about: Provenance,
        detector_model: str | Sequence[str] | None = None,
        pipeline: "FacePipeline | None" = None,
    ) -> None:
        self.model, self.cutting, self.about = model, cutting, about
        self._detector_model, self._pipeline = detector_model, pipeline

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the probabilities."""
        return self.model.labels

    @cached_property
    def pipeline(self) -> "FacePipeline":
        """What cuts faces: that of the faces that the model was trained on, unless another was given.

        Raises:
            ConfigError: if it cannot be made here.
        """
        return self._pipeline or self.cutting.pipeline(self._detector_model)

    def probabilities(self, faces: CutFaces | KnownFaces) -> NDArray[np.float64]:
        """float64 [N, C] of faces that are cut already, grey or RGB (``CutFaces``); calibrated where the model is.

        Raises:
            ConfigError: if they are no such thing, or the model sees what a landmarker told of faces, and they are pixels.
        """
        temperature = self.about.temperature
        given = self.model.probabilities(
            seen_by(self.model, faces if isinstance(faces, KnownFaces) else _checked(faces))
        )
        return given if temperature is None else tempered(given, temperature.value)

    def predict(self, pictures: Pictures, faces: str = "all", threads: int | None = None) -> PredictedFaces:
        """Find the faces of pictures and classify them.

        Args:
            pictures: a path of a picture, a folder or archive of pictures, or a video; a frame as uint8 [H, W, 3], RGB; several
                of them; or faces that are cut already, uint8 [N, H, W], grey, which are not searched.
            faces: ``all`` faces of a picture; ``one``: the one that the pipeline chooses, and where none was found what stands
                in for it, as when a release is prepared: a face for every picture; ``cut``: the array is of cut faces, grey or
                RGB, uint8 [N, H, W, 3] (which without this word are so many pictures).
            threads: that search at a time; None: one a core.

        Raises:
            ReleaseError: if there is nothing to look at.
            ConfigError: if an argument is no such thing, or faces cannot be cut here as the model's were.
        """
        if _are_cut(pictures, faces):
            return self._of_cut(_checked(pictures))
        source = source_of(pictures, self.labels)
        predicted = tuple(of.picture for of in self.stream(source, faces, threads, keep=True))
        return PredictedFaces(predicted, self.labels, self.about, tuple(source.notes))

    def features(self, pictures: Pictures, faces: str = "one", threads: int | None = None) -> NDArray[np.float32]:
        """What the classifier sees of faces, float32 [N, D], for classifiers of one's own; arguments as of ``predict``.

        By default a row for every picture, in the order of their names: where no face was found, of what stands in for it.
        Those of several networks stand side by side.

        Raises:
            ReleaseError, ConfigError: as ``predict``.
        """
        if _are_cut(pictures, faces):
            return self.model.features(seen_by(self.model, _checked(pictures)))
        found = self._found(source_of(pictures, self.labels), faces, threads)
        return self.model.features(seen_by(self.model, self._known([face for of in found for face in of.faces])))

    def _known(self, faces: "Sequence[FrameFace]") -> CutFaces | KnownFaces:
        """What the model may see of faces."""
        cut = np.stack([face.pixels for face in faces]) if faces else np.zeros((0, *self.pipeline.shape), np.uint8)
        return cut if sees_pixels(self.model) else KnownFaces(cut, geometry_of_faces(faces))

    def saliency(
        self,
        faces: CutFaces | PredictedFaces,
        method: str = METHODS[0],
        targets: Sequence[int] | NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """Which pixels of faces spoke for an expression.

        Args:
            faces: that ``predict`` gave, or that are cut already, uint8 [N, H, W], grey, or [N, H, W, 3], RGB.
            method: ``integrated_gradients``, ``grad_cam`` or ``occlusion`` (``methods.METHODS``).
            targets: the class of each to explain, its place in ``labels``; None: the one that the model says.

        Returns:
            float32 [N, H, W], in the pixels of the cut faces, 0..1: 1 where most spoke for the class, 0 where nothing did. Of
            several networks the mean.

        Raises:
            ConfigError: if captum is not installed (``pip install 'fer_transfer[saliency]'``), or an argument is no such thing.
        """
        given = cut_of(faces) if isinstance(faces, PredictedFaces) else _checked(faces)
        return saliency_maps(
            self.model, seen_by(self.model, given), method, None if targets is None else np.asarray(targets)
        )

    def stream(
        self,
        source: Source,
        faces: str = "all",
        threads: int | None = None,
        keep: bool = False,
        follow: bool = True,
    ) -> Iterator[Streamed]:
        """Picture by picture as they are done, for what is longer than memory.

        Args:
            source: of pictures.
            faces: as of ``predict``.
            threads: as of ``predict``.
            keep: landmarks and pixels of every face with it.
            follow: through a video, faces are followed from frame to frame where the pipeline can.
        """
        waiting: list[FoundFaces] = []
        most = 1 if source.kind == "camera" else _TOGETHER
        for found in self._found(source, faces, threads, follow):
            waiting.append(found)
            if len(waiting) >= most or sum(len(of.faces) for of in waiting) >= most:
                yield from self._classified(waiting, keep)
                waiting = []
        yield from self._classified(waiting, keep)

    def _found(self, source: Source, faces: str, threads: int | None, follow: bool = True) -> "Iterator[FoundFaces]":
        if faces not in ("all", "one"):
            raise ConfigError(f"Expected faces to be all, one or cut, but got {faces!r}.")
        from fer_transfer.inference.finding import find_faces

        following = self.pipeline.following() if follow and source.kind != "pictures" else None
        if following is not None:
            source.notes.append(_FOLLOWED)
        return find_faces(
            following or self.pipeline, source.pictures(), faces == "all", threads, source.kind != "camera"
        )

    def _classified(self, waiting: "list[FoundFaces]", keep: bool) -> Iterator[Streamed]:
        faces = [face for of in waiting for face in of.faces]
        rows = iter(self.probabilities(self._known(faces)) if faces else ())
        for of in waiting:
            told = [_predicted(of.picture, n, face, self.labels, next(rows), keep) for n, face in enumerate(of.faces)]
            picture = of.picture
            yield Streamed(
                PredictedPicture(picture.name, tuple(told), of.reason, picture.time, picture.label), of.frame
            )

    def _of_cut(self, faces: CutFaces) -> PredictedFaces:
        rows = self.probabilities(faces)
        nothing, eyes = np.zeros(4, np.float32), np.zeros((2, 2), np.float32)
        pictures = []
        for n, row in enumerate(rows):
            name = f"{n:06d}"
            face = PredictedFace(name, 0, True, "cut already", 1.0, nothing, eyes, None, faces[n], self.labels, row)
            pictures.append(PredictedPicture(name, (face,)))
        return PredictedFaces(tuple(pictures), self.labels, self.about)


def source_of(pictures: Any, classes: Sequence[str]) -> Source:
    """Whatever ``predict`` takes, as a source, whose folders may be named after classes.

    Raises:
        ReleaseError: if it is none.
    """
    if isinstance(pictures, Source):
        return pictures.labelled_as(classes)
    if isinstance(pictures, str | os.PathLike):
        return from_path(pictures, classes)
    return from_arrays([pictures] if isinstance(pictures, np.ndarray) and pictures.ndim == 3 else pictures)


def geometry_of_faces(faces: "Sequence[FrameFace]") -> NDArray[np.float32]:
    """What a landmarker told of faces, float32 [N, 1502]; NaN of those that were lost.

    Raises:
        ConfigError: if nothing was told of one that was found.
    """
    from fer_transfer.detection.geometry import NUMBERS, nothing_known

    if any(face.geometry is None and face.kind == "found" for face in faces):
        raise ConfigError(
            "Expected faces found by MediaPipe's FaceLandmarker, for the model sees what that tells of them, but this pipeline "
            "tells nothing. Leave pipeline=... out, or give pipeline=mediapipe with its model."
        )
    told = [nothing_known() if face.geometry is None else face.geometry for face in faces]
    return np.frombuffer(bytearray().join(of.tobytes() for of in told), "<f4").reshape(-1, NUMBERS)


def cut_of(faces: Sequence[PredictedFace]) -> CutFaces:
    """The pixels of faces, uint8 [N, S, S], or [N, S, S, 3].

    Raises:
        ConfigError: if they were not kept.
    """
    kept = [face.pixels for face in faces if face.pixels is not None]
    if len(kept) != len(faces):
        raise ConfigError("Expected faces with their pixels, as predict gives them, but they were not kept.")
    return np.stack(kept) if kept else np.zeros((0, 1, 1), np.uint8)


def _are_cut(pictures: Any, faces: str) -> bool:
    """Whether an array is of cut faces: by the word, or because no picture has such a shape."""
    grey = isinstance(pictures, np.ndarray) and pictures.ndim == 3 and pictures.shape[2] != 3
    return grey or faces == "cut"


def _checked(faces: Any) -> CutFaces:
    array = isinstance(faces, np.ndarray) and faces.dtype == np.uint8
    if not array or not (faces.ndim == 3 or (faces.ndim == 4 and faces.shape[3] == 3)):
        got = f"{faces.dtype} {list(faces.shape)}" if isinstance(faces, np.ndarray) else type(faces).__name__
        raise ConfigError(f"Expected cut faces as a uint8 array [N, H, W], grey, or [N, H, W, 3], RGB, but got {got}.")
    found: CutFaces = faces
    return found


def _predicted(
    picture: Picture, number: int, face: "FrameFace", labels: tuple[str, ...], row: NDArray[np.float64], keep: bool
) -> PredictedFace:
    return PredictedFace(
        picture.name,
        number,
        face.kind != "lost",
        face.reason,
        face.score,
        face.box,
        face.eyes,
        face.points if keep else None,
        face.pixels if keep else None,
        labels,
        row,
        picture.label,
        picture.time,
    )

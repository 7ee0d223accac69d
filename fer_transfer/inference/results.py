"""What a model says of the faces of pictures: values, and how they are written as a data frame, CSV and JSON."""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import StoreError
from fer_transfer.files.names import shown
from fer_transfer.files.spreadsheet import escaped
from fer_transfer.files.whole import written_whole
from fer_transfer.inference.frames import data_frame
from fer_transfer.inference.provenance import Provenance
from fer_transfer.labels import UNLABELLED, as_columns


@dataclass(frozen=True, eq=False)
class PredictedFace:
    """One face and what a model says of it.

    Attributes:
        picture: name of the picture, or number of the frame.
        number: of the face in its picture, from 0.
        found: whether it was found; else what stands in for a face was classified (``faces="one"``), and ``reason`` says why.
        reason: why it was lost, or what is to be known of it ("the crop reaches beyond the frame").
        fit: how well its landmarks fit, 0..1; the detector's score where there are none.
        box: float32 [4], x, y, width, height in pixels of the picture; zeros where there is none.
        eyes: float32 [2, 2], x, y of the eye centres, the person's right one first; zeros where there are none.
        landmarks: float32 [468, 2] of a mesh, or 478 with the irises, x, y; None where there are none, or they were not kept.
        pixels: uint8 [S, S], grey, or [S, S, 3], RGB, the face as the network's transform gets it; None where it was not kept.
        labels: the classes.
        probabilities: float64 [C], in their order; calibrated where the model is, smoothed where that was asked for.
        label: the class that the picture's folder names, a place in labels, or UNLABELLED.
        time: seconds from the beginning of a video, or None.
        track: number of the face through a video, where it was followed.
    """

    picture: str
    number: int
    found: bool
    reason: str
    fit: float
    box: NDArray[np.float32]
    eyes: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = field(repr=False)  # hundreds of lines
    pixels: NDArray[np.uint8] | None = field(repr=False)
    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]
    label: int = UNLABELLED
    time: float | None = None
    track: int | None = None

    @property
    def expression(self) -> str:
        """The most probable class."""
        return self.labels[int(self.probabilities.argmax())]


@dataclass(frozen=True, eq=False)
class PredictedPicture:
    """One picture with its faces; ``reason`` says why there are none."""

    name: str
    faces: tuple[PredictedFace, ...]
    reason: str = ""
    time: float | None = None
    label: int = UNLABELLED


@dataclass(frozen=True, eq=False)
class PredictedFaces(Sequence[PredictedFace]):
    """What a model says of some pictures: a sequence of faces in the order of the pictures.

    Attributes:
        pictures: every picture, also those without a face.
        labels: the classes.
        about: what made the model and how good it is.
        notes: what must be known of these pictures: a video that ended early, how probabilities were smoothed.
    """

    pictures: tuple[PredictedPicture, ...]
    labels: tuple[str, ...]
    about: Provenance
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "_faces", tuple(face for picture in self.pictures for face in picture.faces))

    def __len__(self) -> int:
        return len(self._faces)  # type: ignore[attr-defined]

    def __getitem__(self, index: Any) -> Any:
        return self._faces[index]  # type: ignore[attr-defined]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """float64 [N, C], a row a face, in the order of ``labels``."""
        return np.array([face.probabilities for face in self], np.float64).reshape(-1, len(self.labels))

    @property
    def expressions(self) -> list[str]:
        """The most probable class of every face."""
        return [face.expression for face in self]

    def frame(self, library: str | None = None) -> Any:
        """A row a face, as a data frame of pandas or polars, whichever is installed; columns as in ``to_csv``.

        Pictures without a face have a row without probabilities.

        Raises:
            ConfigError: if neither is installed.
        """
        rows = list(self._rows())
        return data_frame({key: [row[key] for row in rows] for key in _columns(self.labels)}, library)

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """As CSV, a row a face, and one without numbers for a picture that has none; also written where a path is given.

        Names that a spreadsheet would take for a formula are escaped (``files.spreadsheet``).

        Raises:
            StoreError: if the file cannot be written.
        """
        text = io.StringIO()
        table = csv.DictWriter(text, list(map(escaped, _columns(self.labels))), lineterminator="\n")
        table.writeheader()
        for row in self._rows():
            table.writerow({escaped(key): _cell(value) for key, value in row.items()})
        return _written(text.getvalue(), path)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """As JSON: the model, the labels, and every picture with its faces; also written where a path is given.

        Raises:
            StoreError: if the file cannot be written.
        """
        content = {
            "model": self.about.to_json(),
            "labels": list(self.labels),
            "notes": list(self.notes),
            "pictures": [_picture_json(picture, self.labels) for picture in self.pictures],
        }
        return _written(json.dumps(content, indent=1, allow_nan=False) + "\n", path)

    def _rows(self) -> Iterator[dict[str, Any]]:
        for picture in self.pictures:
            empty = dict.fromkeys(_columns(self.labels))
            label = _label(picture.label, self.labels)
            common = {**empty, "picture": shown(picture.name), "time": picture.time, "label": label}
            if not picture.faces:
                yield {**common, "found": 0, "reason": picture.reason}
            for face in picture.faces:
                yield {**common, **_face_row(face)}


def _columns(labels: tuple[str, ...]) -> list[str]:
    places = ["x", "y", "width", "height", "right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y"]
    own = ["picture", "time", "face", "track", "found", "reason", "fit", *places, "label", "expression"]
    return [*own, *as_columns(labels, own)]


def _face_row(face: PredictedFace) -> dict[str, Any]:
    x, y, width, height = (round(float(value), 2) for value in face.box)
    right, left = ([round(float(value), 2) for value in eye] for eye in face.eyes)
    eyes = {"right_eye_x": right[0], "right_eye_y": right[1], "left_eye_x": left[0], "left_eye_y": left[1]}
    told = {
        "face": face.number,
        "track": face.track,
        "found": int(face.found),
        "reason": face.reason,
        "fit": round(face.fit, 4),
    }
    by_label = dict(zip(_columns(face.labels)[-len(face.labels) :], map(float, face.probabilities), strict=True))
    box = {"x": x, "y": y, "width": width, "height": height}
    return {**told, **box, **eyes, "expression": face.expression, **by_label}


def _picture_json(picture: PredictedPicture, labels: tuple[str, ...]) -> dict[str, Any]:
    told = {
        "picture": shown(picture.name),
        "time": picture.time,
        "label": _label(picture.label, labels),
        "reason": picture.reason,
    }
    return {**told, "faces": [_face_json(face) for face in picture.faces]}


def _face_json(face: PredictedFace) -> dict[str, Any]:
    row = _face_row(face)
    kept = {key: row[key] for key in ("face", "track", "found", "reason", "fit", "expression")}
    box = [row[key] for key in ("x", "y", "width", "height")]
    by_label = dict(zip(face.labels, map(float, face.probabilities), strict=True))
    return {**kept, "found": face.found, "box": box, "eyes": face.eyes.round(2).tolist(), "probabilities": by_label}


def _label(label: int, labels: tuple[str, ...]) -> str | None:
    return None if label == UNLABELLED else labels[label]


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return escaped(value)
    return f"{value:.8g}" if isinstance(value, float) else value


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    """The text, written to a path where there is one: aside, and renamed."""
    if path is not None:
        target = Path(path)
        try:
            with written_whole(target) as aside:
                aside.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise StoreError(
                f"Cannot write {shown(str(target))}: {error.strerror or error}. Choose another place."
            ) from None
    return text

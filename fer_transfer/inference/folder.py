"""The folder that a command writes: all of it under its name, or nothing; and what fer-predict writes there."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import StoreError
from fer_transfer.faces.aside import Aside, remove_ownerless
from fer_transfer.files.names import shown
from fer_transfer.inference.drawing import annotated, explained
from fer_transfer.inference.judging import Judged, confusion_csv, predictions_of
from fer_transfer.inference.pictures import Source
from fer_transfer.inference.predictor import Predictor, Streamed, cut_of
from fer_transfer.inference.results import PredictedFace, PredictedFaces

#: Files of the folder, besides ``pictures/`` or a video, and ``saliency/``; the last three where pictures are labelled.
FACES_CSV, FACES_JSON, ABOUT = "faces.csv", "faces.json", "about.txt"
PREDICTIONS_CSV, SCORES_JSON, CONFUSION_CSV = "predictions.csv", "scores.json", "confusion.csv"

#: Writes what is drawn of a picture: its faces on it, or what spoke for their expressions.
Artist = Callable[[Streamed], None]

_RATE = 25.0
_TOGETHER = 32  # faces that are explained at once


@contextmanager
def written(
    out: Path | None, replace: bool, mark: str = FACES_JSON, command: str = "fer-predict"
) -> Iterator[Path | None]:
    """A folder to write to, which gets its name when all is written; None where none was asked for.

    Args:
        out: the folder.
        replace: whether one that the same command wrote may be replaced.
        mark: a file that every folder of this command has.
        command: that writes it.

    Raises:
        StoreError: if it is there already and may not be replaced, or cannot be written.
    """
    if out is None:
        yield None
        return
    if out.exists() and not (replace and (out / mark).is_file()):
        what = f"is none that {command} wrote. Give another" if replace else "is there. Give another, or replace=true"
        raise StoreError(f"Expected a new folder for out, but {shown(str(out))} {what}.")
    try:
        remove_ownerless(out)
        aside = Aside(out)
        try:
            yield aside.path
            aside.publish()
        finally:
            aside.discard()
    except OSError as error:
        raise StoreError(f"Cannot write {shown(str(out))}: {error}. Free space, or give another out=FOLDER.") from None


def artist(folder: Path, source: Source, stack: ExitStack, caveat: str) -> Artist:
    """What writes each picture with its faces drawn: into ``pictures/``, or a video, which ``stack`` closes."""
    if source.kind != "pictures":
        from fer_transfer.inference.video import VideoWriter

        name = PurePosixPath(source.name).stem if source.kind == "video" else "camera"
        writer = stack.enter_context(VideoWriter(folder / f"{name}.mp4", source.rate or _RATE))
        return lambda of: None if of.frame is None else writer.write(annotated(of.frame, of.picture, caveat))

    def draw(of: Streamed) -> None:
        if of.frame is not None:
            _write_picture(
                folder / "pictures" / f"{_below(of.picture.name)}.jpg", annotated(of.frame, of.picture, caveat)
            )

    return draw


@contextmanager
def explainer(folder: Path, predictor: Predictor, method: str) -> Iterator[Artist]:
    """What writes what spoke for each face's expression into ``saliency/``, many faces at a time; they need their pixels."""
    waiting: list[PredictedFace] = []
    caveat = "; ".join(predictor.about.caveats)

    def flush() -> None:
        said = [int(face.probabilities.argmax()) for face in waiting]
        for face, values in zip(waiting, predictor.saliency(cut_of(waiting), method, said), strict=True):
            path = folder / "saliency" / f"{_below(face.picture)}.{face.number}.jpg"
            _write_picture(path, explained(face, values, method, caveat))
        waiting.clear()

    def explain(of: Streamed) -> None:
        waiting.extend(of.picture.faces)
        if len(waiting) >= _TOGETHER:
            flush()

    yield explain
    if waiting:
        flush()


def _write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())


def _below(name: str) -> PurePosixPath:
    """The name of a picture as a path below a folder.

    >>> str(_below("Happy/a.png")), str(_below("/../../a.png"))
    ('Happy/a.png', 'a.png')
    """
    parts = [part for part in PurePosixPath(name).parts if part not in ("..", "/", ".")]
    return PurePosixPath(*parts or ["picture"])


def write(folder: Path, predicted: PredictedFaces, scores: list[Judged]) -> None:
    """Write what was found, and the scores where there are any."""
    predicted.to_csv(folder / FACES_CSV)
    predicted.to_json(folder / FACES_JSON)
    lines = [*predicted.about.lines(), *predicted.notes, *(score.line() for score in scores)]
    (folder / ABOUT).write_text("\n".join(map(shown, lines)) + "\n", encoding="utf-8")
    if scores:
        predictions_of(predicted).write(folder / PREDICTIONS_CSV)
        content = {"model": predicted.about.to_json(), "scores": [score.to_json() for score in scores]}
        (folder / SCORES_JSON).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (folder / CONFUSION_CSV).write_text(confusion_csv(scores[0]), encoding="utf-8")

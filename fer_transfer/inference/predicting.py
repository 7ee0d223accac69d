"""What fer-predict does: look at all that was given, show what was found, and write it to a folder."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_transfer.bar import bar
from fer_transfer.detection.frame_face import UNREADABLE
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.files.names import shown
from fer_transfer.inference.asked import Asked
from fer_transfer.inference.folder import Artist, artist, explainer, write, written
from fer_transfer.inference.following import Follower
from fer_transfer.inference.judging import Judged, judged, judged_lines, predictions_of
from fer_transfer.inference.pictures import Source
from fer_transfer.inference.predictor import Predictor, Streamed
from fer_transfer.inference.results import PredictedFaces, PredictedPicture
from fer_transfer.signals import Stopped

_SHOWN = 20


def predict_into(predictor: Predictor, source: Source, asked: Asked, console: Console) -> PredictedFaces:
    """Look at every picture; write what was found where that was asked for: all of it, or nothing.

    Args:
        predictor: a model.
        source: what to look at. A camera is looked at until it is told to stop; what was seen is kept.
        asked: for.
        console: where progress is shown.

    Raises:
        ReleaseError: if nothing can be read.
        ConfigError: if smoothing was asked for of what is no video.
        StoreError: if the folder is there already, or cannot be written.
    """
    source = source.labelled_as(predictor.labels)
    follower = _follower(source, asked)
    faces = asked.faces if asked.faces != "auto" else "one" if source.labelled else "all"
    with written(asked.folder, asked.replace) as folder:
        with ExitStack() as stack:
            artists = [] if folder is None else _artists(folder, predictor, source, asked, stack)
            streamed = predictor.stream(source, faces, asked.threads, asked.method is not None, asked.follow)
            pictures = tuple(_looked_at(streamed, source, follower, artists, console))
        notes = [*source.notes, *([follower.note] if follower and follower.note else [])]
        predicted = PredictedFaces(pictures, predictor.labels, predictor.about, tuple(notes))
        _refuse_unreadable(source, predicted)
        if folder is not None:
            write(folder, predicted, scores_of(predicted))
    return predicted


def report_lines(predicted: PredictedFaces) -> Iterator[str]:
    """What was found, for a reader: the first faces, what has none, notes, and scores where pictures are labelled."""
    for face in predicted[:_SHOWN]:
        ranked = np.argsort(-face.probabilities, kind="stable")[:3]
        said = ", ".join(f"{face.labels[i]} {100 * face.probabilities[i]:.0f} %" for i in ranked)
        at = "" if face.time is None else f" at {face.time:.2f} s"
        lost = "" if face.found else f"  (LOST: {face.reason})"
        yield f"{shown(face.picture)}{at}: {said}{lost}"
    if len(predicted) > _SHOWN:
        yield f"... and {len(predicted) - _SHOWN} more faces"
    without = [picture for picture in predicted.pictures if not picture.faces]
    faces, pictures = len(predicted), len(predicted.pictures)
    yield f"{faces} face{'s' * (faces != 1)} in {pictures} picture{'s' * (pictures != 1)}"
    if without:
        first = ", ".join(f"{shown(picture.name)} ({picture.reason})" for picture in without[:3])
        yield f"{len(without)} picture{'s' * (len(without) > 1)} without a face: {first}{', ...' if len(without) > 3 else ''}"
    yield from predicted.notes
    if scores := scores_of(predicted):
        yield from judged_lines(scores)


def scores_of(predicted: PredictedFaces) -> list[Judged]:
    """Scores over the labelled pictures; none where none is labelled."""
    predictions = predictions_of(predicted)
    return judged(predictions) if len(predictions) else []


def _artists(folder: Path, predictor: Predictor, source: Source, asked: Asked, stack: ExitStack) -> list[Artist]:
    """What draws: the pictures with their faces, and what spoke for the faces' expressions, as asked."""
    artists = [artist(folder, source, stack, "; ".join(predictor.about.caveats))] if asked.annotate else []
    return artists + ([stack.enter_context(explainer(folder, predictor, asked.method))] if asked.method else [])


def _follower(source: Source, asked: Asked) -> Follower | None:
    if source.kind == "pictures":
        if asked.smooth != "none":
            raise ConfigError(
                f"Expected a video or a camera for smooth={asked.smooth}, but {source.name} holds single pictures. Leave it out."
            )
        return None
    return Follower(asked.smooth, asked.smooth_seconds)


def _looked_at(
    streamed: Iterator[Streamed],
    source: Source,
    follower: Follower | None,
    artists: Sequence[Artist],
    console: Console,
) -> Iterator[PredictedPicture]:
    """Picture by picture, with a bar; Ctrl-C ends a camera as if it had stopped."""
    ending = suppress(Stopped) if source.kind == "camera" else nullcontext()
    with bar(console, f"looking at {source.name}", "pictures/s", 1) as advance, ending:
        for done, of in enumerate(streamed, start=1):
            picture = follower.follow(of.picture) if follower else of.picture
            for draw in artists:
                draw(of._replace(picture=picture))
            advance(done, source.count)
            yield _without_pixels(picture)


def _without_pixels(picture: PredictedPicture) -> PredictedPicture:
    """What is kept of a picture until all are done: a long video's faces would fill the memory."""
    return replace(picture, faces=tuple(replace(face, pixels=None, landmarks=None) for face in picture.faces))


def _refuse_unreadable(source: Source, predicted: PredictedFaces) -> None:
    """Where not one picture can be read, nothing was asked that has an answer."""
    if predicted.pictures and all(picture.reason.startswith(UNREADABLE) for picture in predicted.pictures):
        first = ", ".join(f"{shown(picture.name)} ({picture.reason})" for picture in predicted.pictures[:3])
        raise ReleaseError(
            f"Expected pictures in {source.name}, but none of {len(predicted.pictures)} can be read: {first}. Get them again."
        )

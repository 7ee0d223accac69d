"""Pictures to look at: what was found in the frames, how the crops differ, and how they sit beside FER-2013's faces."""

from collections.abc import Callable, Sequence
from heapq import nsmallest
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.colour import as_bgr, picture_of
from fer_transfer.detection.crop import BoxCrop, central_square
from fer_transfer.detection.frame_face import UNREADABLE, FrameFace
from fer_transfer.detection.landmarks import LEFT_EYE, RIGHT_EYE
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ReleaseError
from fer_transfer.files.picture import decode

Picture = NDArray[np.uint8]

#: Height of a picture in a sheet, and of the text below it, in pixels.
_SIDE, _TEXT = 192, 18

#: How many pictures a sheet shows: lost ones, those of the found with the lowest scores, and any.
_LOST, _DOUBTFUL, _ANY = 8, 8, 8

#: Pairs of crops beside each other.
_PAIRS = 7

_WHITE, _GREY, _RED, _GREEN, _YELLOW = (255, 255, 255), (110, 110, 110), (60, 60, 230), (80, 200, 80), (60, 220, 240)


class Sample(NamedTuple):
    """A picture of the release: its name, what was found in it, and its expression ("" where withheld)."""

    name: str
    face: FrameFace
    expression: str


def write_sheets(
    folder: Path,
    samples: Sequence[Sample],
    pipeline: FacePipeline,
    load: Callable[[str], bytes],
    caveats: Sequence[str],
) -> None:
    """Write ``sheet.jpg``, frames with boxes and landmarks beside their crops, and ``crops.jpg``, two kinds of crop.

    Args:
        folder: where to.
        samples: every picture; the sheets show the first lost ones, the found ones with the lowest scores, the lowest first, and
            an even choice of the others.
        pipeline: run again on those few, for what it sees on the way.
        load: gives a picture's bytes by its name.
        caveats: stand above the pictures.
    """
    title = ", ".join(caveats)
    chosen = _chosen(samples)
    cells = [cell for sample in chosen if (cell := _shown(_cell, sample, pipeline, load)) is not None]
    if cells:
        order = "lost ones, then those with the largest doubt (1 - score), then some of the others"
        write(folder / "sheet.jpg", grid(cells, 3), f"boxes, landmarks and crops; {order}: {title}")
    pairs = [pair for sample in chosen if (pair := _shown(_pair, sample, pipeline, load)) is not None]
    if pairs:
        head = "the detector's box above, the face aligned by the eyes below"
        write(folder / "crops.jpg", grid(pairs[-_PAIRS:], _PAIRS), f"{head}: {title}")


def _chosen(samples: Sequence[Sample]) -> list[Sample]:
    """Some of the samples, which may be many: they are gone through, not listed."""
    # Unreadable ones show nothing, and one that took too long would take too long again.
    lost = (of for of in samples if of.face.kind == "lost" and not of.face.reason.startswith(UNREADABLE))
    found = ((of.face.score, row, of) for row, of in enumerate(samples) if of.face.kind == "found")
    doubtful = nsmallest(_DOUBTFUL, found, key=itemgetter(0, 1))
    rows = {row for _, row, _ in doubtful}
    step = max(1, (sum(of.face.kind != "lost" for of in samples) - len(doubtful)) // _ANY)
    rest = (of for row, of in enumerate(samples) if of.face.kind != "lost" and row not in rows)
    return [*islice(lost, _LOST), *(of for _, _, of in doubtful), *islice(rest, 0, step * _ANY, step)]


def _shown(
    make: Callable[[Sample, FacePipeline, Picture], Picture | None],
    sample: Sample,
    pipeline: FacePipeline,
    load: Callable[[str], bytes],
) -> Picture | None:
    """A part of a sheet, or None where there is none; what the pipeline failed on must not take the sheet with it."""
    try:
        return make(sample, pipeline, decode(load(sample.name)))
    except (ReleaseError, cv2.error, MemoryError):
        return None


def _cell(sample: Sample, pipeline: FacePipeline, frame: Picture) -> Picture:
    """A frame with everything the pipeline saw beside the crop it gave."""
    bypassed = sample.face.kind == "bypassed"
    picture = picture_of(frame, pipeline.colour)
    face = sample.face if bypassed else pipeline.find(frame)
    pixels = BoxCrop(pipeline.size).cut(picture, central_square(picture)) if bypassed else face.pixels
    scale = min(_SIDE / frame.shape[0], 8.0)
    wide = frame[:, : round(2 * _SIDE / scale)]  # of a strip as long as a street only what fits is enlarged
    size = max(1, round(wide.shape[1] * scale)), max(1, round(wide.shape[0] * scale))
    shown = cv2.resize(wide, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if not bypassed:
        _draw(shown, pipeline, frame, face, scale)
    told = face.reason if face.kind == "lost" else f"{face.kind} {_sureness(face)} {face.reason}"
    below, right = max(0, _SIDE - shown.shape[0]), max(0, round(1.4 * _SIDE) - shown.shape[1])
    framed = cv2.copyMakeBorder(shown[:_SIDE], 0, below, 0, right, cv2.BORDER_CONSTANT)
    crop = as_bgr(fitted(pixels))
    return labelled(np.hstack([framed, crop]), f"{sample.expression} {Path(sample.name).name[:32]}: {told}")


def _sureness(face: FrameFace) -> str:
    """The score, or what it lacks to 1 where rounding would hide it, as of most faces; and how large the face is."""
    score = f"{face.score:.2f}" if face.score < 0.99 else f"doubt {1 - face.score:.0e}"
    e2e = float(np.hypot(*(face.eyes[1] - face.eyes[0])))
    return f"{score}, e2e {e2e:.0f} px" if e2e else score


def _draw(shown: Picture, pipeline: FacePipeline, frame: Picture, face: FrameFace, scale: float) -> None:
    for candidate in pipeline.candidates(frame):
        taken = face.kind == "found" and np.array_equal(candidate.box, face.box)
        x, y, width, height = (round(scale * float(v)) for v in candidate.box)
        cv2.rectangle(shown, (x, y), (x + width, y + height), _GREEN if taken else _RED, 1, cv2.LINE_AA)
        if candidate.fit is None or not taken:
            continue
        points = np.round(candidate.fit.points * scale).astype(int)
        for point in points[::4].tolist():
            cv2.circle(shown, point, 0, _WHITE, -1)
        for point in points[[*RIGHT_EYE, *LEFT_EYE]].tolist():
            cv2.circle(shown, point, 1, _YELLOW, -1)


def _pair(sample: Sample, pipeline: FacePipeline, frame: Picture) -> Picture | None:
    """The detector's box above the aligned crop, or None where there is no such pair."""
    if sample.face.kind != "found" or pipeline.landmarker is None:
        return None
    face = pipeline.find(frame)
    x, y, width, height = (round(float(v)) for v in face.box)
    picture = picture_of(frame, pipeline.colour)
    box = BoxCrop(pipeline.size).cut(picture, (x, y, max(1, width), max(1, height)))
    return labelled(as_bgr(np.vstack([fitted(box), fitted(face.pixels)])), sample.expression)


def fitted(face: Picture) -> Picture:
    """A face uint8 [H, W] or [H, W, 3] at the size of a sheet's cells."""
    how = cv2.INTER_AREA if face.shape[0] > _SIDE else cv2.INTER_LINEAR
    fitted: Picture = cv2.resize(face, (_SIDE, _SIDE), interpolation=how)
    return fitted


def labelled(picture: Picture, text: str) -> Picture:
    """A picture, BGR, with a line of text below."""
    framed: Picture = cv2.copyMakeBorder(picture, 0, _TEXT, 0, 4, cv2.BORDER_CONSTANT, value=_WHITE)
    return _text(framed, text, picture.shape[0] + 13)


def _text(picture: Picture, text: str, y: int) -> Picture:
    plain = text.encode("ascii", "replace").decode()  # OpenCV's fonts hold nothing else
    cv2.putText(picture, plain, (2, y), cv2.FONT_HERSHEY_SIMPLEX, 0.36, _GREY, 1, cv2.LINE_AA)
    return picture


def grid(cells: Sequence[Picture], columns: int) -> Picture:
    """Cells uint8 [h, w, 3] in rows of so many columns, each as large as the largest, on white."""
    height, width = max(cell.shape[0] for cell in cells), max(cell.shape[1] for cell in cells)
    rows = -(-len(cells) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, cell in enumerate(cells):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def write(path: Path, picture: Picture, title: str) -> None:
    """Write a picture uint8 [H, W, 3] BGR as jpg, its title above."""
    head = np.full((_TEXT + 4, picture.shape[1], 3), 255, np.uint8)
    done, data = cv2.imencode(
        ".jpg", np.vstack([_text(head, title.rstrip(": "), 14), picture]), [cv2.IMWRITE_JPEG_QUALITY, 85]
    )
    assert done
    path.write_bytes(data.tobytes())

"""How far MediaPipe's FaceLandmarker puts the points of a face beside where they are: the constant SHIFT of its landmarker.

Photographs are looked at as they are and mirrored. Half of what lies between the points of the two looks is what the model does
to one side; it is told in pixels of the frame, and of the model's input (``face_landmarker.INPUT`` pixels for ``AROUND`` times a
face's longer side). Each photograph is looked at enlarged too: what comes of the model stays the same in pixels of its input,
what comes of taking corners of pixels for their middles stays the same in those of the frame.

::

    python benchmarks/shift.py face_landmarker_v2_with_blendshapes.task sfew_like.zip --pictures 300
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.face_landmarker import AROUND, INPUT
from fer_transfer.detection.tasks import Tasks
from fer_transfer.files.archive import Archive
from fer_transfer.files.picture import decode

Points = NDArray[np.float64]


def only(task: Tasks, frame: NDArray[np.uint8]) -> Points | None:
    """Points [478, 2] of the one face of a frame; None where there is another number of them."""
    found = task.look(np.ascontiguousarray(frame))
    return found[0]["points"][:, :2].astype(np.float64) if len(found) == 1 else None


def aside(task: Tasks, frame: NDArray[np.uint8]) -> tuple[Points, float] | None:
    """How far to the right and down points lie, [2] in pixels of the frame, and how many of these one of the input's is."""
    straight, mirrored = only(task, frame), only(task, frame[:, ::-1])
    if straight is None or mirrored is None:
        return None
    mirrored[:, 0] = frame.shape[1] - 1 - mirrored[:, 0]
    moved, extent = (straight.mean(0) - mirrored.mean(0)) / 2, np.ptp(straight, axis=0).max()
    return (moved, AROUND * extent / INPUT) if np.abs(moved).max() < 0.1 * extent else None


def told(values: NDArray[np.float64]) -> str:
    return f"{values.mean():+.3f} +- {values.std() / len(values) ** 0.5:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("release", type=Path, help="folder or archive of photographs with one face each")
    parser.add_argument("--pictures", type=int, default=300, help="an even choice (default: %(default)s)")
    parser.add_argument("--enlarged", type=int, nargs="+", default=[1, 2], help="times (default: 1 2)")
    options = parser.parse_args()
    task = Tasks(2, 0.5, options.model.read_bytes())
    with Archive(options.release) as archive:
        names = [name for name in archive.names if name.endswith((".png", ".jpg"))]
        frames = [decode(archive.read(name)) for name in names[:: max(1, len(names) // options.pictures)]]
    for times in options.enlarged:
        looks = [
            aside(task, cv2.resize(frame, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)) for frame in frames
        ]
        seen = [look for look in looks if look is not None]
        pixels, scale = np.array([look[0] for look in seen]), np.array([look[1] for look in seen])
        inside = pixels / scale[:, None]
        print(
            f"enlarged {times} times, {len(seen)} of {len(frames)} photographs: to the right {told(pixels[:, 0])} px of the "
            f"frame, {told(inside[:, 0])} px of {INPUT}",
            flush=True,
        )


if __name__ == "__main__":
    main()

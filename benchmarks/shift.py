"""How far MediaPipe's FaceLandmarker puts the points of a face beside where they are: the constants SHIFT and BESIDE.

Photographs are looked at as they are and mirrored. Half of what lies between the points of the two looks is what the model does
to one side; it is told in pixels of the frame, and of the model's input (``face_landmarker.INPUT`` pixels for ``AROUND`` times a
face's longer side). Each photograph is looked at enlarged too: what comes of the model stays the same in pixels of its input,
what comes of taking corners of pixels for their middles stays the same in those of the frame.

Then, with that taken off, how far outward and down the means of the mesh's six points of an eye lie from those of the
landmarker's: two models, two habits of where an eye's corners are, and ``pipeline=aligned`` has the mesh's.

::

    python benchmarks/shift.py face_landmarker_v2_with_blendshapes.task sfew_like.zip --pictures 300
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.face_landmarker import AROUND, INPUT, PRESENCE, FaceLandmarker
from fer_transfer.detection.landmarks import FaceMesh, Landmarks
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


def beside(landmarker: FaceLandmarker, mesh: FaceMesh, frame: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """How far outward and down, [2] in % of e2e, the mesh's means lie, both eyes' mean; None where there is not one face."""
    faces = landmarker.find(frame)
    if len(faces) != 1:
        return None
    low, high = faces[0].points.min(0), faces[0].points.max(0)
    means, fit = Landmarks(faces[0].points, 1.0).eyes, mesh.fit(frame, np.array([*low, *(high - low)]))
    across = means[1] - means[0]
    apart = (fit.eyes - means) @ np.stack([across, (-across[1], across[0])]).T / (across @ across)
    near = fit.score > 0.9 and np.abs(apart).max() < 0.25
    return 100 * (apart * [(-1, 1), (1, 1)]).mean(0) if near else None


def told(values: NDArray[np.float64]) -> str:
    return f"{values.mean():+.3f} +- {values.std() / len(values) ** 0.5:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("release", type=Path, help="folder or archive of photographs with one face each")
    parser.add_argument("--pictures", type=int, default=300, help="an even choice (default: %(default)s)")
    parser.add_argument("--enlarged", type=int, nargs="+", default=[1, 2], help="times (default: 1 2)")
    options = parser.parse_args()
    task = Tasks(2, 0.5, PRESENCE, options.model.read_bytes())
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
    landmarker, mesh = FaceLandmarker(str(options.model)), FaceMesh()
    apart = np.array([found for frame in frames if (found := beside(landmarker, mesh, frame)) is not None])
    print(f"eyes of the mesh, {len(apart)} photographs: outward {told(apart[:, 0])}, down {told(apart[:, 1])} % of e2e")


if __name__ == "__main__":
    main()

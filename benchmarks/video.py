"""What following faces through a video is worth: frames a second, and how steady eye centres are, beside frame by frame.

A video of rendered heads that turn, move and make expressions, with noise in every frame, whose eyes are known. Frames are
searched by ``inference.finding``, as fer-predict does, frame by frame and followed. An error is the distance of an eye centre
from where it is, in per cent of the distance between the eyes; unrest is how far that error moves from a frame to the next (root
mean square): of a finder that is always wrong in the same way it is 0. ``faces`` is ``pipeline.landmarker.faces``: with 1
MediaPipe smooths points, and looks for a face only when it has none.

::

    python benchmarks/video.py face_landmarker_v2_with_blendshapes.task
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_transfer.config import build, plain
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.inference.finding import find_faces
from fer_transfer.inference.pictures import Picture
from fer_transfer.settings import compose
from fer_transfer.synthetic.drawing import Pose, draw_face
from fer_transfer.synthetic.person import random_muscles, random_person

SIZE, RATE, NOISE = (480, 640), 25.0, 4.0  # height and width; frames a second; grey values


def rendered(frames: int, heads: int, seed: int) -> tuple[list[Picture], NDArray[np.float64]]:
    """The frames of a video, and its eyes, float64 [frames, heads, 2, 2] in pixels."""
    rng = np.random.default_rng(seed)
    people = [random_person(rng) for _ in range(heads)]
    muscles = [[random_muscles(rng, int(rng.integers(7))) for _ in range(frames // 25 + 2)] for _ in range(heads)]
    pace = rng.uniform(0.5, 1.5, (heads, 5))
    pictures, eyes = [], np.zeros((frames, heads, 2, 2))
    for number in range(frames):
        frame = np.full((*SIZE, 3), 110, np.uint8)
        for head in range(heads):
            across, down, roll, yaw, pitch = np.sin(2 * np.pi * pace[head] * number / RATE / 2)
            middle = (SIZE[1] * (head + 0.5) / heads + 20 * across, SIZE[0] * 0.45 + 12 * down)
            second, part = divmod(number, 25)
            before, after = muscles[head][second : second + 2]
            pose = Pose(middle, 60.0 / heads**0.5, 0.15 * roll, 0.3 * yaw, 0.15 * pitch)
            eyes[number, head] = draw_face(frame, people[head], before + (after - before) * part / 25, pose)
        noisy = np.clip(frame + rng.normal(scale=NOISE, size=frame.shape), 0, 255).astype(np.uint8)
        pictures.append(Picture(f"{number:06d}", noisy, number / RATE))
    return pictures, eyes


def pipeline(model: Path, faces: int) -> FacePipeline:
    words = ["release=frames", "release.path=.", "pipeline=mediapipe", f"pipeline.landmarker.model={model}"]
    made: FacePipeline = build(
        "pipeline", plain(compose("prepare", [*words, f"pipeline.landmarker.faces={faces}"]).pipeline)
    )
    return made


def measured(found: list[NDArray[np.float64]], eyes: NDArray[np.float64]) -> tuple[int, float, float, float]:
    """How many faces were found, the median and 95th percentile of the error, and the unrest; percent of e2e."""
    apart = np.linalg.norm(eyes[:, :, 1] - eyes[:, :, 0], axis=-1)
    errors = np.full(eyes.shape, np.nan)
    for number, of in enumerate(found):
        for head, true in enumerate(eyes[number]):
            off = [face - true for face in of if np.linalg.norm(face - true, axis=1).mean() < 0.5 * apart[number, head]]
            if off:
                errors[number, head] = min(off, key=lambda one: float(np.abs(one).sum())) / apart[number, head]
    distance, moved = np.linalg.norm(errors, axis=-1), np.linalg.norm(np.diff(errors, axis=0), axis=-1)
    median, p95 = 100 * np.nanquantile(distance, [0.5, 0.95])
    return int(np.isfinite(distance).all(axis=-1).sum()), median, p95, 100 * float(np.sqrt(np.nanmean(moved**2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--frames", type=int, default=200, help="of the video (default: %(default)s)")
    parser.add_argument("--heads", type=int, default=1, help="in it (default: %(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 11], help="a video each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="that search frame by frame (default: %(default)s)")
    options = parser.parse_args()
    videos = [rendered(options.frames, options.heads, seed) for seed in options.seeds]
    print(
        f"{len(videos)} rendered videos of {options.frames} frames, {SIZE[1]}x{SIZE[0]}, {options.heads} heads; "
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"
    )
    print("way | threads | faces found | median error | 95th percentile | unrest | frames/s")
    for faces in (20, options.heads):
        for follow in (False, True):
            finder = pipeline(options.model, faces)
            rows, spent = [], 0.0
            for pictures, eyes in videos:
                start = time.perf_counter()
                threads = 1 if follow else options.threads
                looks = finder.following() if follow else finder
                found = list(find_faces(looks, pictures, every=True, threads=threads))
                spent += time.perf_counter() - start
                rows.append(measured([np.array([face.eyes for face in of.faces]) for of in found], eyes))
            count, (_, median, p95, unrest) = sum(row[0] for row in rows), np.mean(rows, axis=0)
            way = f"{'followed' if follow else 'frame by frame'}, faces={faces}"
            total = options.frames * options.heads * len(videos)
            rate = options.frames * len(videos) / spent
            print(
                f"{way} | {threads} | {count} of {total} | {median:.2f} % | {p95:.2f} % | {unrest:.2f} % | {rate:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

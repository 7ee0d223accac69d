"""Frames a second of ``pipeline=mediapipe`` beside ``pipeline=aligned`` and beside a bare loop over MediaPipe's own call.

The pipelines read the same encoded pictures (decode, find, fit, cut) in this process, on one thread but for MediaPipe's own; the
bare loop gives frames that are decoded already to ``FaceLandmarker.detect`` and throws its answer away; another one decodes
them too, which is the least that any pipeline does. Then one process and two
read the pictures several times over, starting up not counted. Rounds take turns, and the best of each counts.

::

    python benchmarks/finder_rates.py sfew_like.zip face_landmarker_v2_with_blendshapes.task
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import mediapipe
import numpy as np
from finders import pipeline
from mediapipe.tasks.python import vision
from numpy.typing import NDArray

from fer_transfer.detection.frame_process import FrameJob
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.detection.reader import FrameReader
from fer_transfer.files.archive import Archive
from fer_transfer.files.picture import decode

ALIGNED, BARE, TWO = 4.0, 0.85, 1.8  # bounds: over pipeline=aligned, over the bare loop, two processes over one


def bare(model: Path, frames: list[NDArray[np.uint8]] | list[bytes]) -> Callable[[], int]:
    """MediaPipe's own call on frames, decoded already or not, with the options that the pipeline gives it."""
    options = vision.FaceLandmarkerOptions(
        base_options=mediapipe.tasks.BaseOptions(model_asset_buffer=model.read_bytes()),
        num_faces=20,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    task = vision.FaceLandmarker.create_from_options(options)

    def seen(frame: NDArray[np.uint8] | bytes) -> NDArray[np.uint8]:
        picture = decode(frame) if isinstance(frame, bytes) else frame
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)

    ready = [frame if isinstance(frame, bytes) else seen(frame) for frame in frames]

    def run() -> int:
        pictures = (seen(one) if isinstance(one, bytes) else one for one in ready)
        images = (mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture) for picture in pictures)
        return sum(bool(task.detect(image).face_landmarks) for image in images)

    return run


def over_processes(finder: FacePipeline, data: list[bytes], count: int, repeats: int) -> float:
    """Pictures a second that so many processes read; the first time over warms them up."""
    jobs = [FrameJob(str(number), False, None) for _ in range(repeats + 1) for number in range(len(data))]
    faces = FrameReader(count).read(finder, jobs, lambda name: data[int(name)])
    for _ in data:
        next(faces)
    start = time.perf_counter()
    return sum(1 for _ in faces) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path, help="folder or archive of frames")
    parser.add_argument("model", type=Path)
    parser.add_argument("--mesh", type=Path, help="face_landmark.tflite, where MediaPipe's wheel has none (1.2)")
    parser.add_argument("--pictures", type=int, default=200, help="an even choice (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of the pictures, over processes (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with Archive(options.release) as archive:
        names = [name for name in archive.names if name.endswith((".png", ".jpg"))]
        data = [archive.read(name) for name in names[:: max(1, len(names) // options.pictures)]]
    aligned = pipeline("pipeline=aligned", *([f"pipeline.landmarker.model={options.mesh}"] if options.mesh else []))
    landmarker = pipeline("pipeline=mediapipe", f"pipeline.landmarker.model={options.model}")
    ways = {
        "pipeline=aligned": lambda: sum(aligned.read(picture).kind == "found" for picture in data),
        "pipeline=mediapipe": lambda: sum(landmarker.read(picture).kind == "found" for picture in data),
        "a bare loop": bare(options.model, [decode(picture) for picture in data]),
        "one that decodes": bare(options.model, data),
    }
    found, rates, cores = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0.0)
    several = {1: 0.0, 2: 0.0}
    for _ in range(options.rounds):
        for name, run in ways.items():
            start, busy = time.perf_counter(), sum(os.times()[:2])
            found[name] = run()
            elapsed = time.perf_counter() - start
            rates[name], cores[name] = max(
                (rates[name], cores[name]), (len(data) / elapsed, (sum(os.times()[:2]) - busy) / elapsed)
            )
        for count, rate in several.items():
            several[count] = max(rate, over_processes(landmarker, data, count, count * options.repeats))
    for name, rate in rates.items():
        print(f"{name:<20} {rate:6.1f} frames/s, {cores[name]:.2f} cores busy, a face in {found[name]} of {len(data)}")
    over = [rates["pipeline=mediapipe"] / rates[name] for name in ("pipeline=aligned", "a bare loop")]
    over.append(several[2] / several[1])
    print(
        f"mediapipe over aligned {over[0]:.2f} (bound {ALIGNED:g}), over the bare loop {over[1]:.2f} (bound {BARE:g})"
    )
    least = rates["one that decodes"] / rates["pipeline=aligned"]
    print(f"a bare loop that decodes over aligned {least:.2f}")
    print(f"two processes over one {over[2]:.2f} (bound {TWO:g}): {several[2]:.1f} and {several[1]:.1f} frames/s")
    if options.check and any(ratio < bound for ratio, bound in zip(over, (ALIGNED, BARE, TWO), strict=True)):
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()

"""Frames a second of ``pipeline=mediapipe`` beside ``pipeline=aligned`` and beside a bare loop over MediaPipe's own call.

Each reads the same pictures (decode, find, fit, cut) in this process, on one thread but for MediaPipe's own; the bare loop looks
at frames that are decoded already. Rounds take turns, and the best of each counts.

::

    python benchmarks/finders.py sfew_like.zip face_landmarker_v2_with_blendshapes.task
"""

import argparse
import sys
import time
from pathlib import Path

import cv2

from fer_transfer.config import build, plain
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.files.archive import Archive
from fer_transfer.files.picture import decode
from fer_transfer.settings import compose

ALIGNED, BARE = 4.0, 0.85  # bounds: mediapipe's frames a second over those of pipeline=aligned, and of the bare loop


def pipeline(*words: str) -> FacePipeline:
    settings = plain(compose("prepare", ["release=frames", "release.path=.", *words]).pipeline)
    made: FacePipeline = build("pipeline", settings)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path, help="folder or archive of frames")
    parser.add_argument("model", type=Path)
    parser.add_argument("--pictures", type=int, default=200, help="an even choice (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with Archive(options.release) as archive:
        names = [name for name in archive.names if name.endswith((".png", ".jpg"))]
        data = [archive.read(name) for name in names[:: max(1, len(names) // options.pictures)]]
    aligned = pipeline("pipeline=aligned")
    mediapipe = pipeline("pipeline=mediapipe", f"pipeline.landmarker.model={options.model}")
    look = mediapipe.landmarker.model.network.look
    frames = [decode(picture) for picture in data]
    ways = {
        "pipeline=aligned": lambda: sum(aligned.read(picture).kind == "found" for picture in data),
        "pipeline=mediapipe": lambda: sum(mediapipe.read(picture).kind == "found" for picture in data),
        "a bare loop": lambda: sum(len(look(frame)) > 0 for frame in frames),
    }
    found, rates = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0.0)
    for _ in range(options.rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            found[name] = run()
            rates[name] = max(rates[name], len(data) / (time.perf_counter() - start))
    for name, rate in rates.items():
        print(f"{name:<20} {rate:6.1f} frames/s, a face in {found[name]} of {len(data)}")
    over = [rates["pipeline=mediapipe"] / rates[name] for name in ("pipeline=aligned", "a bare loop")]
    print(
        f"mediapipe over aligned {over[0]:.2f} (bound {ALIGNED:g}), over the bare loop {over[1]:.2f} (bound {BARE:g})"
    )
    if options.check and (over[0] < ALIGNED or over[1] < BARE):
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()

"""How exactly the pipeline finds the eyes of rendered frames, whose truth is known.

Frames of 720x576 are rendered in SFEW's layout with their true eye centres; ``fer-prepare``'s own pipeline runs on them.
An error is the distance of an eye centre from the truth, in per cent of the true eye-to-eye distance; both eyes of every
face that was found count. A face that was found elsewhere counts with its error.

::

    python benchmarks/alignment.py --check
    python benchmarks/alignment.py pipeline/detector=yunet pipeline.detector.model=face_detection_yunet_2023mar.onnx
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from fer_transfer.config import build, compose, plain
from fer_transfer.faces.reader import FrameJob, FrameReader
from fer_transfer.releases.synthetic import write_sfew

MEDIAN, P95, FOUND = 2.0, 6.0, 0.9  # bounds: % of e2e; share of the frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=280, help="rendered frames (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=11, help="of the frames (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bound is missed")
    parser.add_argument("overrides", nargs="*", help="of fer-prepare's configuration, such as pipeline.fit=0.5")
    options = parser.parse_args()
    config = plain(compose("prepare", ["release.path=unused", *options.overrides]))
    pipeline = build("pipeline", config["pipeline"])
    count = options.frames // 2
    with tempfile.TemporaryDirectory() as name:
        folder = write_sfew(
            Path(name) / "sfew", {"Train": count, "Val": count - 7, "Test": 7}, options.seed, size=(576, 720)
        )
        truth = json.loads((folder / "synthetic.json").read_text())["faces"]
        paths = {path.name: path for path in sorted(folder.rglob("*.png"))}
        jobs = [FrameJob(name, False, None) for name in paths]
        faces = list(FrameReader(1).read(pipeline, jobs, lambda name: paths[name].read_bytes()))
    errors, lost = [], Counter(face.reason for face in faces if face.kind == "lost")
    for frame, face in zip(paths, faces, strict=True):
        true = np.array(truth[frame]["eyes"])
        if face.kind == "found":
            errors.append(100 * np.linalg.norm(face.eyes - true, axis=1) / np.linalg.norm(true[1] - true[0]))
    found = len(errors) / len(faces)
    median, p95 = np.quantile(np.array(errors), [0.5, 0.95])
    print(f"rendered frames, 720x576, seed {options.seed}: found {len(errors)} of {len(faces)} ({100 * found:.1f} %)")
    print(f"lost: {dict(lost) or 'none'}")
    print(
        f"eye centres: median error {median:.2f} % of e2e (bound {MEDIAN}), 95th percentile {p95:.2f} % (bound {P95})"
    )
    if options.check and (median > MEDIAN or p95 > P95 or found < FOUND):
        sys.exit("a bound is missed")


if __name__ == "__main__":
    main()

"""The side B of ``faces.py``: what a user of the mtcnn package writes to get aligned faces, one thread, its defaults.

Runs in an environment of its own, where this project is not installed. Decodes each picture, detects faces with their
landmarks, takes the surest, turns and scales the frame by the eyes in one step, and cuts 256x256 grey. Prints one line of
JSON: frames a second after one picture to warm up, faces found, cores that were busy, and versions.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from mtcnn import MTCNN

SIZE = 256
SIDE, ABOVE, BELOW = 0.62, 0.9, 1.35  # Ng et al. (2015): the box about the eyes, in eye-to-eye distances


def align(frame: Any, eyes: Any) -> Any:
    """The face by its eye centres, x and y, the left one in the picture first: uint8 [256, 256], grey."""
    left, right = (np.asarray(eye, np.float64) for eye in eyes)
    e2e = np.linalg.norm(right - left)
    across = (right - left) / e2e
    down = np.array([-across[1], across[0]])
    corner = left - SIDE * e2e * across - ABOVE * e2e * down
    width, height = (1 + 2 * SIDE) * e2e, (ABOVE + BELOW) * e2e
    source = np.stack([corner, corner + width * across, corner + height * down]).astype(np.float32)
    target = np.array([[0, 0], [SIZE, 0], [0, SIZE]], np.float32) - 0.5
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    face = cv2.warpAffine(grey, cv2.getAffineTransform(source, target), (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    return cv2.normalize(face, None, 0, 255, cv2.NORM_MINMAX)


def read(detector: Any, data: bytes) -> Any:
    """The face of an encoded picture, or None."""
    frame = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    found = detector.detect_faces(frame)
    if not found:
        return None
    points = max(found, key=lambda face: face["confidence"])["keypoints"]
    return align(frame, sorted((points["left_eye"], points["right_eye"])))


def main() -> None:
    cv2.setNumThreads(1)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    frames = [path.read_bytes() for path in map(Path, sys.stdin.read().splitlines())]
    detector = MTCNN(device="CPU:0")  # every other setting is the package's own
    read(detector, frames[0])
    start, busy = time.perf_counter(), time.process_time()
    found = sum(read(detector, data) is not None for data in frames)
    elapsed, busy = time.perf_counter() - start, time.process_time() - busy
    versions = {name: version(name) for name in ("mtcnn", "tensorflow-cpu", "opencv-python-headless", "numpy")}
    print(json.dumps({"rate": len(frames) / elapsed, "found": found, "cores": busy / elapsed, "versions": versions}))


if __name__ == "__main__":
    main()

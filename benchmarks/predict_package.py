"""The side B of ``predict.py``: what a user of the mtcnn package writes to classify the faces of pictures, its defaults.

Runs in an environment of its own, where this project is not installed. Decodes each picture, detects all faces with their
landmarks, turns and cuts each by the eyes (``faces_package.align``), and gives those of a picture to a convolutional network with
as many parameters as asked for. Its weights are random: only its time counts. Prints one line of JSON.
"""

import json
import sys
import time
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from faces_package import align
from mtcnn import MTCNN


def network(parameters: int, side: int) -> Any:
    """Four convolutions that halve the picture, mean pooling, seven outputs; as wide as gives the parameters asked for."""

    def built(width: int) -> Any:
        layers = [tf.keras.Input((side, side, 3))]
        for stage in range(4):
            layers += [tf.keras.layers.Conv2D(width * 2**stage, 3, 2, "same", activation="relu")]
        return tf.keras.Sequential(
            [*layers, tf.keras.layers.GlobalAveragePooling2D(), tf.keras.layers.Dense(7, "softmax")]
        )

    def size(width: int) -> int:
        widths = [3, *(width * 2**stage for stage in range(4))]
        return sum(9 * a * b + b for a, b in pairwise(widths)) + 7 * (widths[-1] + 1)

    return built(min(range(1, 1024), key=lambda width: abs(size(width) - parameters)))


def faces_of(detector: Any, data: bytes, side: int) -> list[Any]:
    """Every face of an encoded picture as the network takes it: float32 [side, side, 3]."""
    frame = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    points = [face["keypoints"] for face in detector.detect_faces(frame) or []]
    cut = [
        align(frame, sorted((of["left_eye"], of["right_eye"]))) for of in points if of["left_eye"] != of["right_eye"]
    ]
    return [np.repeat(cv2.resize(face, (side, side))[..., None] / np.float32(255), 3, axis=2) for face in cut]


def main() -> None:
    parameters, side = int(sys.argv[1]), int(sys.argv[2])
    pictures = [path.read_bytes() for path in map(Path, sys.stdin.read().splitlines())]
    detector, model = MTCNN(device="CPU:0"), network(parameters, side)

    def classified(data: bytes) -> int:
        faces = faces_of(detector, data, side)
        return len(model(np.stack(faces), training=False).numpy()) if faces else 0

    classified(pictures[0])  # warms up
    start, busy = time.perf_counter(), time.process_time()
    found = sum(map(classified, pictures))
    elapsed, busy = time.perf_counter() - start, time.process_time() - busy
    versions = {name: version(name) for name in ("mtcnn", "tensorflow-cpu", "opencv-python-headless", "numpy")}
    answer = {"faces": found / elapsed, "pictures": len(pictures) / elapsed, "found": found, "cores": busy / elapsed}
    print(json.dumps({**answer, "versions": versions, "parameters": model.count_params()}))


if __name__ == "__main__":
    main()

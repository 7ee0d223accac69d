"""Do the maps of saliency lie where a face moves? On drawn faces, whose moving parts are known.

SYNTHETIC FACES. Each face is drawn with an expression and at rest; the 15 % of its pixels that differ most are its moving parts.
Of every method stand here: the share of its map that lies in them, how often the map's highest point does, the area under the
ROC curve of "moving" by the map's values, and seconds a face. Beside it the same for maps that know less: chance, the face's own
edges, and the same method on a network of the same kind that was never trained. Over the faces that the network is right about.

::

    make demo
    python benchmarks/saliency.py demo/store fer32_emotiw/test_resnet
"""

import argparse
import sys
import time

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import fer_transfer
from fer_transfer.backbones.networks import build_network
from fer_transfer.inference.saliency import METHODS
from fer_transfer.labels import EXPRESSIONS
from fer_transfer.synthetic.moving import moving_face

MOVING = 0.15
Maps = NDArray[np.float32]


def drawn(count: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.int64]]:
    """Faces of the six expressions that move, and their moving parts."""
    labels = np.arange(count) % (len(EXPRESSIONS) - 1)
    pairs = [moving_face(np.random.default_rng([7, i]), int(label), size) for i, label in enumerate(labels)]
    moved = np.stack([moved for _, moved in pairs])
    return (
        np.stack([face for face, _ in pairs]),
        moved > np.quantile(moved, 1 - MOVING, axis=(1, 2), keepdims=True),
        labels,
    )


def area(values: Maps, moving: NDArray[np.bool_]) -> float:
    """Under the ROC curve."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(moving.ravel(), values.ravel()))


def share(maps: Maps, moving: NDArray[np.bool_]) -> float:
    """Of each map what lies in the moving parts, on average; of an empty one what chance has there."""
    return float(
        np.mean([(of * where).sum() / of.sum() if of.sum() else MOVING for of, where in zip(maps, moving, strict=True)])
    )


def line(name: str, maps: Maps, moving: NDArray[np.bool_], seconds: float | None = None) -> str:
    hits = np.mean([where.ravel()[of.argmax()] for of, where in zip(maps, moving, strict=True)])
    areas = np.mean([area(of, where) for of, where in zip(maps, moving, strict=True)])
    spent = "-" if seconds is None else f"{seconds:.3f}"
    return f"| {name} | {100 * share(maps, moving):.1f} % | {100 * hits:.0f} % | {areas:.3f} | {spent} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("row")
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 where a method is not above chance and untrained"
    )
    parser.add_argument("--size", type=int, default=256, help="side of the faces in pixels")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = fer_transfer.open_store(given.store).load(given.row, seeds=0, calibrated=False)
    faces, moving, labels = drawn(given.count, given.size)
    right = model.probabilities(faces).argmax(axis=1) == labels
    faces, moving, labels = faces[right], moving[right], labels[right]
    print(f"{given.row}: right about {right.sum()} of {len(right)} SYNTHETIC faces of {given.size} px\n")
    print(f"| map | in the {100 * MOVING:.0f} % that move | highest point there | area under ROC | s/face |")
    print("| --- | ---: | ---: | ---: | ---: |")
    chance = np.random.default_rng(0).random(faces.shape, np.float32)
    print(line("chance", chance, moving))
    coarse = np.random.default_rng(0).random((len(faces), 2, 2), np.float32)  # as Grad-CAM's map of a small network
    print(line("chance, 2 x 2 places", np.stack([cv2.resize(one, moving.shape[1:]) for one in coarse]), moving))
    edges = [np.abs(face - cv2.GaussianBlur(face.astype(np.float32), (0, 0), 0.08 * given.size)) for face in faces]
    print(line("the face's own edges", np.stack(edges), moving))
    found: dict[str, float] = {}
    for what in ("", ", untrained"):
        if what:
            torch.manual_seed(0)
            model.model.network = build_network(model.about.members[0].backbone, {}, len(EXPRESSIONS)).eval()
        for method in METHODS:
            start = time.perf_counter()
            maps = model.saliency(faces, method, labels)
            print(line(method + what, maps, moving, (time.perf_counter() - start) / len(faces)), flush=True)
            found[method + what] = share(maps, moving)
    missed = [method for method in METHODS if found[method] <= max(MOVING, found[f"{method}, untrained"])]
    if missed or found[METHODS[0]] < max(found.values()):
        print(f"missed: {', '.join(missed) or 'another method is better than the first'}")
        sys.exit(1 if given.check else 0)


if __name__ == "__main__":
    main()

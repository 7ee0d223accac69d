"""Tiny prepared faces, and what fer-train is told to train a tiny network on them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fer_transfer.faces.source import Face
from fer_transfer.faces.writer import FacesWriter
from fer_transfer.labels import UNLABELLED

#: Faces by split, and their side, of the two releases.
SPLITS = {
    "fer2013": {"Training": 128, "PublicTest": 40, "PrivateTest": 40},
    "emotiw": {"Train": 64, "Val": 40, "Test": 20},
}
SIDES = {"fer2013": 48, "emotiw": 64}


def tiny_faces(name: str) -> Iterator[Face]:
    """Faces that a network can tell apart: a bright bar whose height is the expression, in noise."""
    size = SIDES[name]
    random = np.random.default_rng(size)
    for i, split in enumerate(s for s, count in SPLITS[name].items() for _ in range(count)):
        label = int(random.integers(7))
        pixels = random.integers(0, 120, (size, size), dtype=np.uint8)
        pixels[label * size // 7 : (label + 1) * size // 7] += 100
        yield Face(pixels, f"{name}_{i:04}.png", split, UNLABELLED if split == "Test" else label, i % 20 != 0)


def write_faces(folder: Path, name: str) -> None:
    """Write the faces of a release as prepared ones."""
    side = SIDES[name]
    with FacesWriter(folder, name, (side, side), sum(SPLITS[name].values())) as writer:
        writer.caveats = ["synthetic"]
        writer.settings = {"ferplus": False} if name == "fer2013" else {}
        for face in tiny_faces(name):
            writer.add(face.pixels, face.id, face.split, face.label, face.found)


def overrides(faces: Path, store: Path) -> list[str]:
    """Of fer-train: a tiny network on tiny faces, two epochs a stage, a store of its own."""
    return [
        "backbone=timm",
        "recipe.backbone.name=test_resnet",
        "recipe.augment.resize=36",
        "recipe.augment.crop=32",
        "recipe.batch_size=32",
        "recipe.epochs=2",
        "recipe.optimizer.lr=0.02",
        f"runtime.store={store}",
        *(f"runtime.faces.{name}={faces / name}" for name in SPLITS),
    ]


class TinyFaces:
    """One of the two as a release that ``prepare`` reads."""

    def __init__(self, name: str) -> None:
        self.name, self.size, self.sources = name, (SIDES[name], SIDES[name]), [Path(__file__)]

    def settings(self) -> dict[str, Any]:
        return {"ferplus": False}

    def scan(self, advance: object) -> int:
        return sum(SPLITS[self.name].values())

    def faces(self, reader: object) -> Iterator[Face]:
        return tiny_faces(self.name)

    def caveats(self) -> list[str]:
        return ["synthetic"]

    def report(self) -> dict[str, Any]:
        return {}

    def summary(self) -> list[str]:
        return []

    def write_extras(self, folder: Path) -> None:
        """None."""

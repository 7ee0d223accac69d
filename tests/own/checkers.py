"""A third data set, read as somebody outside the package would read it: this reader and two YAML files are all of it.

One ``.npz``: ``pixels`` uint8 [N, 32, 32], ``labels`` int [N] (0..6, canonical), ``splits`` str [N] (train, test).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fer_transfer.detection.reader import FrameReader
from fer_transfer.errors import ReleaseError
from fer_transfer.faces.source import Advance, Face


class Checkers:
    """The release.

    Args:
        path: the ``.npz``.
        name: the word that plans use for the faces.
    """

    size = (32, 32)

    def __init__(self, path: str, name: str) -> None:
        self.path, self.name = Path(path), name

    @property
    def sources(self) -> list[Path]:
        return [self.path]

    def settings(self) -> dict[str, Any]:
        return {}

    def scan(self, advance: Advance) -> int:
        if not self.path.exists():
            raise ReleaseError(f"Expected checkers.npz at {self.path}, but there is nothing. Check release.path.")
        with np.load(self.path) as content:
            self._content = dict(content)
        return len(self._content["labels"])

    def faces(self, reader: FrameReader) -> Iterator[Face]:
        arrays = (self._content[name] for name in ("pixels", "labels", "splits"))
        for i, (pixels, label, split) in enumerate(zip(*arrays, strict=True)):
            yield Face(pixels, f"checkers{i:05}", {"train": "Train", "test": "test"}[str(split)], int(label))

    def caveats(self) -> list[str]:
        return ["synthetic"]

    def report(self) -> dict[str, Any]:
        return {}

    def summary(self) -> list[str]:
        return []

    def write_extras(self, folder: Path) -> None:
        pass

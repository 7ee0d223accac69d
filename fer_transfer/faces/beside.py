"""Faces of two prepared releases beside each other, to look at."""

from pathlib import Path

import numpy as np

from fer_transfer.detection.colour import as_bgr
from fer_transfer.detection.sheet import Picture, fitted, grid, labelled, write
from fer_transfer.faces.faces import TRAINING_SPLITS, Faces


def write_beside(path: Path, small: Faces, faces: Faces) -> None:
    """Write one face of each class that both have from two prepared releases: the small ones enlarged above, the others below.

    The paper's argument for its crop: the box around an aligned EmotiW face frames it as FER-2013 does.
    """
    rows = [_one_each(small), _one_each(faces)]
    both = [(name, rows[0][name], rows[1][name]) for name in rows[1] if name in rows[0]]
    cells = [labelled(np.vstack([as_bgr(fitted(top)), as_bgr(fitted(below))]), name) for name, top, below in both]
    if cells:
        title = ", ".join(dict.fromkeys([*small.caveats, *faces.caveats]))
        write(path, grid(cells, len(cells)), f"{small.name} above, {faces.name} below: {title}")


def _one_each(faces: Faces) -> dict[str, Picture]:
    """The first face found of each class, of those to train on."""
    rows = np.flatnonzero(faces.of_splits(TRAINING_SPLITS) & faces.found)
    first = {int(faces.labels[row]): row for row in rows[::-1]}
    return {name: faces.pixels[first[i]] for i, name in enumerate(faces.classes) if i in first}

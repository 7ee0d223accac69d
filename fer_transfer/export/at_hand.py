"""Faces to check an export on: of the releases that the model was made from, where they are; otherwise drawn ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.colour import picture_of, repeated
from fer_transfer.faces.faces import Faces
from fer_transfer.faces.opening import open_faces
from fer_transfer.labels import EXPRESSIONS, UNLABELLED
from fer_transfer.stages.lineage import FacesUsed, Lineage, StageLineage

_DRAWN, _DRAWN_SIDE = 14, 48


@dataclass(frozen=True, eq=False)
class FacesAtHand:
    """Some faces.

    Attributes:
        said: which they are, for a reader: "64 faces of emotiw/Val".
        pixels: uint8 [N, H, W], or RGB [N, H, W, 3].
        labels: int64 [N], places in the label set; empty of faces that are no release's.
    """

    said: str
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def first(self, count: int) -> "FacesAtHand":
        """So many of them, evenly over all."""
        rows = np.unique(np.linspace(0, len(self.pixels) - 1, min(count, len(self.pixels))).astype(int))
        return FacesAtHand(f"{len(rows)} of {self.said}", self.pixels[rows], self.labels[rows])


@dataclass(frozen=True)
class Parts:
    """Faces of one release for the two things that are done with them.

    Attributes:
        measured: labelled ones that a last stage was selected on, or another labelled split that it was not trained on.
        trained: that it was trained on.
    """

    measured: FacesAtHand
    trained: FacesAtHand


def faces_at_hand(
    lineages: Sequence[Lineage], folders: Mapping[str, Path], at_most: int, colour: bool = False
) -> Parts | None:
    """Faces of the latest stage whose faces lie in one of the folders; None where none do.

    Args:
        lineages: of the networks.
        folders: prepared faces by word, there or not.
        at_most: faces of a split.
        colour: whether they are to be RGB: grey ones are repeated then; else those in colour are passed over.

    Raises:
        FacesError: if a folder that is there is damaged.
    """
    opened = [open_faces(folder) for folder in folders.values() if folder.is_dir()]
    found = {of.digest: of for of in opened if colour or not of.colour}
    for stage in _stages(lineages):
        for used in stage.faces:
            if used.digest in found and (parts := _parts(found[used.digest].few(at_most), used, colour)):
                return parts
    return None


def drawn_faces(colour: bool = False) -> FacesAtHand:
    """Synthetic faces, two of each expression, grey or RGB, where no release is at hand."""
    from fer_transfer.synthetic.camera import Movie, draw_frame, draw_photograph

    rng, side = np.random.default_rng(2015), _DRAWN_SIDE
    labels = np.arange(_DRAWN) % len(EXPRESSIONS)

    def drawn(label: int) -> NDArray[np.uint8]:
        if not colour:
            return draw_photograph(rng, label, side)[0]
        return picture_of(draw_frame(rng, label, Movie.random(rng, "drawn"), (side, side))[0], colour)

    return FacesAtHand(f"{_DRAWN} synthetic faces, drawn for this", np.stack([*map(drawn, labels.tolist())]), labels)


def _stages(lineages: Sequence[Lineage]) -> Iterator[StageLineage]:
    """The last of each network, then those before."""
    longest = max(len(lineage.stages) for lineage in lineages)
    for back in range(1, longest + 1):
        yield from (lineage.stages[-back] for lineage in lineages if back <= len(lineage.stages))


def _others(faces: Faces, trained: Sequence[str]) -> list[str]:
    """The first split with labels that is not trained on."""
    others = [split for split in faces.split_names if split not in trained]
    return [split for split in others if (faces.labels[faces.of_splits([split])] != UNLABELLED).any()][:1]


def _parts(faces: Faces, used: FacesUsed, colour: bool) -> Parts | None:
    measured = used.selected_on or _others(faces, used.trained_on)
    parts = [_of(faces, splits, colour) for splits in (measured, used.trained_on)]
    return Parts(*parts) if all(len(part.pixels) for part in parts) else None


def _of(faces: Faces, splits: Sequence[str], colour: bool) -> FacesAtHand:
    """Found and labelled ones."""
    rows = faces.rows(splits)
    rows = rows[faces.found[rows] & (faces.labels[rows] != UNLABELLED)]
    caveat = f" ({'; '.join(faces.caveats)})" if faces.caveats else ""
    said = f"{len(rows)} faces of {faces.name}/{'+'.join(splits)}{caveat}"
    pixels = np.asarray(faces.pixels[rows])
    return FacesAtHand(said, repeated(pixels) if colour else pixels, faces.labels[rows].astype(np.int64))

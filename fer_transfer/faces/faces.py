"""The prepared format: one folder of uint8 pixels, an index, perhaps votes, and a manifest with a digest.

::

    faces/fer2013/
        pixels.npy      uint8 [N, H, W], grey 0..255, or [N, H, W, 3], RGB; row-major; opened as a memory map
        index.npy       structured [N]: id, split, label, found, duplicate_of; opened as a memory map, for the ids
        votes.npy       uint8 [N, 10], FER+ votes in the order of FERPLUS_COLUMNS (only where they were joined)
        columns.npy     structured [N] (``faces.columns``): the index without ids, in 12 bytes a face, and whose face it is
        geometry.npy    structured [N] (``detection.geometry``): points, blendshapes, pose; only where a landmarker tells them
        manifest.json   counts, settings, versions, caveats, digests, and a digest of itself (``files.document``); the label
                        set (``classes``), where it is another than the seven expressions
        .checked.json   when the arrays were last read and compared with their digests (``files.checked``)

A folder appears under its name only when it is complete: it is written aside and renamed. ``faces.opening`` reads it. What
columns.npy repeats of the index is no part of the digest of the faces, and folders of before it was written are read without it;
geometry.npy is none either: it has a digest of its own in the manifest, which is part of the key of a stage that sees it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.config import nearest
from fer_transfer.detection.geometry import as_numbers
from fer_transfer.errors import FacesError
from fer_transfer.faces.counts import FacesCounts, counts_of
from fer_transfer.faces.division import held_out_rows
from fer_transfer.faces.geometry import FILE as GEOMETRY
from fer_transfer.faces.geometry import open_geometry
from fer_transfer.faces.held_out import held_out_called
from fer_transfer.files.digest import digest
from fer_transfer.labels import EXPRESSIONS

FORMAT_VERSION = 2

#: The arrays, in the order in which the digest of the faces covers them; votes only where they were joined.
PIXELS, INDEX, VOTES = "pixels.npy", "index.npy", "votes.npy"

#: What is read of the index when faces are opened; not covered by their digest, for the index is.
COLUMNS = "columns.npy"

#: What the owners call the split to train on (FER-2013, EmotiW).
TRAINING_SPLITS = ("Training", "Train")

#: Columns of ``votes.npy``: FER+'s own order (Barsoum et al. 2016, fer2013new.csv).
FERPLUS_COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)

#: What ``FacePipeline.settings`` may hold, among the settings of a release.
_PIPELINE = (
    "detector", "landmarker", "crop", "size", "side", "above", "below", "e2e", "sides_from", "border", "stretch",
    "choose", "fit", "smallest_e2e", "without a face", "colour",
)  # fmt: skip


@dataclass(frozen=True)
class Faces:
    """An opened folder of prepared faces. Arrays share the first axis, one entry a face.

    Attributes:
        folder: where it is.
        pixels: uint8 [N, H, W], grey, or [N, H, W, 3], RGB, 0..255, a read-only memory map.
        ids: str [N], unique: a frame's file name, or ``fer0000000`` by row; on disk until used.
        split_names: all splits, in the order of the release, by the owners' names (Training, PublicTest, PrivateTest).
        split_numbers: integer [N], the place of each face's split among them.
        labels: int8 [N], places in ``classes``, or UNLABELLED.
        found: bool [N], false where the face was lost (always true where none was searched).
        duplicate_of: int32 [N], row of the first face with exactly these pixels (its own row if it is the first).
        subject_of: int32 [N], row of the first face of the same subject, whether a person or a movie (its own row where the
            release does not tell); None: of before this was kept.
        votes: uint8 [N, 10] FER+ votes, or None.
        manifest: counts, settings, versions, caveats, digest.
        at_most: faces that ``rows`` gives of a split; None: all.
    """

    folder: Path
    pixels: NDArray[np.uint8]
    ids: NDArray[np.str_]
    split_names: tuple[str, ...]
    split_numbers: NDArray[np.integer]
    labels: NDArray[np.int8]
    found: NDArray[np.bool_]
    duplicate_of: NDArray[np.int32]
    subject_of: NDArray[np.int32] | None
    votes: NDArray[np.uint8] | None
    manifest: dict[str, Any]
    at_most: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def name(self) -> str:
        """The release's name, as plans use it (``fer2013``, ``emotiw``)."""
        return str(self.manifest["name"])

    @property
    def classes(self) -> tuple[str, ...]:
        """The label set, in the order of the labels; where the manifest names none, the seven expressions."""
        return tuple(self.manifest.get("classes", EXPRESSIONS))

    @property
    def digest(self) -> str:
        """SHA-256 of pixels, index and votes, and of the label set where it is not the seven expressions; hexadecimal."""
        return str(self.manifest["digest"])

    @property
    def geometry(self) -> NDArray[np.void] | None:
        """What a landmarker told of each face beside its eyes, ``detection.geometry.GEOMETRY`` [N], a read-only memory map.

        ``faces.geometry["points"]`` is float32 [N, 478, 3], ``["blendshapes"]["jawOpen"]`` float32 [N], ``["pose"]`` float32
        [N, 4, 4]; NaN of a face that was lost. None where no landmarker told any. Opened anew each time that it is asked for.

        Raises:
            FacesError: if it cannot be opened.
        """
        return open_geometry(self.folder, len(self)) if GEOMETRY in self.manifest["files"] else None

    @property
    def geometry_digest(self) -> str:
        """SHA-256 of what a landmarker told of each face; empty where there is none."""
        return str(self.manifest["files"].get(GEOMETRY, ""))

    def seen(self, what: str) -> NDArray[Any]:
        """What a network looks at of each face: ``pixels``, or ``geometry`` as numbers, float32 [N, 1502].

        Raises:
            FacesError: if there is no geometry, or it cannot be opened.
        """
        if what == "pixels":
            return self.pixels
        if (geometry := self.geometry) is None:
            raise FacesError(
                f"Expected points, blendshapes and pose beside the faces in {self.folder}, but there are none. Prepare the "
                "frames with pipeline=mediapipe, or train a network that sees pixels."
            )
        return as_numbers(geometry)

    @property
    def caveats(self) -> list[str]:
        """What must stand wherever a number made from these faces stands ("synthetic", "stand-in ...")."""
        return list(self.manifest["caveats"])

    @property
    def may_be_shown(self) -> bool:
        """Whether its pictures may stand in reports and be sent to trackers (``release.may_be_shown``); older faces: not."""
        return self.manifest.get("may_be_shown") is True

    @property
    def colour(self) -> bool:
        """Whether its pixels are RGB; else they are grey."""
        return self.manifest.get("colour") is True

    @property
    def counts(self) -> FacesCounts:
        """What there is of which split and expression, lost, more than once, and from movies of two splits."""
        return counts_of(self.split_names, self.split_numbers, self.labels, self.found, self.manifest, self.classes)

    @property
    def preparation(self) -> str:
        """How frames were cut, in a few words for tables: "aligned by the eyes (e2e between centres), ..."."""
        settings, colour = self.manifest["settings"], ", in colour" if self.colour else ""
        if "crop" not in settings:
            return "as released"
        kinds = self.manifest["report"].get("kinds", {})
        if set(kinds) == {"bypassed"}:
            return f"faces already, not searched, {settings['size'][0]} px{colour}"
        mixed = f"; {kinds['bypassed']} faces already, not searched" if "bypassed" in kinds else ""
        e2e = f" (e2e between {settings['e2e'].replace('_', ' ')})" if "e2e" in settings else ""
        return (
            f"{settings['crop']}{e2e}, {settings['size'][0]} px{colour}, found by {settings['detector']['name']}{mixed}"
        )

    @property
    def pipeline(self) -> dict[str, Any] | None:
        """How frames became these faces (``FacePipeline.settings``), or None where none were searched."""
        return pipeline_settings(self.manifest["settings"])

    @property
    def splits(self) -> NDArray[np.str_]:
        """The split of each face by name, str [N], made anew."""
        names: NDArray[np.str_] = np.array(self.split_names, np.str_)[self.split_numbers]
        return names

    def of_splits(self, splits: Sequence[str]) -> NDArray[np.bool_]:
        """Whether a face is of one of these splits, bool [N]."""
        chosen: NDArray[np.bool_] = np.isin(self.split_names, list(splits))[self.split_numbers]
        return chosen

    @property
    def evaluation_splits(self) -> list[str]:
        """Splits that are not the release's own training split, in the order of the release."""
        return [split for split in self.split_names if split.lower() not in map(str.lower, TRAINING_SPLITS)]

    @property
    def origin(self) -> str:
        """Digest of how many files of how many bytes these faces were made from: the same for other crops of one release.

        Empty where the manifest does not say.
        """
        sources = [
            [source.get("files"), source.get("bytes")] for source in self.manifest["settings"].get("sources", [])
        ]
        return digest(sources) if sources else ""

    def few(self, at_most: int | None) -> "Faces":
        """The same faces, of which ``rows`` gives at most so many of a split."""
        return replace(self, at_most=at_most)

    @property
    def subjects(self) -> str:
        """Eight digits that tell whose face is whose from any other division; empty where the release does not tell."""
        return str(self.manifest["files"][COLUMNS])[:8] if self.manifest.get("subjects") else ""

    def rows(self, splits: Sequence[str]) -> NDArray[np.int64]:
        """Rows of the given splits, in the order of the release; where there is an ``at_most``, so many of each.

        Args:
            splits: by name; also shares that are held out (``held_out.HeldOut.name``).

        Raises:
            FacesError: if a split is unknown or empty.
        """
        by_split = [self._rows_of(split) for split in dict.fromkeys(splits)]
        if self.at_most is not None:
            by_split = [_spread(of, self.labels[of], self.at_most) for of in by_split]
        return np.sort(np.concatenate([np.arange(0), *by_split]))

    def _rows_of(self, split: str) -> NDArray[np.int64]:
        if split in self.split_names:
            return np.flatnonzero(self.of_splits([split]))
        if (held := held_out_called(split)) is not None and {*held.splits(self.split_names)} <= {*self.split_names}:
            return held_out_rows(self, held)
        present = sorted(self.split_names)
        raise FacesError(
            f"Expected split {split!r} in {self.folder}, but it holds {', '.join(present)}."
            f"{nearest(split, present)} Choose one of these, or prepare the release that has it."
        )


def pipeline_settings(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Of what faces were made with, the part that is the pipeline's own (``FacePipeline.settings``), or None.

    >>> pipeline_settings({"reader": "frames", "detector": {"name": "x"}, "crop": "c", "size": [256, 256]})
    {'detector': {'name': 'x'}, 'crop': 'c', 'size': 256}
    """
    if not {"detector", "crop", "size"} <= set(settings):
        return None
    of_pipeline = {key: value for key, value in settings.items() if key in _PIPELINE}
    return {**of_pipeline, "size": settings["size"][0]}  # of crops that are square; a manifest has height and width


def _spread(rows: NDArray[np.int64], labels: NDArray[np.int8], count: int) -> NDArray[np.int64]:
    """At most so many of the rows: of each label in proportion to its share (to a face), evenly over its rows."""
    by_label = rows[np.argsort(labels, kind="stable")]
    count = min(count, len(rows))
    return by_label[(2 * np.arange(count) + 1) * len(rows) // (2 * count)]

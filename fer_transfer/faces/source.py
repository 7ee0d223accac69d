"""What ``fer-prepare`` asks of a release, and the one record that readers hand over: a face."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.frame_face import FrameFace
from fer_transfer.detection.geometry import Geometry
from fer_transfer.detection.reader import FrameReader
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.files.archive import read_text
from fer_transfer.files.fingerprint import Mark
from fer_transfer.labels import SEVEN, UNLABELLED, LabelSet

#: Side file by which a release that was made, not collected, says so; its JSON tells how it was made.
SYNTHETIC_MARK = "synthetic.json"

#: Caveat of faces from such a release.
SYNTHETIC = "synthetic"

#: Told of progress: work done and work in all, in the same unit.
Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Face:
    """One face as a reader hands it over.

    Attributes:
        pixels: uint8 [H, W], grey, or [H, W, 3], RGB, 0..255; the same for all faces of a release.
        id: unique within the release: the picture's relative POSIX path or name, or ``fer0000000`` by row.
        split: the owners' name (Training, PublicTest, PrivateTest; Train, Val, Test).
        label: place in the release's label set (``label_set_of``), or UNLABELLED.
        found: whether the detector found the face (true where none was needed).
        votes: uint8 [10], FER+ votes in the order of FERPLUS_COLUMNS, or None; for all faces or for none.
        subject: whose face it is: a person, or the movie that a frame is from; empty where the release does not tell.
        geometry: what a landmarker tells of it (``detection.geometry``), or None.
        mark: what was kept of its pixels where they were made, or None.
    """

    pixels: NDArray[np.uint8]
    id: str
    split: str
    label: int = UNLABELLED
    found: bool = True
    votes: NDArray[np.uint8] | None = None
    subject: str = ""
    geometry: Geometry | None = None
    mark: Mark | None = None


class Release(Protocol):
    """A release on disk, ready to be prepared. ``scan`` comes first, then ``faces`` once, then the rest."""

    @property
    def name(self) -> str:
        """The word that plans use: ``fer2013`` or ``emotiw``."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every prepared face, in pixels."""

    @property
    def sources(self) -> list[Path]:
        """Files and folders the faces come from; size and time of change tell whether to prepare again."""

    def settings(self) -> dict[str, Any]:
        """What was chosen, as plain JSON, for the manifest; another choice means preparing again."""

    def scan(self, advance: Advance) -> int:
        """Check the layout before any work and return the number of faces.

        Args:
            advance: called with (bytes done, bytes in all) where this takes more than a moment.

        Raises:
            ReleaseError: if a file is missing, is no such release, or a split is empty.
        """

    def faces(self, reader: FrameReader) -> Iterator[Face]:
        """The faces, in the order of the release.

        Args:
            reader: makes faces of frames, where the release holds frames.

        Raises:
            ReleaseError: naming the file and the row or picture that cannot be read.
        """

    def caveats(self) -> list[str]:
        """What must stand beside every number made from these faces ("synthetic", ...)."""

    def report(self) -> dict[str, Any]:
        """Counts against the stated ones and what else was met, as plain JSON; comes after ``faces``."""

    def summary(self) -> list[str]:
        """The report as lines for the terminal."""

    def write_extras(self, folder: Path) -> None:
        """Write what else belongs to the faces (tables, pictures) into their folder; comes after ``faces``."""


@runtime_checkable
class FramesSource(Release, Protocol):
    """A release of frames, each the source of one face: a part of them can be prepared without the others."""

    def frames(self, reader: FrameReader, rows: range) -> Iterator[FrameFace]:
        """The faces of some of the frames, through the reader, in the order of ``faces``; comes after ``scan``."""


def may_be_shown(release: Release) -> bool:
    """Whether pictures of a release may stand in reports and be sent to trackers: only where it says so itself.

    Raises:
        ConfigError: if what it says is neither true nor false.
    """
    says = getattr(release, "may_be_shown", False)
    if not isinstance(says, bool):
        raise ConfigError(f"Expected release.may_be_shown to be true or false, but got {says!r}.")
    return says


def in_colour(release: Release) -> bool:
    """Whether the faces of a release are RGB: only where it says so itself (``release.colour``); others are grey."""
    return bool(getattr(release, "colour", False))


def face_shape(release: Release) -> tuple[int, ...]:
    """Of the pixels of a face: (height, width), or (height, width, 3) in colour."""
    return (*release.size, 3) if in_colour(release) else release.size


def label_set_of(release: Release) -> LabelSet:
    """The classes of a release's labels: those that it says (``labels``), or the seven expressions."""
    labels = getattr(release, "labels", SEVEN)
    assert isinstance(labels, LabelSet), "a release's labels are a label set"
    return labels


def is_synthetic(path: Path) -> bool:
    """Whether ``synthetic.json`` stands in the release's folder, or beside the release's file.

    Raises:
        ReleaseError: if that file cannot be read or is not JSON.
    """
    mark = (path if path.is_dir() else path.parent) / SYNTHETIC_MARK
    if not mark.exists():
        return False
    try:
        json.loads(read_text(mark))
    except (ValueError, RecursionError) as error:
        if isinstance(error, ReleaseError):
            raise
        raise ReleaseError(f"Expected JSON in {mark}, but got: {error}. Restore it or remove it.") from None
    return True

"""SFEW 2.0, the frames of EmotiW 2015 (Dhall et al. 2011, 2015), in every folder layout it is met in.

Below one folder for each split (``Train``, ``Train_SFEW_2_0``, ``Final_SFEW_2_Train``, ``Val``, ``Test``, ...), itself at
any depth of a folder or archive:

- ``<Class>/Movie_timecode_frame.png``, the class folder once or twice: frames, whose face is to be found;
- ``Train_Aligned_Faces/<Class>/...``: the organisers' aligned faces, used as they are;
- pictures without class folders in ``Test``: labels withheld.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ReleaseError
from fer_transfer.faces.crop import central_square, cut, stretch_range
from fer_transfer.faces.detection import Detector, ViolaJones, largest
from fer_transfer.labels import EXPRESSIONS, UNLABELLED
from fer_transfer.releases.archive import Archive
from fer_transfer.releases.release import SYNTHETIC, SYNTHETIC_MARK, Advance, Face, is_synthetic
from fer_transfer.releases.sfew_layout import SPLITS, Layout, Picture, read_layout

#: SFEW 2.0 (EmotiW 2015) by class, in the canonical order; Test has 372 frames without labels.
PUBLISHED = {"Train": (178, 66, 98, 198, 172, 96, 150), "Val": (77, 23, 47, 73, 73, 57, 86)}
PUBLISHED_TEST = 372


class SFEWRelease:
    """SFEW 2.0, or anything laid out like it, for ``fer-prepare``.

    A frame's face is its largest box, cut square, grey, resized, and stretched to 0..255 (Ng et al. 2015).
    Where no face is found the central square of the frame stands in, and ``found`` is false: the paper trains on 921
    of 958 and validates on 429 of 436 faces, but all 372 of Test must be answered.

    Args:
        path: a folder or an archive.
        detector: finds the faces in frames; Viola-Jones by default.
        size: height and width of a prepared face in pixels.
        aligned: ``true``: the organisers' aligned faces; ``false``: the frames; ``auto``: the frames where they are there.
        stretch: whether each face's darkest and brightest pixel become 0 and 255.
        note: a caveat to stand beside every number made from this release ("stand-in: LFW photographs").
        name: the word that plans use for the faces.
    """

    def __init__(
        self,
        path: str,
        detector: Detector | None = None,
        size: int = 256,
        aligned: bool | str = "auto",
        stretch: bool = True,
        note: str | None = None,
        name: str = "emotiw",
    ) -> None:
        if str(aligned).lower() not in ("true", "false", "auto"):
            raise ReleaseError(f"Expected true, false or auto for release.aligned, but got {aligned!r}.")
        self.name, self.path, self.size = name, Path(path).expanduser(), (size, size)
        self.aligned, self.stretch, self.note = str(aligned).lower(), stretch, note
        self.detector = detector or ViolaJones()
        self._layout: Layout | None = None
        self._lost: list[Picture] = []
        self._synthetic = False

    @property
    def sources(self) -> list[Path]:
        """The folder or archive."""
        return [self.path]

    def settings(self) -> dict[str, Any]:
        """How frames become faces; another choice means preparing again."""
        return {
            "reader": "SFEW",
            "aligned": self.aligned,
            "stretch": self.stretch,
            "note": self.note,
            "without a face": "central square of the shorter side",
            "resize": "area where it shrinks, bilinear where it grows",
            **self.detector.settings(),
        }

    def scan(self, advance: Advance) -> int:
        """Read the layout; pictures are decoded later, but empty ones are met here.

        Raises:
            ReleaseError: if nothing is there, a split is empty, a class folder is none of the seven, or a picture is empty.
        """
        if not self.path.exists():
            raise ReleaseError(
                f"Expected SFEW at {self.path}, but there is nothing. Check release.path; SFEW 2.0 is given out by "
                "the EmotiW organisers on request, and release=synthetic_emotiw needs no data."
            )
        with Archive(self.path) as archive:
            names = archive.names
            self._synthetic = any(PurePosixPath(name).name == SYNTHETIC_MARK for name in names)
            self._layout = read_layout(self.path, names, self.aligned)
            _refuse_empty(archive, self._layout.pictures)
        if self.path.is_dir():
            self._synthetic |= is_synthetic(self.path)
        return len(self._layout.pictures)

    def faces(self) -> Iterator[Face]:
        """The faces in the order of the release: found, cut and resized one at a time.

        Raises:
            ReleaseError: naming a picture that cannot be decoded.
        """
        self._lost = []
        with Archive(self.path) as archive:
            _ = archive.names  # a tar opens only what was walked past
            for picture in self._scanned.pictures:
                grey = decode_grey(archive.read(picture.path), f"{self.path}: {picture.path}")
                pixels, found = self._face(grey)
                if not found:
                    self._lost.append(picture)
                yield Face(pixels, picture.id, picture.split, picture.label, found)

    def _face(self, grey: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], bool]:
        aligned = self._scanned.aligned
        box = None if aligned else largest(self.detector.detect(grey))
        face = cut(grey, box or central_square(grey), self.size[0])
        return (stretch_range(face) if self.stretch else face), aligned or box is not None

    @property
    def _scanned(self) -> Layout:
        assert self._layout is not None, "scan comes first"
        return self._layout

    def caveats(self) -> list[str]:
        """Synthetic; the user's note; other counts than the published ones."""
        found = [SYNTHETIC] if self._synthetic else []
        found += [self.note] if self.note else []
        if not self._synthetic and self._differences():
            found.append("class counts differ from the published SFEW 2.0")
        return found

    def report(self) -> dict[str, Any]:
        """Counts, lost faces by split and class, movies that stand in two splits, differences from the published counts."""
        layout = self._scanned
        return {
            "pictures": "the organisers' aligned faces" if layout.aligned else "frames",
            "both kinds there": layout.both,
            "counts": _count(layout.pictures),
            "lost": _count(self._lost),
            "differences": self._differences(),
            "movies": layout.movies(),
            "movies in two splits": layout.movies_in_two_splits(),
            "ignored": layout.ignored,
        }

    def _differences(self) -> list[str]:
        counts = _count(self._scanned.pictures)
        lines = []
        for split, published in PUBLISHED.items():
            wanted = dict(zip(EXPRESSIONS, published, strict=True))
            here = counts.get(split, {})
            wrong = [f"{name} {here.get(name, 0)} not {n}" for name, n in wanted.items() if here.get(name, 0) != n]
            if wrong:
                lines.append(f"{split}: {', '.join(wrong)}")
        if (test := sum(counts.get("Test", {}).values())) != PUBLISHED_TEST:
            lines.append(f"Test: {test} not {PUBLISHED_TEST}")
        return lines

    def summary(self) -> list[str]:
        """Found of all by split and class, movies in two splits, and differences from the published counts."""
        report, lost = self.report(), _count(self._lost)
        lines = [f"EmotiW (SFEW) from {self.path}: {report['pictures']}" + (", synthetic" if self._synthetic else "")]
        if report["both kinds there"]:
            other = "false for the frames" if self._scanned.aligned else "true for the organisers' aligned faces"
            lines.append(f"frames and aligned faces are both there; release.aligned={other}")
        for split, classes in report["counts"].items():
            gone, count = lost.get(split, {}), sum(classes.values())
            by_class = ", ".join(f"{name} {n}" for name, n in gone.items())
            lines.append(
                f"{split}: found {count - sum(gone.values())} of {count}" + (f" (lost: {by_class})" if gone else "")
            )
        if "Test" not in report["counts"]:
            lines.append("Test: not there, so no submission can be made")
        for pair, movies in report["movies in two splits"].items():
            lines.append(
                f"{pair}: {len(movies)} movies in both ({', '.join(movies[:3])}{', ...' if len(movies) > 3 else ''})"
            )
        if not self._synthetic:
            agree = ["class counts agree with the published SFEW 2.0"]
            lines += [f"published SFEW 2.0 differs, {line}" for line in report["differences"]] or agree
        return lines


def decode_grey(data: bytes, where: str) -> NDArray[np.uint8]:
    """Decode a picture to grey, by one rule for every format: to 8-bit colour, without alpha, then ITU-R 601 weights.

    Args:
        data: the file's bytes (png, jpg, bmp, tif, webp).
        where: for the message.

    Returns:
        uint8 [H, W].

    Raises:
        ReleaseError: if it is no picture, or cut short (OpenCV fills up what is missing and says nothing).
    """
    end = b"IEND" if data.startswith(b"\x89PNG") else b"\xff\xd9" if data.startswith(b"\xff\xd8") else b""
    try:
        whole = bool(data) and end in data[-4096:]
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if whole else None
    except cv2.error:
        picture = None
    if picture is None:
        raise ReleaseError(
            f"Expected a picture, but {where} ({len(data)} bytes) cannot be decoded or is cut short. "
            "Get it again, or remove it from the release."
        )
    grey: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return grey


def _refuse_empty(archive: Archive, pictures: list[Picture]) -> None:
    empty = []
    for picture in pictures:
        with archive.open(picture.path) as member:
            if member.size == 0:
                empty.append(picture.path)
    if empty:
        raise ReleaseError(
            f"Expected pictures in {archive.path}, but {len(empty)} have zero bytes: {', '.join(empty[:3])}"
            f"{', ...' if len(empty) > 3 else ''}. Get them again, or remove them."
        )


def _count(pictures: list[Picture]) -> dict[str, dict[str, int]]:
    """Pictures by split and class, splits and classes without any left out."""
    names = [*EXPRESSIONS, "unlabelled"]  # UNLABELLED is -1, the last
    assert UNLABELLED == -1
    counts = Counter((picture.split, picture.label) for picture in pictures)
    return {
        split: {names[label]: n for label in (*range(len(EXPRESSIONS)), UNLABELLED) if (n := counts[split, label])}
        for split in SPLITS
        if any(key[0] == split for key in counts)
    }

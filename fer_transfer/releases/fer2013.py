"""FER-2013, in every form it is met in.

========  ==============================================================================================================
What      Grey faces of 48x48 pixels from web pictures, cut by a face detector and not aligned; 184 words for feelings,
          joined with words for sex, age and origin, made the queries. The paper's large, low-resolution first stage
Made by   Pierre-Luc Carrier and Aaron Courville; contest subset and seven classes by Mehdi Mirza and Ian Goodfellow
Licence   The contest's rules on Kaggle, which one accepts there; no other licence of the pictures is known
To get    Kaggle: challenges-in-representation-learning-facial-expression-recognition-challenge (registration); not
          downloaded here. md5 of the whole csv: f8428a1edbd21e88f42c73edd2a14f95
Size      35887: Training 28709, PublicTest 3589, PrivateTest 3589 (``STATED_COUNTS`` has them by class)
Classes   0 Angry 4953, 1 Disgust 547, 2 Fear 5121, 3 Happy 8989, 4 Sad 6077, 5 Surprise 4002, 6 Neutral 6198: their
          own order, and this package's
Splits    The contest's: Training; PublicTest, scored while it ran; PrivateTest, scored at its end. The paper's FER28
          trains on Training and selects on PublicTest; FER32 trains on both and selects on PrivateTest
Forms     ``fer2013.csv`` (emotion,pixels,Usage) and ``icml_face_data.csv`` (blanks in the header): all splits, FER+ can
          be joined. Kaggle's ``train.csv`` (Training) and ``test.csv`` (7178 without labels). Pictures in
          ``train/<class>/`` and ``test/<class>/``: splits by file name (``PublicTest_12.jpg``) where these tell;
          otherwise ``test`` is Public and Private merged and keeps that name. Each as a file, folder, .zip or .tar.*
Faults    34034 pictures are distinct; 280 of PublicTest and 288 of PrivateTest also stand in Training
          (``recipe.labelling.drop_leaked``); 57 bear two labels; 12 are of one colour; at least 177 show no face
          (FER+). People are right by these labels in 65 +- 5 %. A score on the merged 7178 is none on PrivateTest
Sources   Goodfellow et al. 2013, arXiv 1307.0414 (making, classes, people's accuracy); Ng et al. 2015 (FER28, FER32);
          duplicates, constant pictures and counts by split: counted in the csv of that md5
========  ==============================================================================================================
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.reader import FrameReader
from fer_transfer.errors import ReleaseError
from fer_transfer.faces.counts import count_by_split
from fer_transfer.faces.source import SYNTHETIC, SYNTHETIC_MARK, Advance, Face, is_synthetic
from fer_transfer.files.archive import Archive, Member, is_archive, open_file, passed_over_lines
from fer_transfer.files.limits import LIMITS, Limits
from fer_transfer.files.names import shown
from fer_transfer.files.picture import PictureError, decode
from fer_transfer.labels import EXPRESSIONS, SEVEN, UNLABELLED, LabelSet
from fer_transfer.releases.ferplus import read_votes
from fer_transfer.releases.pixel_csv import SIDE, USAGES, PixelRows, read_pixel_rows

#: What its owners state: faces by class in FER-2013's order, counted in the csv with md5 f8428a1edbd21e88f42c73edd2a14f95.
STATED_COUNTS = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}

#: What Kaggle's test.csv and merged picture folders call PublicTest and PrivateTest together (7178 faces).
MERGED = "test"

_WHOLE = ("fer2013.csv", "icml_face_data.csv")
_KAGGLE = ("train.csv", "test.csv")
_PICTURES = (".jpg", ".jpeg", ".png")
_FOLDERS = {
    "train": "Training",
    "training": "Training",
    "publictest": "PublicTest",
    "privatetest": "PrivateTest",
    "test": MERGED,
}


@dataclass
class _Content:
    """Everything read from the release: 83 MB for the whole of FER-2013."""

    form: str
    pixels: list[NDArray[np.uint8]] = field(default_factory=list)  # uint8 [n, 48, 48] each
    ids: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    votes: NDArray[np.uint8] | None = None
    moved: int = 0  # pictures in a folder of another split than their name tells
    ignored: int = 0  # pictures that lie elsewhere than in train/<class>/ or test/<class>/
    passed_over: dict[str, str] = field(default_factory=dict)  # what is no regular file, by name

    def add_rows(self, rows: PixelRows, splits: list[str]) -> None:
        self.ids += [f"fer{len(self.ids) + i:07d}" for i in range(len(splits))]
        self.pixels.append(rows.pixels)
        self.splits += splits
        self.labels += rows.labels.tolist()


class FER2013Release:
    """FER-2013 on disk, for ``fer-prepare``.

    Args:
        path: a csv file, a folder, or an archive.
        ferplus: FER+'s ``fer2013new.csv``, or None; only for the csv forms with all rows.
        name: the word that plans use for the faces.
        limits: how much is read at most.
        may_be_shown: whether pictures of its faces may stand in reports and be sent to trackers.
        labels: whose classes the labels are of.
    """

    def __init__(
        self,
        path: str,
        ferplus: str | None = None,
        name: str = "fer2013",
        limits: Limits = LIMITS,
        may_be_shown: bool = True,
        labels: LabelSet = SEVEN,
    ) -> None:
        self.labels = labels
        self._own = [
            *(labels.index(name, "FER-2013") for name in EXPRESSIONS),
            UNLABELLED,
        ]  # UNLABELLED is -1, the last
        self.name, self.size, self.limits, self.may_be_shown = name, (SIDE, SIDE), limits, may_be_shown
        self.path = Path(path).expanduser()
        self.ferplus = None if ferplus is None else Path(ferplus).expanduser()
        self._content: _Content | None = None
        self._synthetic = False

    @property
    def sources(self) -> list[Path]:
        """The release and, where given, FER+'s votes."""
        return [self.path] if self.ferplus is None else [self.path, self.ferplus]

    def settings(self) -> dict[str, Any]:
        """The release read, and whether votes were joined."""
        return {"reader": "FER-2013", "ferplus": self.ferplus is not None}

    def scan(self, advance: Advance) -> int:
        """Read and check everything, so that the first bad row is met before anything is written.

        Raises:
            ReleaseError: naming the file and the row or picture, what was expected there, and what to do.
        """
        if not self.path.exists():
            raise ReleaseError(f"Expected FER-2013 at {self.path}, but there is nothing. Check release.path.")
        self._synthetic = is_synthetic(self.path)
        if self.path.is_dir() or is_archive(self.path):
            with Archive(self.path, self.limits) as archive:
                content = _read_archive(archive, advance)
                content.passed_over = archive.passed_over
                # Also reads a tar to its end, where damage and foreign members may lie.
                self._synthetic |= any(PurePosixPath(n).name == SYNTHETIC_MARK for n in archive.names)
        else:
            with open_file(self.path, self.limits) as member:
                content = _Content(f"{self.path.name}")
                _add_csv(content, member, _split_of_file(self.path.name), advance)
        _check_splits(content, self.path)
        if self.ferplus is not None:
            content.votes = _votes(content, self.ferplus, self.path, self.limits)
        self._content = content
        return len(content.ids)

    def faces(self, reader: FrameReader) -> Iterator[Face]:
        """The faces, in the order of the csv, or of the pictures' names; they are faces already, nothing is searched."""
        content = self._scanned
        pixels = (face for block in content.pixels for face in block)
        for row, face in enumerate(pixels):
            votes = None if content.votes is None else content.votes[row]
            yield Face(face, content.ids[row], content.splits[row], self._own[content.labels[row]], votes=votes)

    def caveats(self) -> list[str]:
        """Synthetic; other counts than the owners state; splits merged."""
        found = [SYNTHETIC] if self._synthetic else []
        if not self._synthetic and self.report()["differences"]:
            found.append("class counts differ from those stated for FER-2013")
        if MERGED in self._scanned.splits:
            found.append("test is PublicTest and PrivateTest merged: not comparable with PrivateTest")
        if lacks := self._lacking():
            found.append(f"no faces of {', '.join(lacks)}")
        return found

    def _lacking(self) -> list[str]:
        """Classes of the label set that it has no face of."""
        return self.labels.beyond(EXPRESSIONS)

    def report(self) -> dict[str, Any]:
        """Form, counts by split and class, where these differ from the stated ones, and stray pictures.

        ``moved`` is the number of pictures in a folder of another split than their file name tells, ``ignored`` of
        those in no split's and class's folder; ``passed over`` names what is no regular file.
        """
        content = self._scanned
        numbers = {split: number for number, split in enumerate(dict.fromkeys(content.splits))}
        splits = np.array([numbers[split] for split in content.splits])
        counts = count_by_split(list(numbers), splits, np.array(content.labels, np.int8), EXPRESSIONS)
        return {
            "form": content.form,
            "counts": counts,
            "stated": {split: dict(zip(EXPRESSIONS, stated_counts(split), strict=True)) for split in counts},
            "differences": [line for split in counts for line in _differences(split, counts[split])],
            "moved": content.moved,
            "ignored": content.ignored,
            "passed over": content.passed_over,
        }

    def write_extras(self, folder: Path) -> None:
        """Nothing belongs to these faces but themselves."""

    def summary(self) -> list[str]:
        """One line for each split: its number of faces, as the owners state it or not."""
        report = self.report()
        lines = [f"FER-2013 from {shown(str(self.path))} ({report['form']})"]
        for split, counts in report["counts"].items():
            title = "test (Public and Private merged)" if split == MERGED else split
            differences = _differences(split, counts)
            verdict = "as its owners state" if not differences else "its owners state " + "; ".join(differences)
            verdict = "synthetic" if self._synthetic else verdict
            by_class = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
            lines.append(f"{title}: {sum(counts.values())} faces ({by_class}); {verdict}")
        if moved := self._scanned.moved:
            lines.append(f"{moved} pictures lie in a folder of another split than their name tells; the name counts")
        if ignored := self._scanned.ignored:
            lines.append(f"{ignored} pictures outside train/<class>/ and test/<class>/ are left out")
        return lines + passed_over_lines(self._scanned.passed_over)

    @property
    def _scanned(self) -> _Content:
        assert self._content is not None, "scan() comes first"
        return self._content


def stated_counts(split: str) -> tuple[int, ...]:
    """Number of faces of each class in a split as the owners state it; those of the merged test are the sums.

    >>> sum(stated_counts("Training")), sum(stated_counts("test"))
    (28709, 7178)
    """
    if split == MERGED:
        return tuple(map(sum, zip(STATED_COUNTS["PublicTest"], STATED_COUNTS["PrivateTest"], strict=True)))
    return STATED_COUNTS[split]


def _differences(split: str, counts: dict[str, int]) -> list[str]:
    total = sum(counts.values())
    stated = stated_counts(split)
    if "unlabelled" in counts:
        return [] if total == sum(stated) else [f"{split} {sum(stated)}, not {total}"]
    expected = zip(EXPRESSIONS, stated, strict=True)
    return [f"{split} {name} {count}, not {counts[name]}" for name, count in expected if counts[name] != count]


def _read_archive(archive: Archive, advance: Advance) -> _Content:
    for filename in _WHOLE:
        if name := archive.first(filename):
            content = _Content(filename)
            with archive.open(name) as member:
                _add_csv(content, member, "Training", advance)
            return content
    kaggle = [name for filename in _KAGGLE if (name := archive.first(filename))]
    if kaggle:
        content = _Content(" and ".join(PurePosixPath(name).name for name in kaggle))
        for name in kaggle:
            with archive.open(name) as member:
                _add_csv(content, member, _split_of_file(PurePosixPath(name).name), advance)
        return content
    return _read_pictures(archive, advance)


def _split_of_file(filename: str) -> str:
    return MERGED if filename == "test.csv" else "Training"


def _add_csv(content: _Content, member: Member, split: str, advance: Advance) -> None:
    rows = read_pixel_rows(member, advance)
    if rows.usages is None and split == "Training" and (rows.labels < 0).all():
        raise ReleaseError(
            f"Expected emotions in {member.where}, but it holds only pixels, as Kaggle's test.csv does. "
            "Give the file that has the column emotion, or name this one test.csv."
        )
    content.add_rows(rows, [split] * len(rows.labels) if rows.usages is None else rows.usages)


def _read_pictures(archive: Archive, advance: Advance) -> _Content:
    names = [name for name in archive.names if name.lower().endswith(_PICTURES)]
    placed = [name for name in names if len(parts := name.split("/")) > 2 and parts[-3].lower() in _FOLDERS]
    if not placed:
        present = archive.names
        raise ReleaseError(
            f"Expected {', '.join(_WHOLE + _KAGGLE)} or pictures in train/<class>/ and test/<class>/ "
            f"in {archive.path}, but got {len(present)} files ({', '.join(map(shown, present[:3])) or 'none'}). "
            "Give FER-2013's file, folder or archive."
        )
    content = _Content("pictures", ignored=len(names) - len(placed))
    total, done = archive.size(placed), 0
    read: dict[str, NDArray[np.uint8]] = {}
    for name in placed:
        SEVEN.index(name.split("/")[-2], f"{archive.path}: {shown(name)}")
        data = archive.read(name)
        read[name] = _decode(data, f"{archive.path}: {shown(name)}")
        done += len(data)
        advance(done, total)
    for name in sorted(read):  # the same order from a folder as from an archive of it
        *_, folder, expression, filename = name.split("/")
        told = next((usage for usage in USAGES if filename.startswith(f"{usage}_")), None)
        content.moved += told is not None and _FOLDERS[folder.lower()] not in (told, MERGED)
        content.ids.append(shown(name))
        content.splits.append(told or _FOLDERS[folder.lower()])
        content.labels.append(SEVEN.index(expression))
        content.pixels.append(read[name][None])
    return content


def _decode(data: bytes, where: str) -> NDArray[np.uint8]:
    """Grey pixels uint8 [48, 48] of an encoded picture."""
    try:
        pixels = cv2.cvtColor(decode(data), cv2.COLOR_BGR2GRAY)
    except PictureError as error:
        raise ReleaseError(
            f"Expected a picture at {where}, but got {len(data)} bytes ({error.reason}). Get the file again."
        ) from None
    if pixels.shape != (SIDE, SIDE):
        raise ReleaseError(
            f"Expected {SIDE}x{SIDE} pixels, as FER-2013 has, in {where}, but got "
            f"{pixels.shape[1]}x{pixels.shape[0]}. Give the original pictures."
        )
    return np.asarray(pixels, np.uint8)


def _check_splits(content: _Content, path: Path) -> None:
    """FER-2013 trains on Training and is scored on others; Kaggle's two files may come alone."""
    counts = Counter(content.splits)
    if content.form in _KAGGLE and not counts.keys() - {"Training", MERGED}:
        return
    missing = [] if counts["Training"] else ["Training"]
    if MERGED not in counts:
        missing += [usage for usage in USAGES[1:] if not counts[usage]]
    if missing:
        present = ", ".join(f"{split} {count}" for split, count in counts.items())
        raise ReleaseError(
            f"Expected faces in every split of {path}, but {', '.join(missing)} is empty (found: {present}). "
            "The release is incomplete: get it again."
        )


def _votes(content: _Content, ferplus: Path, path: Path, limits: Limits) -> NDArray[np.uint8]:
    if content.form == "pictures" or MERGED in content.splits or "PrivateTest" not in content.splits:
        raise ReleaseError(
            f"Expected all rows of fer2013.csv to join FER+ votes to, but {path} holds {content.form}. "
            "Votes join by row number: give fer2013.csv or icml_face_data.csv, or leave release.ferplus out."
        )
    return read_votes(ferplus, content.splits, limits)

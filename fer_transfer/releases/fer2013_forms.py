"""The forms in which FER-2013 is met: its csv, Kaggle's two, or pictures, in a folder or an archive (``releases.fer2013``)."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ReleaseError
from fer_transfer.faces.source import Advance
from fer_transfer.files.archive import Archive, Member
from fer_transfer.files.names import shown
from fer_transfer.files.picture import PictureError, decode
from fer_transfer.labels import SEVEN
from fer_transfer.releases.pixel_csv import SIDE, USAGES, PixelRows, read_pixel_rows

#: What Kaggle's test.csv and merged picture folders call PublicTest and PrivateTest together (7178 faces).
MERGED = "test"

_WHOLE = ("fer2013.csv", "icml_face_data.csv")
KAGGLE = ("train.csv", "test.csv")
_PICTURES = (".jpg", ".jpeg", ".png")
_FOLDERS = {
    "train": "Training",
    "training": "Training",
    "publictest": "PublicTest",
    "privatetest": "PrivateTest",
    "test": MERGED,
}


@dataclass
class Content:
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
        """Add rows of a csv, each of its split."""
        self.ids += [f"fer{len(self.ids) + i:07d}" for i in range(len(splits))]
        self.pixels.append(rows.pixels)
        self.splits += splits
        self.labels += rows.labels.tolist()


def read_archive(archive: Archive, advance: Advance) -> Content:
    """All of a folder or archive: a csv with all rows, Kaggle's two, or pictures.

    Raises:
        ReleaseError: naming what cannot be read.
    """
    for filename in _WHOLE:
        if name := archive.first(filename):
            content = Content(filename)
            with archive.open(name) as member:
                add_csv(content, member, "Training", advance)
            return content
    kaggle = [name for filename in KAGGLE if (name := archive.first(filename))]
    if kaggle:
        content = Content(" and ".join(PurePosixPath(name).name for name in kaggle))
        for name in kaggle:
            with archive.open(name) as member:
                add_csv(content, member, split_of_file(PurePosixPath(name).name), advance)
        return content
    return _read_pictures(archive, advance)


def split_of_file(filename: str) -> str:
    """The split of a csv whose rows tell none."""
    return MERGED if filename == "test.csv" else "Training"


def add_csv(content: Content, member: Member, split: str, advance: Advance) -> None:
    """Add the rows of a csv, of this split where they tell none.

    Raises:
        ReleaseError: naming the first row that cannot be read.
    """
    rows = read_pixel_rows(member, advance)
    if rows.usages is None and split == "Training" and (rows.labels < 0).all():
        raise ReleaseError(
            f"Expected emotions in {member.where}, but it holds only pixels, as Kaggle's test.csv does. "
            "Give the file that has the column emotion, or name this one test.csv."
        )
    content.add_rows(rows, [split] * len(rows.labels) if rows.usages is None else rows.usages)


def _read_pictures(archive: Archive, advance: Advance) -> Content:
    names = [name for name in archive.names if name.lower().endswith(_PICTURES)]
    placed = [name for name in names if len(parts := name.split("/")) > 2 and parts[-3].lower() in _FOLDERS]
    if not placed:
        present = archive.names
        raise ReleaseError(
            f"Expected {', '.join(_WHOLE + KAGGLE)} or pictures in train/<class>/ and test/<class>/ "
            f"in {archive.path}, but got {len(present)} files ({', '.join(map(shown, present[:3])) or 'none'}). "
            "Give FER-2013's file, folder or archive."
        )
    content = Content("pictures", ignored=len(names) - len(placed))
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

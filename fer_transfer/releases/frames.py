"""Any folder or archive of frames: each picture's face is found, aligned and cropped by a pipeline.

========  ==============================================================================================================
What      Whatever pictures you have; one face is taken from each
Made by   You, or whoever gave them to you: say it in ``release.note``, which stands beside every number
Licence   Theirs; prepared faces are copies of the pictures. ``release.may_be_shown=true`` lets reports and trackers have them
To get    From their owners
Size      Any number of pictures of up to 50 megapixels; none is stated, so none is compared
Classes   A folder named after one of the label set labels what lies in it; other pictures are unlabelled
Splits    A folder named after one (Train, Val, Test) gives the split; other pictures get ``release.split``
Forms     .png, .jpg, .bmp, .tif, .webp at any depth of a folder, .zip or .tar.*; ``release.aligned_size`` is the size
          of pictures that are faces already
Faults    Not known beforehand: what is lost, unreadable, doubled or holds several faces is counted and shown
Sources   None
========  ==============================================================================================================
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from sys import intern
from typing import Any

import numpy as np

from fer_transfer.detection.frame_face import UNREADABLE, FrameFace
from fer_transfer.detection.frame_process import FrameJob
from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.detection.reader import FrameReader
from fer_transfer.detection.sheet import Sample, write_sheets
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.faces.source import SYNTHETIC, SYNTHETIC_MARK, Advance, Face, is_synthetic
from fer_transfer.files.archive import Archive, passed_over_lines
from fer_transfer.files.limits import LIMITS, Limits
from fer_transfer.files.names import shown
from fer_transfer.files.packed import Packed
from fer_transfer.files.spreadsheet import escaped
from fer_transfer.labels import NO_LABEL, SEVEN, UNLABELLED, LabelSet
from fer_transfer.releases.sfew_layout import Layout, Picture, read_any_layout

_COLUMNS = (
    "id", "path", "split", "label", "kind", "reason", "score", "faces", "x", "y", "width", "height",
    "right_eye_x", "right_eye_y", "left_eye_x", "left_eye_y",
)  # fmt: skip


class FramesRelease:
    """A folder or archive of frames, for ``fer-prepare``.

    A frame without a face is kept with a stated crop and ``found`` false; training leaves it out
    (``labelling.train_on_lost``), as the paper trains on 921 of 958 and validates on 429 of 436.

    Args:
        path: a folder or an archive.
        pipeline: how frames become faces.
        split: the split of pictures below no folder that names one.
        aligned_size: (height, width) by which a picture is known to be a face already; it is not searched. None: no
            picture is.
        note: a caveat to stand beside every number made from this release.
        name: the word that plans use for the faces.
        limits: how much is read at most, and how long for one frame; what goes beyond is a lost frame.
        may_be_shown: whether pictures of its faces may stand in reports and be sent to trackers.
        labels: whose classes the labels are of.
    """

    def __init__(
        self,
        path: str,
        pipeline: FacePipeline,
        split: str = "Test",
        aligned_size: tuple[int, int] | None = None,
        note: str | None = None,
        name: str = "frames",
        limits: Limits = LIMITS,
        may_be_shown: bool = False,
        labels: LabelSet = SEVEN,
    ) -> None:
        self.name, self.path, self.pipeline = name, Path(path).expanduser(), pipeline
        self.split, self.note, self.limits, self.may_be_shown = split, note, limits, may_be_shown
        self.labels = labels
        self.aligned_size = None if aligned_size is None else _pair_of_sides(aligned_size)
        self._layout: Layout | None = None
        self._told = Packed[FrameFace]()
        self._report: dict[str, Any] | None = None
        self._passed_over: dict[str, str] = {}
        self._synthetic = False

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every prepared face, in pixels."""
        return self.pipeline.size, self.pipeline.size

    @property
    def colour(self) -> bool:
        """Whether the faces keep their colours: the pipeline's choice."""
        return self.pipeline.colour

    @property
    def sources(self) -> list[Path]:
        """The folder or archive."""
        return [self.path]

    def settings(self) -> dict[str, Any]:
        """How frames become faces; another choice means preparing again."""
        return {
            "reader": "frames",
            "split": self.split,
            "aligned_size": self.aligned_size,
            "note": self.note,
            "limits": {"picture_mib": self.limits.picture_mib, "frame_seconds": self.limits.frame_seconds},
            **self.pipeline.settings(),
        }

    def scan(self, advance: Advance) -> int:
        """Read the names; pictures are decoded later.

        Raises:
            ReleaseError: if nothing is there, there are no pictures, or the layout contradicts itself.
        """
        if not self.path.exists():
            raise ReleaseError(
                f"Expected a folder or archive of frames at {self.path}, but there is nothing. Check release.path"
                f"{self._hint()}."
            )
        with Archive(self.path, self.limits) as archive:
            self._passed_over = archive.passed_over
            self._synthetic = any(name.rpartition("/")[2] == SYNTHETIC_MARK for name in archive.names)
            self._layout = self._read_layout(archive)
        if self.path.is_dir():
            self._synthetic |= is_synthetic(self.path)
        return len(self._layout.pictures)

    def _hint(self) -> str:
        return ""

    def _read_layout(self, archive: Archive) -> Layout:
        return read_any_layout(self.path, archive.names, self.split, self.labels)

    def faces(self, reader: FrameReader) -> Iterator[Face]:
        """The faces in the order of the release.

        Raises:
            ReleaseError: if not one picture can be read.
            FacesError: if a process of the reader dies.
        """
        self._told, self._report = Packed(), None
        pictures = self._scanned.pictures
        for picture, face in zip(pictures, self.frames(reader, range(len(pictures))), strict=True):
            self._told.append(_told(face))
            found, movie = face.kind != "lost", picture.movie or ""
            yield Face(
                face.pixels, picture.id, picture.split, picture.label, found, None, movie, face.geometry, face.mark
            )
        self._refuse_unreadable()

    def frames(self, reader: FrameReader, rows: range) -> Iterator[FrameFace]:
        """The faces of some of the pictures, as the pipeline gives them.

        Raises:
            FacesError: if a process of the reader dies.
        """
        jobs = (
            FrameJob(p.path, p.aligned, self.aligned_size, p.box)
            for p in self._scanned.pictures.part(rows.start, rows.stop)
        )
        with Archive(self.path, self.limits) as archive:
            yield from reader.read(
                self.pipeline, jobs, archive.read, self.limits.frame_seconds, load_there=self.path.is_dir()
            )

    def _refuse_unreadable(self) -> None:
        if all(face.reason.startswith(UNREADABLE) for face in self._told):
            first = ", ".join(f"{shown(picture.path)} ({face.reason})" for picture, face in islice(self._faces(), 3))
            raise ReleaseError(
                f"Expected pictures in {self.path}, but none of {len(self._told)} can be read: {first}. Get them again."
            )

    def _faces(self) -> Iterator[tuple[Picture, FrameFace]]:
        """What was read, picture by picture, and what was found in it."""
        return zip(self._scanned.pictures, self._told, strict=False)

    @property
    def _scanned(self) -> Layout:
        assert self._layout is not None, "scan comes first"
        return self._layout

    def caveats(self) -> list[str]:
        """Synthetic; the user's note."""
        return ([SYNTHETIC] if self._synthetic else []) + ([self.note] if self.note else [])

    def report(self) -> dict[str, Any]:
        """Counts, lost faces by split and class, why they were lost, and what else was met."""
        if self._report is None:
            self._report = self._counted()
        return self._report

    def _counted(self) -> dict[str, Any]:
        """The report: of a million pictures it is made once."""
        lost, kinds, several = Counter[tuple[str, int]](), Counter[str](), 0
        reasons: dict[str, list[str]] = {}
        for picture, face in self._faces():
            kinds[face.kind] += 1
            several += face.faces > 1
            if face.kind == "lost":
                lost[picture.split, picture.label] += 1
            if face.reason:
                reasons.setdefault(f"{face.kind}, {face.reason}", []).append(shown(picture.path))
        return {
            "counts": count_pictures(self._scanned.pictures, self.labels.classes),
            "lost": by_split(lost, self.labels.classes),
            "kinds": dict(kinds),
            "reasons": dict(sorted(reasons.items(), key=lambda item: -len(item[1]))),
            "several faces": several,
            "ignored": self._scanned.ignored,
            "passed over": self._passed_over,
        }

    def _other_folders(self) -> Counter[str]:
        """Pictures by the folder they lie in, of splits in which others are labelled and these are not."""
        labelled = {split for split, classes in self.report()["counts"].items() if set(classes) - {NO_LABEL}}
        return Counter(
            PurePosixPath(picture.path).parent.name
            for picture in self._scanned.pictures
            if picture.label == UNLABELLED and picture.split in labelled and "/" in picture.path
        )

    def summary(self) -> list[str]:
        """Found of all by split and class, reasons, and whether faces and frames are mixed."""
        report = self.report()
        lines = [
            f"{len(self._scanned.pictures)} pictures from {shown(str(self.path))}"
            + (", synthetic" if self._synthetic else "")
        ]
        lines += [self._split_line(split, report) for split in report["counts"]]
        for reason, paths in report["reasons"].items():
            lines.append(f"{reason}: {len(paths)} ({', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''})")
        if others := self._other_folders():
            told = ", ".join(f"{shown(folder)} {count}" for folder, count in others.most_common(5))
            lines.append(
                f"without a label, in folders that name no class: {others.total()} ({told}); release=folders refuses these"
            )
        if report["several faces"]:
            hold = "frame holds" if report["several faces"] == 1 else "frames hold"
            lines.append(f"{report['several faces']} {hold} several faces; taken by {self.pipeline.choose}")
        return lines + passed_over_lines(self._passed_over) + self._mixed(report)

    def _split_line(self, split: str, report: dict[str, Any]) -> str:
        """What was found of a split, and what was lost of which class."""
        count, lost = sum(report["counts"][split].values()), self._lost(split, report)
        return f"{split}: found {self._found(split, report)} of {count}" + (f" (lost: {lost})" if lost else "")

    def _found(self, split: str, report: dict[str, Any]) -> int:
        count, lost = (sum(report[what].get(split, {}).values()) for what in ("counts", "lost"))
        return int(count - lost)

    def _lost(self, split: str, report: dict[str, Any]) -> str:
        """Lost of all by class; empty where none is."""
        lost, classes = report["lost"].get(split, {}), report["counts"][split]
        return ", ".join(f"{name} {count} of {classes[name]}" for name, count in lost.items())

    def _mixed(self, report: dict[str, Any]) -> list[str]:
        """That some pictures were taken for faces and others searched; what could not be read is neither."""
        bypassed = report["kinds"].get("bypassed", 0)
        unread = sum(len(of) for reason, of in report["reasons"].items() if reason.startswith(f"lost, {UNREADABLE}"))
        searched = len(self._told) - bypassed - unread
        if not bypassed or not searched:
            return []
        return [
            f"mixed: {bypassed} pictures are taken for faces already (aligned_size={self.aligned_size}) and "
            f"{searched} for frames; a network sees the difference"
        ]

    def write_extras(self, folder: Path) -> None:
        """Write ``frames.csv``, what was found in each picture, and the pictures that show it (``detection.sheet``)."""
        with (folder / "frames.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(_COLUMNS)
            table.writerows(_row(picture, face, self.labels.classes) for picture, face in self._faces())
        with Archive(self.path, self.limits) as archive:
            samples = Packed(
                Sample(picture.path, face, "" if picture.label == UNLABELLED else self.labels.classes[picture.label])
                for picture, face in self._faces()
            )
            write_sheets(folder, samples, self.pipeline, archive.read, self.caveats())


def _pair_of_sides(size: object) -> tuple[int, int]:
    sides = list(size) if isinstance(size, list | tuple) else []
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ConfigError(f"Expected release.aligned_size=[height,width] in pixels, or null, but got {size!r}.")
    return sides[0], sides[1]


def count_pictures(pictures: Iterable[Picture], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """Pictures by split and class, in the order met and that of the classes; what does not occur is left out."""
    return by_split(Counter((picture.split, picture.label) for picture in pictures), classes)


def by_split(counts: Counter[tuple[str, int]], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """What was counted by split and label, by split and the class's name."""
    names = [*classes, NO_LABEL]  # UNLABELLED is -1, the last
    assert UNLABELLED == -1
    return {
        split: {names[label]: n for label in (*range(len(classes)), UNLABELLED) if (n := counts[split, label])}
        for split in dict.fromkeys(split for split, _ in counts)
    }


def _told(face: FrameFace) -> FrameFace:
    """A face without its pixels: all are kept for the report. Those not searched share their zeros."""
    box, eyes = (_NOTHING.box, _NOTHING.eyes) if face.kind == "bypassed" else (face.box, face.eyes)
    return FrameFace(_NOTHING.pixels, intern(face.kind), intern(face.reason), face.score, box, eyes, face.faces)


_NOTHING = FrameFace(np.empty((0, 0), np.uint8), "")


def _numbers(face: FrameFace) -> list[str]:
    return [f"{value:.2f}" for value in (*face.box.tolist(), *face.eyes.ravel().tolist())]


_NOWHERE = _numbers(_NOTHING)


def _row(picture: Picture, face: FrameFace, classes: Sequence[str]) -> list[Any]:
    label = "" if picture.label == UNLABELLED else classes[picture.label]
    numbers = _NOWHERE if face.kind == "bypassed" else _numbers(face)
    told = [face.kind, face.reason, f"{face.score:.9g}", face.faces]
    names = [escaped(shown(text)) for text in (picture.id, picture.path, picture.split, label)]
    return [*names, *told, *numbers]

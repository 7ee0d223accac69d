"""Writes the prepared format (``faces.faces``): aside, and renamed when it is complete."""

import contextlib
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fer_transfer
from fer_transfer.detection.geometry import Geometry
from fer_transfer.errors import FacesError
from fer_transfer.faces.aside import Aside
from fer_transfer.faces.columns import COLUMN_TYPES, index_types
from fer_transfer.faces.counts import count_by_split
from fer_transfer.faces.duplicates import duplicates
from fer_transfer.faces.faces import COLUMNS, FERPLUS_COLUMNS, FORMAT_VERSION, INDEX, PIXELS, VOTES, Faces
from fer_transfer.faces.geometry import FILE as GEOMETRY
from fer_transfer.faces.geometry import GeometryWriter
from fer_transfer.faces.readback import Readback, fingerprints_of, first_same
from fer_transfer.files.digest import digest, file_digest
from fer_transfer.files.document import write_document
from fer_transfer.files.entries import array_header
from fer_transfer.files.fingerprint import Mark, marks
from fer_transfer.files.names import shown
from fer_transfer.files.packed import Packed, distinct
from fer_transfer.labels import EXPRESSIONS, UNLABELLED

if TYPE_CHECKING:
    from fer_transfer.files.digest import Sha256

#: Faces that are added before what was added is read back.
_TOLD = 256

#: Entries of the index that are made at a time.
_PART = 1 << 14


class FacesWriter:
    """Writes a folder of faces aside and renames it when complete; a failure leaves nothing behind.

    Args:
        folder: the folder to make. An older complete one there is replaced.
        name: the release's name, as plans will use it.
        size: (height, width) of every face.
        count: number of faces that will be added.
        pixels: a file that holds the pixels of all of them by the time they have been added (``pixels.npy``), as a journal
            does; it is taken into the folder. None: they are written.
        colour: whether faces are RGB; else grey.

    Attributes:
        digests: SHA-256 of each array, by the name of its file, once all is written.

    >>> import tempfile
    >>> from fer_transfer.faces.opening import open_faces
    >>> with tempfile.TemporaryDirectory() as tmp:
    ...     with FacesWriter(Path(tmp) / "tiny", "tiny", (2, 2), 1) as writer:
    ...         writer.add(np.zeros((2, 2), np.uint8), "a", "Train", 3)
    ...     faces = open_faces(Path(tmp) / "tiny")
    ...     len(faces), faces.manifest["counts"]["Train"]["Happy"]
    (1, 1)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        name: str,
        size: tuple[int, int],
        count: int,
        pixels: Path | None = None,
        colour: bool = False,
    ) -> None:
        self.folder, self.name, self.size, self.count, self._given = Path(folder), name, size, count, pixels
        self.colour = colour
        self.settings: dict[str, Any] = {}
        self.may_be_shown = False
        self.classes: tuple[str, ...] = EXPRESSIONS
        self.caveats: list[str] = []
        self.report: dict[str, Any] = {}
        self.summary: list[str] = []
        self.digests: dict[str, str] = {}
        self._constant = 0
        self._ids, self._splits, self._subjects = Packed[str](), dict[str, int](), dict[str, int]()
        self._columns = np.zeros(count, COLUMN_TYPES)
        self._fingerprints = np.zeros(count, np.uint64)
        self._shape = (count, *size, 3) if colour else (count, *size)
        self._reading: Readback | None = None
        self._votes = bytearray()

    def __enter__(self) -> "FacesWriter":
        try:
            self._aside = Aside(self.folder)
            self.aside = self._aside.path
            self._geometry = GeometryWriter(self.aside / GEOMETRY, self.count)
            self._file = None if self._given else (self.aside / PIXELS).open("wb")
        except OSError as error:
            raise self._disk_error(error) from None
        if self._file is not None:
            self._file.write(array_header(self._shape))  # stays in the buffer
        if self._given is not None:
            self._reading = Readback(self._given, self._shape)
        return self

    def add(
        self,
        pixels: NDArray[np.uint8],
        id: str,
        split: str,
        label: int = UNLABELLED,
        found: bool = True,
        votes: NDArray[np.uint8] | None = None,
        subject: str = "",
        geometry: Geometry | None = None,
        mark: Mark | None = None,
    ) -> None:
        """Append one face: pixels uint8 [H, W] or RGB [H, W, 3], label a place in ``classes`` or UNLABELLED, votes uint8 [10].

        Votes are for all or none. The subject is a person or a movie, or empty where none is known; geometry is what a landmarker
        tells of the face, mark what was kept of its pixels where they were made, which are looked at otherwise.
        """
        if pixels.shape != self._shape[1:] or pixels.dtype != np.uint8:
            raise FacesError(
                f"Expected uint8 {self._shape[1:]} pixels for {id}, but got {pixels.dtype} {pixels.shape}."
            )
        if not UNLABELLED <= label < len(self.classes):
            raise FacesError(f"Expected a label of {UNLABELLED}..{len(self.classes) - 1} for {id}, but got {label}.")
        row = len(self._ids)
        mark = mark or marks(pixels.reshape(1, -1))[0]
        self._ids.append(id)
        if row < self.count:  # one too many is told at the end
            number = self._splits.setdefault(split, len(self._splits))
            same = self._subjects.setdefault(subject, row) if subject else row
            self._columns[row] = number, label, found, row, same
            self._fingerprints[row] = mark.fingerprint
        if self._reading is not None and row % _TOLD == 0:
            self._reading.until(min(row, self.count))
        self._constant += found and mark.constant
        if votes is not None:
            self._votes += votes.tobytes()
        try:
            if self._file is not None:
                self._file.write(pixels.tobytes())
            self._geometry.add(geometry)
        except OSError as error:
            raise self._disk_error(error) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise self._disk_error(failure) from None
        finally:
            self._discard()

    def _discard(self) -> None:
        """Remove what is still aside. Closing flushes, which fails once more on a full disk: there is nothing to keep."""
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()
            self._geometry.close()
        with contextlib.suppress(OSError):
            if self._reading is not None:
                self._reading.end()
        self._aside.discard()

    def _disk_error(self, error: OSError) -> FacesError:
        return FacesError(f"Cannot write faces to {self.folder}: {error}. Free space or choose another folder (out=).")

    def _finish(self) -> None:
        self._refuse_wrong_numbers()
        if self._file is not None:
            self._file.close()
        pixels = self.aside / PIXELS if self._given is None else self._given
        self._reading = self._reading or Readback(pixels, self._shape)
        self._reading.until(self.count)
        read = self._reading.end()
        self._check(pixels, self._reading.fingerprints)
        self._reading = None
        self._columns["duplicate_of"] = first_same(pixels, self._shape, self._fingerprints)
        self._write_index()
        if self._votes:
            np.save(self.aside / VOTES, np.frombuffer(self._votes, np.uint8).reshape(self.count, -1))
        more = [self.aside / name for name in (COLUMNS, *([GEOMETRY] if self._geometry.close() else []))]
        write_document(self.aside / "manifest.json", self._manifest(read, more))
        pixels.replace(self.aside / PIXELS)  # complete from here on: whatever ends this process now, it is published
        self._aside.publish()

    def _refuse_wrong_numbers(self) -> None:
        different = distinct(self._ids)
        if not len(self._ids) == different == self.count:
            raise FacesError(
                f"Expected {self.count} faces with distinct ids for {self.folder}, but got {len(self._ids)} "
                f"({different} distinct)."
            )
        if len(self._votes) not in (0, self.count * len(FERPLUS_COLUMNS)):
            with_votes = len(self._votes) // len(FERPLUS_COLUMNS)
            raise FacesError(f"Expected votes of all faces for {self.folder} or of none, but got {with_votes}.")

    def _write_index(self) -> None:
        """The index, in parts: whole it takes a hundred bytes a face and more; and the columns that are read instead."""
        types = index_types(max(map(len, self._ids)), max(map(len, self._splits)))
        names = np.array(list(self._splits))
        with (self.aside / INDEX).open("wb") as file:
            header = {"descr": np.lib.format.dtype_to_descr(types), "fortran_order": False, "shape": (self.count,)}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, self.count, _PART):
                columns = self._columns[start : start + _PART]
                part = np.zeros(len(columns), types)
                part["id"] = self._ids[start : start + _PART]
                part["split"] = names[columns["split"]]
                for name in ("label", "found", "duplicate_of"):
                    part[name] = columns[name]
                file.write(part.tobytes())
        np.save(self.aside / COLUMNS, self._columns)

    def _manifest(self, pixels: "Sha256", more: Sequence[Path]) -> dict[str, Any]:
        """The digest of the faces leaves out ``more``, files that have digests of their own alone."""
        rest = [self.aside / name for name in (INDEX, *([VOTES] if self._votes else []))]
        alone = {file.name: file_digest([file]) for file in (*rest, *more)}
        self.digests = {PIXELS: pixels.hexdigest(), **alone}
        names, columns = list(self._splits), self._columns
        found = columns[columns["found"]]  # what stands in for lost faces is no duplicate
        lost = columns[~columns["found"]]
        return {
            "format": FORMAT_VERSION,
            "name": self.name,
            "count": self.count,
            "size": list(self.size),
            **({"colour": True} if self.colour else {}),  # grey faces of before there was a choice stay what they are
            **({} if self.classes == EXPRESSIONS else {"classes": list(self.classes)}),
            "splits": names,
            "subjects": len(self._subjects),
            "counts": count_by_split(names, columns["split"], columns["label"], self.classes),
            "lost": count_by_split(names, lost["split"], lost["label"], self.classes),
            "caveats": self.caveats,
            "may_be_shown": self.may_be_shown,
            "settings": self.settings,
            "report": self.report,
            "duplicates": duplicates(names, found["split"], found["label"], found["duplicate_of"], self._constant),
            "summary": self.summary,
            "versions": {"fer_transfer": fer_transfer.__version__, "python": platform.python_version()},
            "digest": self._digest(rest, pixels),
            "files": self.digests,
        }

    def _digest(self, rest: Sequence[Path], pixels: "Sha256") -> str:
        """Of the arrays; labels are numbers, so of another label set than the seven its names count too."""
        own = file_digest(rest, pixels)
        return own if self.classes == EXPRESSIONS else digest([own, list(self.classes)])

    def _check(self, pixels: Path, read: NDArray[np.uint64]) -> None:
        """Whether a file that was given holds what was added: locks that do nothing let two processes write to it."""
        same = read == self._fingerprints
        if self._given is not None:  # what was read may have changed since
            same &= fingerprints_of(pixels, self._shape) == self._fingerprints
        if not same.all():
            first = ", ".join(shown(self._ids[row]) for row in np.flatnonzero(~same)[:3].tolist())
            raise FacesError(
                f"Expected in {pixels} the faces that were written, but {int((~same).sum())} are others, first {first}. "
                "Another process wrote there, or the disk fails. Repeat the command."
            )


def with_permission(faces: Faces, may_be_shown: bool) -> Faces:
    """The faces with the permission to be shown as given; it stands in the manifest only, so the digest of the faces stays.

    Raises:
        FacesError: if it is another than before, and the manifest cannot be written.
    """
    if faces.may_be_shown == may_be_shown:
        return faces
    manifest = faces.manifest | {"may_be_shown": may_be_shown}
    try:
        write_document(faces.folder / "manifest.json", manifest)
    except OSError as error:
        word = "may" if may_be_shown else "may not"
        raise FacesError(
            f"Cannot note in {faces.folder}/manifest.json that pictures of these faces {word} be shown: {error}. "
            f"Make the folder writable, or give release.may_be_shown={str(faces.may_be_shown).lower()}, as it is noted."
        ) from None
    return replace(faces, manifest=manifest)

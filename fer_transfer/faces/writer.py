"""Writes the prepared format (``faces.faces``): aside, and renamed when it is complete."""

import contextlib
import hashlib
import os
import platform
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fer_transfer
from fer_transfer.errors import FacesError
from fer_transfer.faces.aside import Aside
from fer_transfer.faces.counts import count_by_split
from fer_transfer.faces.duplicates import duplicates
from fer_transfer.faces.faces import FORMAT_VERSION, INDEX, PIXELS, VOTES, Faces
from fer_transfer.files.digest import file_digest
from fer_transfer.files.document import write_document
from fer_transfer.files.names import shown
from fer_transfer.labels import EXPRESSIONS, UNLABELLED


class FacesWriter:
    """Writes a folder of faces aside and renames it when complete; a failure leaves nothing behind.

    Args:
        folder: the folder to make. An older complete one there is replaced.
        name: the release's name, as plans will use it.
        size: (height, width) of every face.
        count: number of faces that will be added.
        pixels: a file that holds the pixels of all of them by the time they have been added (``pixels.npy``), as a journal
            does; it is taken into the folder. None: they are written.

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
        self, folder: str | os.PathLike[str], name: str, size: tuple[int, int], count: int, pixels: Path | None = None
    ) -> None:
        self.folder, self.name, self.size, self.count, self._given = Path(folder), name, size, count, pixels
        self.settings: dict[str, Any] = {}
        self.may_be_shown = False
        self.caveats: list[str] = []
        self.report: dict[str, Any] = {}
        self.summary: list[str] = []
        self._constant = 0
        self._rows: list[tuple[str, str, int, bool, int]] = []
        self._votes: list[NDArray[np.uint8]] = []
        self._marks: list[bytes] = []
        self._first: dict[bytes, int] = {}

    def __enter__(self) -> "FacesWriter":
        try:
            self._aside = Aside(self.folder)
            self.aside = self._aside.path
            self._file = None if self._given else (self.aside / PIXELS).open("wb")
        except OSError as error:
            raise self._disk_error(error) from None
        if self._file is not None:
            header = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.size)}
            np.lib.format.write_array_header_1_0(self._file, header)  # stays in the buffer
        return self

    def add(
        self,
        pixels: NDArray[np.uint8],
        id: str,
        split: str,
        label: int = UNLABELLED,
        found: bool = True,
        votes: NDArray[np.uint8] | None = None,
    ) -> None:
        """Append one face: pixels uint8 [H, W], label canonical or UNLABELLED, votes uint8 [10] for all or none."""
        if pixels.shape != self.size or pixels.dtype != np.uint8:
            raise FacesError(f"Expected uint8 {self.size} pixels for {id}, but got {pixels.dtype} {pixels.shape}.")
        if not UNLABELLED <= label < len(EXPRESSIONS):
            raise FacesError(f"Expected a label of {UNLABELLED}..{len(EXPRESSIONS) - 1} for {id}, but got {label}.")
        data = np.ascontiguousarray(pixels).tobytes()
        self._marks.append(_mark(data))
        first = self._first.setdefault(self._marks[-1], len(self._rows))
        self._rows.append((id, split, label, found, first))
        self._constant += int(found and pixels.min() == pixels.max())
        if votes is not None:
            self._votes.append(votes)
        try:
            if self._file is not None:
                self._file.write(data)
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
        self._aside.discard()

    def _disk_error(self, error: OSError) -> FacesError:
        return FacesError(f"Cannot write faces to {self.folder}: {error}. Free space or choose another folder (out=).")

    def _finish(self) -> None:
        ids = [row[0] for row in self._rows]
        if len(ids) != self.count or len(set(ids)) != len(ids):
            raise FacesError(
                f"Expected {self.count} faces with distinct ids for {self.folder}, but got {len(ids)} "
                f"({len(set(ids))} distinct)."
            )
        if len(self._votes) not in (0, self.count):
            raise FacesError(f"Expected votes of all faces for {self.folder} or of none, but got {len(self._votes)}.")
        if self._file is not None:
            self._file.close()
        pixels = self.aside / PIXELS if self._given is None else self._given
        self._check(pixels)
        index = np.array(
            self._rows,
            dtype=[
                ("id", f"U{max(map(len, ids))}"),
                ("split", f"U{max(len(row[1]) for row in self._rows)}"),
                ("label", "i1"),
                ("found", "?"),
                ("duplicate_of", "i4"),
            ],
        )
        np.save(self.aside / INDEX, index)
        files = {PIXELS: pixels, INDEX: self.aside / INDEX}
        if self._votes:
            np.save(self.aside / VOTES, np.stack(self._votes))
            files[VOTES] = self.aside / VOTES
        manifest = {
            "format": FORMAT_VERSION,
            "name": self.name,
            "count": self.count,
            "size": list(self.size),
            "counts": count_by_split(index["split"], index["label"]),
            "lost": count_by_split(index["split"][~index["found"]], index["label"][~index["found"]]),
            "caveats": self.caveats,
            "may_be_shown": self.may_be_shown,
            "settings": self.settings,
            "report": self.report,
            "duplicates": self._duplicates(index[index["found"]]),  # what stands in for lost faces is none
            "summary": self.summary,
            "versions": {"fer_transfer": fer_transfer.__version__, "python": platform.python_version()},
            "digest": file_digest(files.values()),
            "files": {name: file_digest([file]) for name, file in files.items()},
        }
        write_document(self.aside / "manifest.json", manifest)
        pixels.replace(self.aside / PIXELS)  # complete from here on: whatever ends this process now, it is published
        self._aside.publish()

    def _check(self, pixels: Path) -> None:
        """Whether a file that was given holds what was added: locks that do nothing let two processes write to it."""
        if self._given is None:
            return
        try:
            there = [_mark(face.tobytes()) for face in np.load(pixels, mmap_mode="r")]
        except ValueError:  # cut short
            there = []
        if wrong := [row[0] for row, mark, found in zip_longest(self._rows, self._marks, there) if mark != found]:
            raise FacesError(
                f"Expected in {pixels} the faces that were written, but {len(wrong)} are others, first "
                f"{', '.join(map(shown, wrong[:3]))}. Another process wrote there, or the disk fails. Repeat the command."
            )

    def _duplicates(self, index: NDArray[Any]) -> dict[str, Any]:
        return duplicates(index["split"], index["label"], index["duplicate_of"], self._constant)


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


def _mark(pixels: bytes) -> bytes:
    return hashlib.blake2b(pixels, digest_size=16).digest()

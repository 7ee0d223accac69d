"""The prepared format: one folder of uint8 pixels, an index, perhaps votes, and a manifest with a digest.

::

    faces/fer2013/
        pixels.npy      uint8 [N, H, W], grey 0..255, row-major; opened as a memory map
        index.npy       structured [N]: id, split, label, found, duplicate_of
        votes.npy       uint8 [N, 10], FER+ votes in the order of FERPLUS_COLUMNS (only where they were joined)
        manifest.json   counts, settings, versions, caveats, digest

A folder appears under its name only when it is complete: it is written aside and renamed.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fer_transfer
from fer_transfer.errors import FacesError
from fer_transfer.faces.duplicates import duplicates
from fer_transfer.labels import EXPRESSIONS, UNLABELLED

FORMAT_VERSION = 1

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


@dataclass(frozen=True)
class Faces:
    """An opened folder of prepared faces. Arrays share the first axis, one entry a face.

    Attributes:
        folder: where it is.
        pixels: uint8 [N, H, W], grey, 0..255, a read-only memory map.
        ids: str [N], unique: a frame's file name, or ``fer0000000`` by row.
        splits: str [N], the owners' names (Training, PublicTest, PrivateTest; Train, Val, Test).
        labels: int8 [N], canonical expression 0..6, or UNLABELLED.
        found: bool [N], false where the face was lost (always true where none was searched).
        duplicate_of: int32 [N], row of the first face with exactly these pixels (its own row if it is the first).
        votes: uint8 [N, 10] FER+ votes, or None.
        manifest: counts, settings, versions, caveats, digest.
    """

    folder: Path
    pixels: NDArray[np.uint8]
    ids: NDArray[np.str_]
    splits: NDArray[np.str_]
    labels: NDArray[np.int8]
    found: NDArray[np.bool_]
    duplicate_of: NDArray[np.int32]
    votes: NDArray[np.uint8] | None
    manifest: dict[str, Any]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def name(self) -> str:
        """The release's name, as plans use it (``fer2013``, ``emotiw``)."""
        return str(self.manifest["name"])

    @property
    def digest(self) -> str:
        """SHA-256 of pixels, index and votes, hexadecimal."""
        return str(self.manifest["digest"])

    @property
    def caveats(self) -> list[str]:
        """What must stand wherever a number made from these faces stands ("synthetic", "stand-in ...")."""
        return list(self.manifest["caveats"])

    @property
    def preparation(self) -> str:
        """How frames were cut, in a few words for tables: "aligned by the eyes (e2e between centres), ..."."""
        settings = self.manifest["settings"]
        if "crop" not in settings:
            return "as released"
        kinds = self.manifest["report"].get("kinds", {})
        if set(kinds) == {"bypassed"}:
            return f"faces already, not searched, {settings['size'][0]} px"
        mixed = f"; {kinds['bypassed']} faces already, not searched" if "bypassed" in kinds else ""
        e2e = f" (e2e between {settings['e2e'].replace('_', ' ')})" if "e2e" in settings else ""
        return f"{settings['crop']}{e2e}, {settings['size'][0]} px, found by {settings['detector']['name']}{mixed}"

    @property
    def evaluation_splits(self) -> list[str]:
        """Splits that are not the release's own training split, in the order of the release."""
        return [split for split in dict.fromkeys(self.splits.tolist()) if split not in TRAINING_SPLITS]

    def rows(self, splits: Sequence[str]) -> NDArray[np.int64]:
        """Rows of the given splits, in the order of the release.

        Raises:
            FacesError: if a split is unknown or empty.
        """
        present = sorted(set(self.splits.tolist()))
        for split in splits:
            if split not in present:
                raise FacesError(
                    f"Expected split {split!r} in {self.folder}, but it holds {', '.join(present)}. "
                    "Choose one of these, or prepare the release that has it."
                )
        return np.flatnonzero(np.isin(self.splits, list(splits)))


def open_faces(folder: str | os.PathLike[str]) -> Faces:
    """Open prepared faces; takes milliseconds, pixels stay on disk until used.

    Raises:
        FacesError: if the folder is missing, was written by another version, or a file is truncated.
    """
    folder = Path(folder)
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except FileNotFoundError:
        raise FacesError(
            f"Expected prepared faces in {folder}, but there is no manifest.json. "
            "Make them with fer-prepare, or point runtime.faces.<name> to the folder."
        ) from None
    except ValueError as error:
        raise FacesError(f"Expected JSON in {folder / 'manifest.json'}, but got: {error}. Prepare again.") from None
    found = manifest.get("format") if isinstance(manifest, dict) else manifest
    if found != FORMAT_VERSION:
        raise FacesError(f"Expected faces of format {FORMAT_VERSION} in {folder}, but got {found!r}. Prepare again.")
    try:
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        index = np.load(folder / "index.npy")
        votes = np.load(folder / "votes.npy") if (folder / "votes.npy").exists() else None
    except (OSError, ValueError) as error:
        raise FacesError(f"Cannot read the faces in {folder}: {error}. Prepare them again.") from None
    if not len(pixels) == len(index) == manifest["count"]:
        raise FacesError(
            f"Expected {manifest['count']} faces in {folder}, but got {len(pixels)} pictures and {len(index)} "
            "index entries. Prepare them again."
        )
    return Faces(
        folder,
        pixels,
        index["id"],
        index["split"],
        index["label"],
        index["found"],
        index["duplicate_of"],
        votes,
        manifest,
    )


def file_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the bytes of the files, in the order given, hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


class FacesWriter:
    """Writes a folder of faces aside and renames it when complete; a failure leaves nothing behind.

    Args:
        folder: the folder to make. An older complete one there is replaced.
        name: the release's name, as plans will use it.
        size: (height, width) of every face.
        count: number of faces that will be added.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as tmp:
    ...     with FacesWriter(Path(tmp) / "tiny", "tiny", (2, 2), 1) as writer:
    ...         writer.add(np.zeros((2, 2), np.uint8), "a", "Train", 3)
    ...     faces = open_faces(Path(tmp) / "tiny")
    ...     len(faces), faces.manifest["counts"]["Train"]["Happy"]
    (1, 1)
    """

    def __init__(self, folder: str | os.PathLike[str], name: str, size: tuple[int, int], count: int) -> None:
        self.folder, self.name, self.size, self.count = Path(folder), name, size, count
        self.settings: dict[str, Any] = {}
        self.caveats: list[str] = []
        self.report: dict[str, Any] = {}
        self.summary: list[str] = []
        self._constant = 0
        self._rows: list[tuple[str, str, int, bool, int]] = []
        self._votes: list[NDArray[np.uint8]] = []
        self._first: dict[bytes, int] = {}

    def __enter__(self) -> "FacesWriter":
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.aside = Path(tempfile.mkdtemp(prefix=f".{self.folder.name}-", dir=self.folder.parent))
            self._file = (self.aside / "pixels.npy").open("wb")
        except OSError as error:
            raise self._disk_error(error) from None
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
        data = np.ascontiguousarray(pixels).tobytes()
        first = self._first.setdefault(hashlib.blake2b(data, digest_size=16).digest(), len(self._rows))
        self._rows.append((id, split, label, found, first))
        self._constant += int(found and pixels.min() == pixels.max())
        if votes is not None:
            self._votes.append(votes)
        try:
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
            self._file.close()
        shutil.rmtree(self.aside, ignore_errors=True)

    def _disk_error(self, error: OSError) -> FacesError:
        return FacesError(f"Cannot write faces to {self.folder}: {error}. Free space or choose another folder (out=).")

    def _finish(self) -> None:
        ids = [row[0] for row in self._rows]
        if len(ids) != self.count or len(set(ids)) != len(ids):
            raise FacesError(
                f"Expected {self.count} faces with distinct ids for {self.folder}, but got {len(ids)} "
                f"({len(set(ids))} distinct)."
            )
        self._file.close()
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
        np.save(self.aside / "index.npy", index)
        files = [self.aside / "pixels.npy", self.aside / "index.npy"]
        if self._votes:
            np.save(self.aside / "votes.npy", np.stack(self._votes))
            files.append(self.aside / "votes.npy")
        manifest = {
            "format": FORMAT_VERSION,
            "name": self.name,
            "count": self.count,
            "size": list(self.size),
            "counts": count_by_split(index["split"], index["label"]),
            "lost": count_by_split(index["split"][~index["found"]], index["label"][~index["found"]]),
            "caveats": self.caveats,
            "settings": self.settings,
            "report": self.report,
            "duplicates": self._duplicates(index[index["found"]]),  # what stands in for lost faces is none
            "summary": self.summary,
            "versions": {"fer_transfer": fer_transfer.__version__, "python": platform.python_version()},
            "digest": file_digest(files),
        }
        (self.aside / "manifest.json").write_text(json.dumps(manifest, indent=1))
        self._publish()

    def _duplicates(self, index: NDArray[Any]) -> dict[str, Any]:
        return duplicates(index["split"], index["label"], index["duplicate_of"], self._constant)

    def _publish(self) -> None:
        """Move the finished folder to its name; an older one is set aside first, so that neither is ever half there."""
        old = self.aside.with_name(self.aside.name + "-old")
        if self.folder.exists():
            self.folder.rename(old)
        self.aside.chmod(0o755)
        self.aside.rename(self.folder)
        shutil.rmtree(old, ignore_errors=True)


def count_by_split(splits: NDArray[np.str_], labels: NDArray[np.int8]) -> dict[str, dict[str, int]]:
    """Number of faces by split and class name ("unlabelled" for withheld labels); classes without faces are 0.

    >>> count_by_split(np.array(["Val", "Val"]), np.array([3, -1], np.int8))["Val"]["unlabelled"]
    1
    """
    counts: dict[str, dict[str, int]] = {}
    for split in dict.fromkeys(splits.tolist()):
        of_split = labels[splits == split]
        counts[split] = {name: int((of_split == i).sum()) for i, name in enumerate(EXPRESSIONS)}
        if unlabelled := int((of_split == UNLABELLED).sum()):
            counts[split]["unlabelled"] = unlabelled
    return counts

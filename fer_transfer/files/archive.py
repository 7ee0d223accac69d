"""Folders, zip and tar archives behind one interface: names, and a stream for each; nothing is unpacked.

What is read is bounded (``limits``), by what the archive states and by what comes.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from tarfile import TarError
from typing import IO, NoReturn
from zipfile import BadZipFile

from fer_transfer.errors import ReleaseError
from fer_transfer.files.containers import Container, Folder, Zip
from fer_transfer.files.limits import LIMITS, Limits, refuse_beyond
from fer_transfer.files.names import shown
from fer_transfer.files.nearby import near_path
from fer_transfer.files.packed import Packed
from fer_transfer.files.regular import open_regular
from fer_transfer.files.tar import Tar

#: File names that are read as archives.
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")

#: What the standard library raises on damaged, encrypted (RuntimeError) or unsupported archives.
_DAMAGE = (
    OSError, EOFError, RuntimeError, ValueError, ArithmeticError, LookupError, MemoryError,
    struct.error, zlib.error, LZMAError, TarError, BadZipFile,
)  # fmt: skip

#: Files that operating systems leave behind; never part of a release.
_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")

#: Bytes that are read at a time, at most and at least.
_PIECE, _LEAST = 1 << 20, 1 << 12


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive; the content is looked at when it is opened.

    >>> is_archive(Path("fer2013.tar.gz")), is_archive(Path("fer2013.csv"))
    (True, False)
    """
    return path.name.lower().endswith(SUFFIXES)


def pretender(head: bytes) -> str | None:
    """What a file that should be data is instead, judged by its first bytes: a pointer, a web page, nothing.

    >>> pretender(b"version https://git-lfs.github.com/spec/v1")
    'a git-lfs pointer, not the data (run git lfs pull)'
    """
    start = head[:512].lstrip().lower()
    if not start:
        return "an empty file"
    if start.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not the data (run git lfs pull)"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not the data (the download asked for a login)"
    if start.startswith((b"../", b"/annex/", b".git/annex")):
        return "a git-annex pointer, not the data (run git annex get)"
    return None


class Member:
    """A binary stream out of a folder or archive; damage met while reading is a ReleaseError.

    Args:
        stream: from its start.
        where: folder or archive and name, for messages.
        size: bytes in all, unpacked, as the archive states them.
        mib: MiB that may come.
        setting: what raises that bound, for messages.

    Raises:
        TooMuchError: here and while reading, if there is more.
    """

    def __init__(
        self, stream: IO[bytes], where: str, size: int, mib: float = LIMITS.csv_mib, setting: str = "limits.csv_mib"
    ) -> None:
        self._stream, self.where, self.size, self._mib, self._setting = stream, where, size, mib, setting
        self._done = 0
        refuse_beyond(size, mib, where, setting)

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, all by default, empty at the end.

        Raises:
            ReleaseError: if the archive is truncated or damaged here.
        """
        pieces: list[bytes] = []
        # One beyond what is stated: where that is all, the end is met at once.
        most = min(_PIECE, max(self.size, _LEAST) + 1)
        while size and (piece := self._piece(most if size < 0 else min(size, _PIECE))):
            pieces.append(piece)
            size -= len(piece) if size > 0 else 0
        return b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        try:
            piece = self._stream.read(size)
        except _DAMAGE as error:
            _damaged(self.where, error)
        self._done += len(piece)
        refuse_beyond(self._done, self._mib, self.where, self._setting)
        return piece

    def __enter__(self) -> "Member":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


class Archive:
    """A folder or archive of files, opened for reading.

    Opening by name is direct in folders and zips. A compressed tar goes back to its start for a file that
    lies before the last one read, so files are best opened in the order of ``names``.

    Args:
        path: a folder, or a file whose name ends in one of ``SUFFIXES``.
        limits: how much is read of it at most.

    Raises:
        ReleaseError: if it does not exist, is no such archive, or holds a member that would leave it.
        TooMuchError: if it unpacks to more than the limits allow.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as tmp:
    ...     _ = (Path(tmp) / "a.txt").write_text("abc")
    ...     with Archive(Path(tmp)) as archive:
    ...         list(archive.names), archive.read("a.txt")
    (['a.txt'], b'abc')
    """

    def __init__(self, path: Path, limits: Limits = LIMITS) -> None:
        self.path, self.limits = path, limits
        self._names: Packed[str] | None = None
        try:
            self._container = _open(path, limits)
        except _DAMAGE as error:
            _damaged(str(path), error, _head(path))

    @property
    def names(self) -> Packed[str]:
        """Relative POSIX paths of the files: sorted in a folder, as stored in an archive; litter is left out.

        Raises:
            ReleaseError: naming a member with an absolute path, ``..`` or a link that leaves the archive, or
                if the archive is truncated.
        """
        if self._names is None:
            found = self._walk()  # a folder has each name once
            self._names = Packed(found if isinstance(self._container, Folder) else dict.fromkeys(found))
        return self._names

    @property
    def passed_over(self) -> dict[str, str]:
        """What was met that is no file to read (FIFOs, devices, links in an archive, ...): what each is, by name."""
        _ = self.names
        return dict(self._container.passed_over)

    @property
    def folders(self) -> list[str]:
        """Relative POSIX paths of its folders, as far as they are told: an archive need not; litter is left out."""
        _ = self.names
        return [name for name in dict.fromkeys(self._container.folders) if not _is_litter(name)]

    def first(self, filename: str) -> str | None:
        """The first member with this file name, or None; a tar is read no further than to its header."""
        return next((name for name in self._walk() if PurePosixPath(name).name == filename), None)

    def open(self, name: str) -> Member:
        """A stream of one file of ``names``, as long as a csv may be."""
        return self._open(name, self.limits.csv_mib, "limits.csv_mib")

    def size(self, names: Iterable[str]) -> int:
        """Bytes of these files together, unpacked."""
        try:
            return sum(map(self._container.size, names))
        except _DAMAGE as error:
            _damaged(str(self.path), error)

    def read(self, name: str) -> bytes:
        """The content of one file of ``names``, as large as a picture may be."""
        if isinstance(self._container, Folder):
            return self._of_folder(self._container, name)
        with self._open(name, self.limits.picture_mib, "limits.picture_mib") as member:
            return member.read()

    def _of_folder(self, folder: Folder, name: str) -> bytes:
        where = f"{self.path}: {shown(name)}"
        try:
            return folder.read(
                name, lambda size: refuse_beyond(size, self.limits.picture_mib, where, "limits.picture_mib")
            )
        except _DAMAGE as error:
            _damaged(where, error)

    def _open(self, name: str, mib: float, setting: str) -> Member:
        where = f"{self.path}: {shown(name)}"
        try:
            size = self._container.size(name)
            refuse_beyond(size, mib, where, setting)
            return Member(self._container.open(name), where, size, mib, setting)
        except _DAMAGE as error:
            _damaged(where, error)

    def close(self) -> None:
        """Close the file behind it."""
        self._container.close()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _walk(self) -> Iterator[str]:
        try:
            for name in self._container.names():
                if not _is_litter(name):
                    yield name
        except _DAMAGE as error:
            _damaged(str(self.path), error)


def _is_litter(name: str) -> bool:
    parts = name.split("/")
    return parts[-1].startswith("._") or any(part in _LITTER for part in parts)


def _open(path: Path, limits: Limits) -> Container:
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise ReleaseError(
            f"Expected a folder or an archive at {path}, but there is nothing.{near_path(path)} Check the path."
        )
    if not is_archive(path):
        raise ReleaseError(f"Expected a folder or a file ending in {', '.join(SUFFIXES)}, but got {path}.")
    return Zip(path, limits) if path.name.lower().endswith(".zip") else Tar(path, limits)


def _head(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(512)
    except OSError:
        return b"no data"


def _damaged(where: str, error: Exception, head: bytes = b"data") -> NoReturn:
    if isinstance(error, ReleaseError):
        raise error
    what = pretender(head) or f"{type(error).__name__}: {error}"
    raise ReleaseError(f"Expected a readable archive or folder, but {where} is {what}. Get the file again.") from None


def passed_over_lines(passed_over: dict[str, str]) -> list[str]:
    """What ``Archive.passed_over`` holds, as lines for the terminal; none where it is empty.

    >>> passed_over_lines({"Train/x.png": "a FIFO"})
    ['passed over, no regular files: 1 (Train/x.png, a FIFO)']
    """
    if not passed_over:
        return []
    first = "; ".join(f"{shown(name)}, {what}" for name, what in list(passed_over.items())[:3])
    more = "; ..." if len(passed_over) > 3 else ""
    return [f"passed over, no regular files: {len(passed_over)} ({first}{more})"]


def open_file(path: Path, limits: Limits = LIMITS) -> Member:
    """A stream of a csv that lies in no archive.

    Raises:
        ReleaseError: if it does not exist, may not be read, is no regular file, or is larger than a csv may be.
    """
    return _open_file(path, limits.csv_mib, "limits.csv_mib")


def read_text(path: Path, limits: Limits = LIMITS) -> bytes:
    """The content of a text that lies in no archive.

    Raises:
        ReleaseError: as ``open_file``.
    """
    with _open_file(path, limits.text_mib, "limits.text_mib") as member:
        return member.read()


def _open_file(path: Path, mib: float, setting: str) -> Member:
    try:
        size = path.stat().st_size
        refuse_beyond(size, mib, str(path), setting)
        return Member(open_regular(path), str(path), size, mib, setting)
    except OSError as error:
        raise ReleaseError(f"Expected a file at {path}, but got: {error.strerror or error}. Check the path.") from None

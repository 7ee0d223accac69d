"""Folders, zip and tar archives behind one interface: names, and a stream for each; nothing is unpacked."""

import os
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn
from zipfile import BadZipFile, ZipFile

from fer_transfer.errors import ReleaseError

#: File names that are read as archives.
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2")

#: What the standard library raises on damaged, encrypted (RuntimeError) or unsupported archives.
_DAMAGE = (OSError, EOFError, RuntimeError, ValueError, zlib.error, LZMAError, tarfile.TarError, BadZipFile)

#: Files that operating systems leave behind; never part of a release.
_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


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

    Attributes:
        where: folder or archive and name, for messages.
        size: bytes in all, unpacked.
    """

    def __init__(self, stream: IO[bytes], where: str, size: int) -> None:
        self._stream, self.where, self.size = stream, where, size

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, all by default, empty at the end.

        Raises:
            ReleaseError: if the archive is truncated or damaged here.
        """
        try:
            return self._stream.read(size)
        except _DAMAGE as error:
            _damaged(self.where, error)

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

    Raises:
        ReleaseError: if it does not exist, is no such archive, or holds a member that would leave it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as tmp:
    ...     _ = (Path(tmp) / "a.txt").write_text("abc")
    ...     with Archive(Path(tmp)) as archive:
    ...         archive.names, archive.read("a.txt")
    (['a.txt'], b'abc')
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: list[str] | None = None
        try:
            self._backend = _open(path)
        except _DAMAGE as error:
            if isinstance(error, ReleaseError):
                raise
            _damaged(str(path), error, _head(path))

    @property
    def names(self) -> list[str]:
        """Relative POSIX paths of the files: sorted in a folder, as stored in an archive; litter is left out.

        Raises:
            ReleaseError: naming a member with an absolute path, ``..`` or a link that leaves the archive, or
                if the archive is truncated.
        """
        if self._names is None:
            self._names = list(dict.fromkeys(self._walk()))
        return self._names

    def first(self, filename: str) -> str | None:
        """The first member with this file name, or None; a tar is read no further than to its header."""
        return next((name for name in self._walk() if PurePosixPath(name).name == filename), None)

    def open(self, name: str) -> Member:
        """A stream of one file of ``names``."""
        where = f"{self.path}: {name}"
        try:
            return Member(self._backend.open(name), where, self._backend.size(name))
        except (*_DAMAGE, KeyError) as error:
            _damaged(where, error)

    def size(self, names: Iterable[str]) -> int:
        """Bytes of these files together, unpacked."""
        try:
            return sum(map(self._backend.size, names))
        except (*_DAMAGE, KeyError) as error:
            _damaged(str(self.path), error)

    def read(self, name: str) -> bytes:
        """The content of one file of ``names``."""
        with self.open(name) as member:
            return member.read()

    def close(self) -> None:
        """Close the file behind it."""
        self._backend.close()

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _walk(self) -> Iterator[str]:
        try:
            for name in self._backend.names():
                parts = PurePosixPath(name).parts
                if not (parts[-1].startswith("._") or any(part in _LITTER for part in parts)):
                    yield name
        except _DAMAGE as error:
            if isinstance(error, ReleaseError):
                raise
            _damaged(str(self.path), error)


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> Iterator[str]:
        seen: set[str] = set()
        found: list[str] = []
        for folder, folders, files in os.walk(self._path, followlinks=True):
            # Data folders are often links; a link upwards must not be walked for ever.
            if (real := os.path.realpath(folder)) in seen:
                folders.clear()
                continue
            seen.add(real)
            found += [(Path(folder) / file).relative_to(self._path).as_posix() for file in files]
        yield from sorted(found)

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")

    def size(self, name: str) -> int:
        return (self._path / name).stat().st_size

    def close(self) -> None:
        pass


class _Zip:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip = ZipFile(path)

    def names(self) -> Iterator[str]:
        for info in self._zip.infolist():
            _refuse_leaving(self._path, info.filename)
            if stat.S_ISLNK(info.external_attr >> 16):
                _refuse(self._path, info.filename, "a link")
            if not info.is_dir():
                yield info.filename

    def open(self, name: str) -> IO[bytes]:
        return self._zip.open(name)

    def size(self, name: str) -> int:
        return self._zip.getinfo(name).file_size

    def close(self) -> None:
        self._zip.close()


class _Tar:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._tar = tarfile.open(path, "r:*")  # noqa: SIM115 - closed by close()
        # getmember would read the whole archive to find one, so what was walked past is kept.
        self._passed: dict[str, tarfile.TarInfo] = {}

    def names(self) -> Iterator[str]:
        for info in self._tar:
            _refuse_leaving(self._path, info.name)
            if info.issym() or info.islnk():
                start = os.path.dirname(info.name) if info.issym() else ""
                _refuse_leaving(self._path, info.name, os.path.normpath(os.path.join(start, info.linkname)))
            elif info.isfile():
                self._passed[info.name] = info
                yield info.name

    def open(self, name: str) -> IO[bytes]:
        stream = self._tar.extractfile(self._passed[name])
        assert stream is not None, "only regular files are kept"
        return stream

    def size(self, name: str) -> int:
        return self._passed[name].size

    def close(self) -> None:
        self._tar.close()


def _open(path: Path) -> _Folder | _Zip | _Tar:
    if path.is_dir():
        return _Folder(path)
    if not path.exists():
        raise ReleaseError(f"Expected a folder or an archive at {path}, but there is nothing. Check the path.")
    if not is_archive(path):
        raise ReleaseError(f"Expected a folder or a file ending in {', '.join(SUFFIXES)}, but got {path}.")
    return _Zip(path) if path.name.lower().endswith(".zip") else _Tar(path)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)


def _damaged(where: str, error: BaseException, head: bytes = b"data") -> NoReturn:
    what = pretender(head) or f"{type(error).__name__}: {error}"
    raise ReleaseError(f"Expected a readable archive or folder, but {where} is {what}. Get the file again.") from None


def _refuse_leaving(path: Path, name: str, target: str | None = None) -> None:
    place = (name if target is None else target).replace("\\", "/")
    if place.startswith("/") or place[1:2] == ":" or ".." in place.split("/"):
        _refuse(
            path,
            name,
            "outside the archive" if target is None else f"a link to {target}, outside the archive",
        )


def _refuse(path: Path, name: str, what: str) -> NoReturn:
    raise ReleaseError(
        f"Expected only files below {path}, but member {name!r} is {what}. "
        "Do not trust this archive; get it from its owner, or unpack it yourself and give the folder."
    )


def open_file(path: Path) -> Member:
    """A stream of a file that lies in no archive.

    Raises:
        ReleaseError: if it does not exist or may not be read.
    """
    try:
        return Member(path.open("rb"), str(path), path.stat().st_size)
    except OSError as error:
        raise ReleaseError(f"Expected a file at {path}, but got: {error.strerror}. Check the path.") from None

"""What holds files: folders and zips here, tars in ``tar``. Each walks over its names and opens one.

Only regular files are handed out. In a folder that leaves out FIFOs, devices, sockets, and links to these; in an archive
also links, which are no more than names there. Members that would leave the archive are refused, as is an archive that
would unpack to more than the limits allow.
"""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn, Protocol
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from fer_transfer.errors import ReleaseError
from fer_transfer.files.limits import FILE_BYTES, Limits, TooMuchError
from fer_transfer.files.names import shown
from fer_transfer.files.regular import irregular, open_regular


class Container(Protocol):
    """A folder or archive, opened. ``names`` comes before ``open`` and ``size``.

    Attributes:
        passed_over: what was met that is no file to read, by name: "a FIFO", "a link", ...
        folders: relative POSIX paths of the folders that were met; an archive tells of one or not.
    """

    passed_over: dict[str, str]
    folders: list[str]

    def names(self) -> Iterator[str]:
        """Relative POSIX paths of the regular files."""

    def open(self, name: str) -> IO[bytes]:
        """A stream of one of them."""

    def size(self, name: str) -> int:
        """Its bytes, unpacked, as the container states them."""

    def close(self) -> None:
        """Close the file behind it."""


class Folder:
    """A folder on disk; links to folders and regular files are followed."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self.passed_over: dict[str, str] = {}
        self.folders: list[str] = []

    def names(self) -> Iterator[str]:
        """Sorted paths of the regular files, and of links that lead nowhere: those are lost files, not strange ones."""
        seen: set[object] = set()
        open_folders = [
            self._sorted("", seen)
        ]  # of each no more is held than its own names; nested deeper than Python may call
        while open_folders:
            path = next(open_folders[-1], None)
            if path is None:
                open_folders.pop()
            elif path.endswith("/"):
                self.folders.append(path[:-1])
                open_folders.append(self._sorted(path, seen))
            else:
                yield path

    def _sorted(self, below: str, seen: set[object]) -> Iterator[str]:
        """Paths of what lies in a folder, those of folders with a slash: a folder comes where its name and a slash do."""
        path = os.path.join(self._path, below)
        try:
            state = os.stat(path)
        except OSError:
            return iter(())
        # Data folders are often links; a link upwards must not be walked for ever. Some file systems have no numbers.
        if (same := (state.st_dev, state.st_ino) if state.st_ino else os.path.realpath(path)) in seen:
            return iter(())
        seen.add(same)
        return iter(sorted(below + name for name in self._names(below)))

    def _names(self, below: str) -> Iterator[str]:
        """Names in a folder, those of folders with a slash; none of one that cannot be read, as ``os.walk``."""
        try:
            with os.scandir(os.path.join(self._path, below)) as entries:
                for entry in entries:
                    # Of most entries the folder itself tells that they are regular files: nothing more is asked.
                    if _says(entry.is_dir):
                        yield f"{entry.name}/"
                    elif not _says(entry.is_file) and (what := irregular(Path(entry.path))):
                        self.passed_over[below + entry.name] = what
                    else:
                        yield entry.name
        except OSError:
            return

    def open(self, name: str) -> IO[bytes]:
        """See ``Container.open``."""
        return open_regular(os.path.join(self._path, name))

    def read(self, name: str, refuse: Callable[[int], None]) -> bytes:
        """The content of one, in few calls of the system, for small pictures are many; ``refuse`` is told its size first."""
        with open_regular(os.path.join(self._path, name), 0) as file:
            refuse(os.fstat(file.fileno()).st_size)
            return file.read()

    def size(self, name: str) -> int:
        """See ``Container.size``."""
        return os.stat(os.path.join(self._path, name)).st_size

    def close(self) -> None:
        """Nothing is open."""


def _says(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError:  # a link to itself
        return False


class Zip:
    """A zip archive.

    Of the methods of compression only deflate is read (and none): the standard library unpacks the others by the block, and
    a block of a few bytes can hold gigabytes.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._file = open_regular(path)
        self._zip = ZipFile(self._file)
        self._most = limits.unpacked(path.stat().st_size)
        self.passed_over: dict[str, str] = {}
        self.folders: list[str] = []

    def names(self) -> Iterator[str]:
        """See ``Container.names``."""
        total = 0
        for info in self._zip.infolist():
            name = info.filename
            refuse_leaving(self._path, name)
            total += info.file_size + FILE_BYTES
            refuse_total(self._path, name, total, self._most)
            if stat.S_ISLNK(info.external_attr >> 16):
                refuse(self._path, name, "a link")
            if not PurePosixPath(name).name and not name.endswith("/"):
                self.passed_over[name] = "without a name"
            elif name.endswith("/"):
                self.folders.append(str(PurePosixPath(name)))
            else:
                yield name

    def open(self, name: str) -> IO[bytes]:
        """See ``Container.open``."""
        info = self._zip.getinfo(name)
        if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ValueError(f"packed by method {info.compress_type}; only deflate is read: unpack it yourself")
        return self._zip.open(info)

    def size(self, name: str) -> int:
        """See ``Container.size``."""
        return self._zip.getinfo(name).file_size

    def close(self) -> None:
        """See ``Container.close``."""
        self._zip.close()
        self._file.close()


def refuse_leaving(path: Path, name: str, target: str | None = None) -> None:
    """Refuse a member, or what a link points to, outside the archive.

    Raises:
        ReleaseError: naming archive and member.
    """
    place = (name if target is None else target).replace("\\", "/")
    if place.startswith("/") or place[1:2] == ":" or ".." in place.split("/"):
        what = "outside the archive" if target is None else f"a link to {shown(target)}, outside the archive"
        refuse(path, name, what)


def refuse(path: Path, name: str, what: str) -> NoReturn:
    """Refuse an archive for one of its members.

    Raises:
        ReleaseError: naming both, and what the member is.
    """
    raise ReleaseError(
        f"Expected only files below {path}, but member {name!r} is {what}. "
        "Do not trust this archive; get it from its owner, or unpack it yourself and give the folder."
    )


def refuse_total(path: Path, name: str, total: int, most: float) -> None:
    """Refuse an archive whose members, up to this one, hold more bytes than it may unpack to.

    Raises:
        TooMuchError: naming both.
    """
    if total > most:
        raise TooMuchError(f"{path} up to member {name!r}", most, "limits.archive_mib or limits.archive_ratio")

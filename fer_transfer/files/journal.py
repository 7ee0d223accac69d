"""What an interrupted ``fer-prepare`` has done already: its records in order, in the very file that the whole will be."""

import contextlib
import hashlib
import io
import json
import os
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NoReturn

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from fer_transfer.errors import FacesError
from fer_transfer.files.entries import Entries

_TOLD = ".told"


class Journal:
    r"""Records of a name, a line and an entry of an array, kept on disk as they come.

    Three files stand beside each other: ``<path>.npy``, the array, whole once all records are there; ``<path>.told``, the
    settings in its first line and then a line a record; ``<path>.lock``, held by the process at work. Each line carries a
    digest over itself and its entry: a crash at any moment costs the record that was being written, and what is damaged in
    another way, or was written by two processes at once where locks do nothing, is not taken for a record.

    Args:
        path: of the files, without their suffixes; they are made if they are not there, and their folder.
        settings: plain JSON; what was done with other settings is thrown away.
        shape: of the array of uint8; its first number is that of the records to come.

    Attributes:
        array: path of the array.
        entries: its entries, for whoever writes them in their places.

    Raises:
        FacesError: if the files cannot be read or written, or another process is at work on them.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as tmp:
    ...     with Journal(Path(tmp) / "a", {"size": 3}, (2, 3)) as journal:
    ...         journal.put("one", b"first\nabc")
    ...     with Journal(Path(tmp) / "a", {"size": 3}, (2, 3)) as journal:
    ...         journal.get(0, "one"), journal.get(0, "two"), journal.get(1, "two"), len(journal)
    ...     with Journal(Path(tmp) / "a", {"size": 4}, (2, 3)) as journal:
    ...         len(journal)
    (b'first\nabc', None, None, 1)
    0
    """

    def __init__(self, path: Path, settings: Any, shape: tuple[int, ...]) -> None:
        self.path, self.array, self.count = path, _array_of(path), shape[0]
        self.entries = Entries(self.array, shape)
        self._files: list[IO[bytes]] = []
        self._ends = array("Q", [0])
        self._lock = FileLock(f"{path}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(blocking=False)
            self._array, self._told = (self._opened(file) for file in (self.array, _told_of(path)))
            self._read(_line(settings))
        except Timeout:
            raise FacesError(
                f"Another fer-prepare is at work on {path}: wait for it, or choose another folder (out=)."
            ) from None
        except OSError as error:
            self._release()
            self._fail(error)

    def _opened(self, path: Path) -> IO[bytes]:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        self._files.append(file)
        return file

    def _read(self, settings: bytes) -> None:
        """Find where each line ends, as far as there are entries; begin anew after other settings."""
        same = self._told.readline() == settings and self._array.read(len(self.entries.header)) == self.entries.header
        if not same:
            for file, first in ((self._array, self.entries.header), (self._told, settings)):
                file.seek(0)
                file.truncate()
                file.write(first)
                file.flush()
        self._ends = array("Q", [len(settings)])
        self._told.seek(len(settings))
        there = (self._array.seek(0, io.SEEK_END) - len(self.entries.header)) // max(1, self.entries.size)
        for line in self._told:
            if len(self) < min(there, self.count) and line.endswith(b"\n"):
                self._ends.append(self._ends[-1] + len(line))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def get(self, row: int, name: str) -> bytes | None:
        """The record in this place, or None: there is none, it has another name, or it is damaged.

        Returns:
            Its line, a line feed, and its entry.
        """
        found = self.at(row)
        return None if found is None or found[0] != name else found[1]

    def at(self, row: int) -> tuple[str, bytes] | None:
        """Name and record in this place, or None."""
        if row >= len(self):
            return None
        try:
            self._told.seek(self._ends[row])
            entry, line = self.read(row, 1).tobytes(), self._told.readline()
        except OSError as error:
            self._fail(error)
        seal, _, told = line.partition(b" ")
        if seal != _seal(told, entry):
            return None
        name, _, head = told.partition(b"\t")
        return json.loads(name), head + entry

    def put(self, name: str, record: bytes) -> None:
        """Append a record: a line, a line feed, and its entry. A process that is killed after this keeps it."""
        line, _, entry = record.partition(b"\n")
        assert len(entry) == self.entries.size
        try:
            self.entries.write(len(self), np.frombuffer(entry, np.uint8))
        except OSError as error:
            self._fail(error)
        self.add([sealed(name, line, entry)])

    def add(self, records: Sequence[bytes]) -> None:
        """Append records, as ``sealed`` gives them; their entries are in place already (``entries``, from row ``len`` on)."""
        assert len(self) + len(records) <= self.count
        try:
            self._told.seek(self._ends[-1])
            self._told.write(b"".join(records))
            self._told.flush()
        except OSError as error:
            self._fail(error)
        for record in records:
            self._ends.append(self._ends[-1] + len(record))

    def read(self, row: int, count: int) -> NDArray[np.uint8]:
        """Entries, uint8 [count, bytes of one], from this row on; 0 where another process has cut them off."""
        try:
            return self.entries.read(row, count)
        except OSError as error:
            self._fail(error)

    def cut(self, row: int) -> None:
        """Forget the records from this place on."""
        del self._ends[row + 1 :]
        try:
            self._array.truncate(self.entries.place(len(self)))
            self._told.truncate(self._ends[-1])
        except OSError as error:
            self._fail(error)

    def sync(self) -> None:
        """Wait until all records would survive a loss of power."""
        try:
            for file in self._files:
                os.fsync(file.fileno())
        except OSError as error:
            self._fail(error)

    def remove(self) -> None:
        """Delete the files, where they are still there; the whole is finished."""
        remove(self.path)

    def close(self) -> None:
        """Let another process work on; files without a record are deleted."""
        if not len(self):
            self.remove()
        self._release()

    def _release(self) -> None:
        for file in self._files:
            with contextlib.suppress(OSError):  # closing flushes, which fails once more on a full disk
                file.close()
        self._lock.release()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fail(self, error: OSError) -> NoReturn:
        raise failed(self.path, error) from None


def journals(folder: Path) -> list[Path]:
    """Those in a folder, sorted; opened or not."""
    return sorted(path.with_suffix("") for path in folder.glob(f"*{_TOLD}"))


def peek(path: Path) -> tuple[Any, int]:
    """Settings and number of lines of a journal, without waiting for the process at work on it; (None, 0): none is there.

    Raises:
        OSError: if it cannot be read.
    """
    try:
        with _told_of(path).open("rb") as file:
            return json.loads(file.readline()), sum(line.endswith(b"\n") for line in file)
    except (FileNotFoundError, ValueError):
        return None, 0


def remove(path: Path) -> None:
    """Delete the files of a journal, where they are there."""
    for file in (_told_of(path), _array_of(path), Path(f"{path}.lock")):
        with contextlib.suppress(OSError):
            file.unlink()


def _array_of(path: Path) -> Path:
    return path.with_name(path.name + ".npy")


def _told_of(path: Path) -> Path:
    return path.with_name(path.name + _TOLD)


def _line(settings: Any) -> bytes:
    return json.dumps(settings, sort_keys=True).encode() + b"\n"


def sealed(name: str, line: bytes, entry: memoryview | bytes) -> bytes:
    """A record as the journal tells it (``Journal.add``): a line without its line feed, and the digest of it and its entry."""
    told = json.dumps(name).encode() + b"\t" + line + b"\n"
    return _seal(told, entry) + b" " + told


def failed(path: Path, error: OSError) -> FacesError:
    """What is told where a journal cannot be read or written."""
    return FacesError(
        f"Cannot keep what is done in {path}: {error}. What is done is kept. "
        "Free space or choose another folder (out=), and repeat the command."
    )


def _seal(told: bytes, entry: memoryview | bytes) -> bytes:
    """Of the entry a checksum: what comes to it are crashes and disks, and a digest would cost as much as the reading."""
    return hashlib.blake2b(told + zlib.crc32(entry).to_bytes(4, "big"), digest_size=8).hexdigest().encode()

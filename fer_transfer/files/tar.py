"""Tar archives as a ``Container``: headers are bounded as contents are."""

import bz2
import gzip
import lzma
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from fer_transfer.files.containers import refuse, refuse_leaving, refuse_total
from fer_transfer.files.limits import FILE_BYTES, Limits
from fer_transfer.files.regular import open_regular

#: What compressed tars begin with, and what reads them.
_PACKED: tuple[tuple[bytes, Any], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\0", lzma.open),
)

#: Bytes of all headers of one tar member; a path and a few attributes take a few hundred.
_HEADERS = 4 << 20


class Tar:
    """A tar archive, compressed or not: a ``Container``."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._file = open_regular(path)
        self._stream = _Headers(_unpacked(self._file))
        self._tar: tarfile.TarFile = tarfile.open(fileobj=self._stream, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
        # getmember would read the whole archive to find one, so what was walked past is kept.
        self._passed: dict[str, tarfile.TarInfo] = {}
        self._most = limits.unpacked(path.stat().st_size)
        self.passed_over: dict[str, str] = {}
        self.folders: list[str] = []

    def names(self) -> Iterator[str]:
        """See ``Container.names``."""
        total = 0
        self._stream.begin()
        for info in self._tar:
            self._check(info)
            total += info.size + FILE_BYTES
            refuse_total(self._path, info.name, total, self._most)
            if info.isfile() and PurePosixPath(info.name).name:
                self._passed[info.name] = info
                yield info.name
            elif info.isdir():
                self.folders.append(str(PurePosixPath(info.name)))
            else:
                self.passed_over[info.name] = _kind(info)
            self._stream.begin()

    def _check(self, info: tarfile.TarInfo) -> None:
        refuse_leaving(self._path, info.name)
        if info.size < 0:
            refuse(self._path, info.name, "of negative size")
        if info.issym() or info.islnk():
            start = os.path.dirname(info.name) if info.issym() else ""
            refuse_leaving(self._path, info.name, os.path.normpath(os.path.join(start, info.linkname)))

    def open(self, name: str) -> IO[bytes]:
        """See ``Container.open``."""
        self._stream.end()
        stream = self._tar.extractfile(self._info(name))
        assert stream is not None, "only regular files are kept"
        return stream

    def size(self, name: str) -> int:
        """See ``Container.size``."""
        return self._info(name).size

    def _info(self, name: str) -> tarfile.TarInfo:
        """The header of a file; a tar knows those that it was walked past."""
        if name not in self._passed:
            for _ in self.names():
                pass
        return self._passed[name]

    def close(self) -> None:
        """See ``Container.close``."""
        self._tar.close()
        self._stream.close()
        self._file.close()


class _Headers:
    """A tar's bytes, for ``tarfile``, which reads names and attributes of any length whole: here they have a bound."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close
        self.begin()

    def begin(self) -> None:
        """The headers of one member are read next."""
        self._left: float = _HEADERS

    def end(self) -> None:
        """The content of a member is read next; what asks for it bounds it."""
        self._left = float("inf")

    def read(self, size: int) -> bytes:
        """So many bytes."""
        self._left -= size
        if size < 0 or self._left < 0:
            raise tarfile.ReadError(f"a header of more than {_HEADERS >> 20} MiB")
        data: bytes = self._stream.read(size)
        return data


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    start = file.read(8)
    file.seek(0)
    unpacked: IO[bytes] = next((unpack(file) for magic, unpack in _PACKED if start.startswith(magic)), file)
    return unpacked


def _kind(info: tarfile.TarInfo) -> str:
    """What a member is that is neither a folder nor a file with a name."""
    if info.isfile():
        return "without a name"
    if info.issym() or info.islnk():
        return "a link"
    return {tarfile.FIFOTYPE: "a FIFO"}.get(info.type, "a device" if info.isdev() else "of an unknown kind")

"""Digests of large files, computed again only where a file has changed since.

Beside the files stands ``.checked.json``: size, times of change and digest of each as it was last read. Losing it costs a
reading, never truth: a file whose size or times differ is read again, and so is one that changed too shortly before it was
read for its times to tell. The time at which its place in the file system changed counts too: two files that were
exchanged are read again, whatever times they carry.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Any

from fer_transfer.files.digest import file_digest
from fer_transfer.files.document import DocumentError, read_document, write_document

#: The file's name, in the folder of the files that it is about.
CHECKED = ".checked.json"

_RACY = 2 * 10**9  # nanoseconds: file systems keep times to two seconds at worst


def checked_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: if it cannot be read.
    """
    state = _state(path)
    known = _read(path.parent)
    seen = known.get(path.name)
    if isinstance(seen, list) and len(seen) == 4 and seen[:3] == state:
        return str(seen[3])
    digest = file_digest([path])
    settled = time.time_ns() - max(state[1:]) > _RACY
    if settled and _state(path) == state:
        _write(path.parent, known | {path.name: [*state, digest]})
    return digest


def _state(path: Path) -> list[int]:
    """Size, time of the last change of the content, time of the last change of content, name or rights."""
    state = os.stat(path)
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def _read(folder: Path) -> dict[str, Any]:
    try:
        return read_document(folder / CHECKED)
    except (OSError, DocumentError):
        return {}


def _write(folder: Path, known: dict[str, Any]) -> None:
    """A folder that cannot be written to is read again the next time."""
    with contextlib.suppress(OSError):
        write_document(folder / CHECKED, known)

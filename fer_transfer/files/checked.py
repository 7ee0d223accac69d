"""Digests of large files, computed again only where a file has changed since.

Beside the files stands ``.checked.json``: size, time of change and digest of each as it was last read. Losing it costs a
reading, never truth: a file whose size or time differs is read again, and so is one that changed too shortly before it was
read for its time to tell.
"""

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from fer_transfer.files.digest import file_digest

_NAME = ".checked.json"
_RACY = 2 * 10**9  # nanoseconds: file systems keep times to two seconds at worst


def checked_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: if it cannot be read.
    """
    state = os.stat(path)
    known = _read(path.parent)
    seen = known.get(path.name)
    if isinstance(seen, list) and len(seen) == 3 and seen[:2] == [state.st_size, state.st_mtime_ns]:
        return str(seen[2])
    digest = file_digest([path])
    after = os.stat(path)
    settled = time.time_ns() - after.st_mtime_ns > _RACY
    if settled and (after.st_size, after.st_mtime_ns) == (state.st_size, state.st_mtime_ns):
        _write(path.parent, known | {path.name: [state.st_size, state.st_mtime_ns, digest]})
    return digest


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / _NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(folder: Path, known: dict[str, Any]) -> None:
    """Aside and renamed; a folder that cannot be written to is read again the next time."""
    aside = folder / f"{_NAME}.{os.getpid()}"
    with contextlib.suppress(OSError):
        try:
            aside.write_text(json.dumps(known, sort_keys=True), encoding="utf-8")
            aside.replace(folder / _NAME)
        finally:
            aside.unlink(missing_ok=True)

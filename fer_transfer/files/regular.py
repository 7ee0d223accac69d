"""Regular files and nothing else: a FIFO would be waited for, a device may have no end."""

import os
import stat
from pathlib import Path
from typing import IO


def irregular(path: Path) -> str | None:
    """What a file is, links followed, that is no regular file; None of a regular file, and where there is none.

    >>> irregular(Path("/dev/null")), irregular(Path(__file__))
    ('a device', None)
    """
    try:
        return _irregular(path.stat().st_mode)
    except OSError:
        return None


def _irregular(mode: int) -> str | None:
    if stat.S_ISREG(mode):
        return None
    kinds = ((stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"))
    return next((what for is_it, what in kinds if is_it(mode)), "a device")


def open_regular(path: Path | str, buffering: int = -1) -> IO[bytes]:
    """Open a file for reading, if it is a regular one; a FIFO is not waited for.

    Args:
        path: of the file.
        buffering: as for ``open``; 0 for a file that is read at once.

    Raises:
        OSError: if it cannot be opened or is no regular file.
    """
    file = open(path, "rb", buffering, opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    if what := _irregular(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"it is {what}, no regular file")
    return file

"""The folder in which another is made, beside it and under a hidden name; what a killed process left of one is removed.

A lock file stands beside it for as long as its process lives, whichever way that ends.
"""

import contextlib
import glob
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout


class Aside:
    """A new folder ``.<name>-<8 digits>`` beside the one that it will become.

    Args:
        folder: the folder to make, there or not; its parent is made.

    Attributes:
        path: where to write.

    Raises:
        OSError: if it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
        self._lock = FileLock(_lock_of(self.path))
        self._lock.acquire()  # before the folder is there, so that it never is without an owner
        try:
            self.path.mkdir(mode=0o700)
        except OSError:
            self.discard()
            raise

    def publish(self) -> None:
        """Give the folder its name; an older one is set aside first, so that neither is ever half there.

        Raises:
            OSError: if it cannot be renamed; the older one is there then.
        """
        _publish(self.path, self.folder)

    def discard(self) -> None:
        """Remove what is still aside: all of it after a failure."""
        _remove(self.path)
        self._lock.release()


def remove_ownerless(folder: Path, complete: Sequence[str] = ()) -> None:
    """Remove what processes that are no more were making of a folder.

    What they had completed is published, and a folder that one was replacing is put back otherwise.

    Args:
        folder: the folder that they were making.
        complete: the names that a complete one holds at least; without any, none is taken for complete.
    """
    for lock in folder.parent.glob(f".{glob.escape(folder.name)}-{'[0-9a-f]' * 8}.lock"):
        with contextlib.suppress(Timeout, OSError), FileLock(lock).acquire(blocking=False):
            path = lock.with_suffix("")
            if complete and all((path / name).exists() for name in complete):
                _publish(path, folder)
            _restore(path, folder)
            _remove(path)


def _publish(path: Path, folder: Path) -> None:
    path.chmod(0o755)
    if folder.exists():
        folder.rename(_old_of(path))
    try:
        path.rename(folder)
    finally:
        _restore(path, folder)


def _restore(path: Path, folder: Path) -> None:
    """Where no new folder took the place of the older one, put that back."""
    if not folder.exists() and _old_of(path).exists():
        _old_of(path).rename(folder)


def _remove(path: Path) -> None:
    for leftover in (path, _old_of(path)):
        shutil.rmtree(leftover, ignore_errors=True)
    with contextlib.suppress(OSError):
        _lock_of(path).unlink()


def _old_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-old")


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")

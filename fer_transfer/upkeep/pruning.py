"""What a store can do without: what no row and no work refers to, and what dead jobs left."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from fer_transfer.errors import StoreError
from fer_transfer.faces.aside import Aside, remove_ownerless
from fer_transfer.files.checked import CHECKED
from fer_transfer.stages.store import Store
from fer_transfer.stages.work import Work, unfinished
from fer_transfer.upkeep.contents import Contents, is_key, keys_of, listed, size_of
from fer_transfer.upkeep.verifying import half_written
from fer_transfer.upkeep.works import failures, key_of, needed_by

#: Names in ``.work`` under which fer-store copies and deletes, each in a folder of its own (``faces.aside``).
ASIDE = ("merge", "going")


class Needless(NamedTuple):
    """Something that can go: its path, why, its bytes, and the key of the stage whose lock must be free, or None."""

    path: Path
    why: str
    size: int
    key: str | None = None


def needless(held: Contents, hours: float) -> list[Needless]:
    """What nothing refers to.

    Args:
        held: what there is.
        hours: what was written within so many is kept: a sweep that runs may be about to need it.

    Raises:
        StoreError: if a record cannot be read: what it refers to is then not known.
    """
    damaged = [path for path in held.broken if path.parent == held.store.submissions]
    if damaged:
        raise StoreError(
            f"Expected to read every row of {held.root} before anything is deleted, but cannot read {damaged[0]} "
            f"({len(damaged)} in all): what it refers to is not known. fer-store verify says what to do."
        )
    found = [*_stages(held), *_work(held), *_leftovers(held)]
    return [one for one in found if _age(one.path) >= 3600 * hours or one.path.name == CHECKED]


def _stages(held: Contents) -> Iterator[Needless]:
    needed = _needed(held)
    for folder in [held.store.stage(key).path for key in held.stages] + [
        path for path in held.broken if is_key(path.name)
    ]:
        if folder.name not in needed:
            yield Needless(folder, "no row refers to it", size_of(folder), folder.name)
    for path in held.aside:
        yield Needless(path, "damaged, and set aside", size_of(path))


def _needed(held: Contents) -> set[str]:
    """Keys of stages that a row was made by way of, or that unfinished work needs, with all before them and their teachers."""
    needed = {key for record in held.records.values() for key in keys_of(record)}
    lineages = [record.lineage for record in held.records.values()]
    named = {key for work in unfinished(held.store) for key in needed_by(work)}
    lineages += [held.stages[key].lineage for key in named & held.stages.keys()]
    return needed | {stage.key for lineage in lineages for stage in lineage.everything()}


def _work(held: Contents) -> Iterator[Needless]:
    """Never of a job that lives; of one on another host only where the stage is finished."""
    for work in unfinished(held.store):
        finished = key_of(work) in held.stages
        if work.is_living is False or (work.is_living is None and finished):
            yield Needless(work.folder.path, _why_work(work, finished), size_of(work.folder.path), key_of(work))
    for lock in (path for what in ASIDE for path in held.store.work.glob(f".{what}-*.lock")):
        if _is_free(lock):
            yield Needless(lock.with_suffix(""), "a killed fer-store left it", size_of(lock.with_suffix("")))
    for path in failures(held.store):
        if path.name.partition(".")[0] in held.stages:
            yield Needless(path, "the stage is finished", size_of(path))


def _why_work(work: Work, finished: bool) -> str:
    if finished:
        return "unfinished work of a stage that is finished"
    saved = work.folder.checkpoint.exists()
    return f"unfinished work of a job that is dead{'; fer-train would resume from it' if saved else ''}"


def _leftovers(held: Contents) -> Iterator[Needless]:
    for path in half_written(held):
        yield Needless(path, "half-written by a killed process", size_of(path))
    for kept in held.stages.values():
        if (cache := kept.folder.path / CHECKED).exists():
            yield Needless(cache, "remembers digests, which are then computed again", size_of(cache))
    for folder in (held.root, held.store.work):
        for path in listed(folder):
            if path.suffix == ".lock" and path.stem in held.stages:
                yield Needless(path, "lock of a stage that is finished", size_of(path), path.stem)


def _age(path: Path) -> float:
    """Seconds since the newest change in a folder, or of a file; of what is gone, none."""
    try:
        newest = max(of.lstat().st_mtime for of in (path, *(path.rglob("*") if path.is_dir() else ())))
    except OSError:
        return 0.0
    return float(time.time() - newest)


def delete(store: Store, found: list[Needless]) -> list[Needless]:
    """Delete what can go, and return what could not: somebody holds the stage's lock.

    A folder is renamed out of the store's way first, so that half of it is never taken for a stage.

    Raises:
        StoreError: if the store cannot be written.
    """
    held = []
    for one in found:
        try:
            with _free(store, one.key):
                _delete(store, one.path)
        except Timeout:
            held.append(one)
        except OSError as error:
            raise StoreError(f"Cannot delete {one.path}: {error.strerror}. What came before it is deleted.") from None
    return held


@contextlib.contextmanager
def _free(store: Store, key: str | None) -> Iterator[None]:
    """Hold the locks of a stage, those of former versions too."""
    with contextlib.ExitStack() as stack:
        if key is not None:
            old = store.root / f"{key}.lock"
            if old.exists():
                stack.enter_context(FileLock(old).acquire(blocking=False))
            stack.enter_context(store.lock(key).acquire(blocking=False))
        yield


def _delete(store: Store, path: Path) -> None:
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
    elif path.name.startswith("."):  # what a killed fer-store left; its lock is looked at again
        for what in ASIDE:
            remove_ownerless(store.work / what)
    else:
        going = Aside(store.work / "going")
        try:
            path.rename(going.path / path.name)
        finally:
            going.discard()


def _is_free(lock: Path) -> bool:
    try:
        with FileLock(lock).acquire(blocking=False):
            return True
    except (Timeout, OSError):
        return False

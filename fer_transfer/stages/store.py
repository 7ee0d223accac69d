"""The store: one folder per finished stage, found by key.

::

    store/<key>/               a finished stage, renamed to here in one step
        recipe.json            everything the stage was trained with, and what it started from
        metrics.csv            one row an epoch, written while it trains
        log.txt                what it said while it trained
        weights.safetensors    the network's own names; loads with safetensors and timm alone
        temperature.json       by which its probabilities are calibrated (``stages.calibrated``)
        predictions/           one CSV per release and split, each with a JSON that says of what it is, and its digest
        result.json            digests of the others
    store/store.json           the version of all this, and whether it was written without weights; a store of before there was
                               one has none
    store/submissions/         one JSON per finished plan, network and evaluation (``stages.record``)
    store/.work/               stages that are not finished (``stages.work``)
        <key>.*/               the folder of the job that trains it: the same files, progress.json, and last.ckpt to resume
        <key>.lock             held by that job
        <key>.failed.json      why it failed, if it did
"""

import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from fer_transfer.errors import StoreError
from fer_transfer.files.checked import checked_digest
from fer_transfer.files.document import DocumentError, read_document, without_digest, write_document

#: Of how a store is laid out; raised when an older version of this package could not use it. The keys have one of their own.
LAYOUT_VERSION = 1


class DamagedStageError(StoreError):
    """A finished stage whose files are not those that it wrote."""


def write_to_store(path: Path, content: Mapping[str, Any], what: str = "") -> None:
    """Write a document (``files.document``) into the store.

    Args:
        path: of the file.
        content: plain data.
        what: it is, for the message.

    Raises:
        StoreError: if it cannot be written, the disk being full for instance.
    """
    try:
        write_document(path, content)
    except OSError as error:
        raise cannot_write(what or str(path), error) from None


def cannot_write(what: str, error: OSError) -> StoreError:
    """An error that says what could not be written into the store, and what to do."""
    return StoreError(
        f"Cannot write {what}: {error}. Free space, make the store writable or choose another runtime.store; the same command "
        "then goes on from what is there."
    )


def check_version(root: Path) -> Mapping[str, Any]:
    """Refuse a store that a newer version of this package has made.

    Returns:
        What ``store.json`` says; nothing where there is none.

    Raises:
        StoreError: if it is one, or its ``store.json`` is damaged.
    """
    path = root / "store.json"
    try:
        content = read_document(path)
    except FileNotFoundError:
        return {}
    except DocumentError as error:
        content, wrong = without_digest(path), str(error)
    else:
        wrong = "it is another document"  # two files that changed places
    if "version" not in content:
        raise StoreError(
            f"Expected the version of the store in {path}, but {wrong}. Delete the file if no other is damaged."
        )
    version = content["version"]
    if not isinstance(version, int) or version > LAYOUT_VERSION:
        raise StoreError(
            f"Expected a store of version {LAYOUT_VERSION} at most in {root}, but got {version!r}: a newer version of "
            "fer_transfer made it. Use that one, or another store."
        )
    return content


@dataclass(frozen=True)
class StageFolder:
    """The folder of one key, finished or not."""

    path: Path

    @property
    def weights(self) -> Path:
        """The finished weights."""
        return self.path / "weights.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Lightning's checkpoint, for resuming only."""
        return self.path / "last.ckpt"

    @property
    def log(self) -> Path:
        """What was said while it trained."""
        return self.path / "log.txt"

    @property
    def progress(self) -> Path:
        """How far it is, while it trains (``stages.progress``)."""
        return self.path / "progress.json"

    @property
    def metrics(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    def result(self) -> dict[str, Any] | None:
        """The result if the stage is finished.

        Raises:
            DamagedStageError: if it is finished but damaged, or another stage's.
        """
        path = self.path / "result.json"
        try:
            result = read_document(path)
        except FileNotFoundError:
            return None
        except DocumentError as error:
            raise self._damaged(f"In {path}: {error}.") from None
        key = self.path.name.partition(".")[0]  # of work, what follows says whose it is
        if result.get("key") != key:
            raise self._damaged(f"Expected the result of stage {key} in {path}, but it is of {result.get('key')!r}.")
        return result

    def is_finished(self) -> bool:
        """Whether the stage is finished and its files are the ones it wrote; reads those that changed since they were read.

        Raises:
            DamagedStageError: if it is finished but damaged.
        """
        result = self.result()
        if result is None:
            return False
        for name, expected in result["files"].items():
            path = self.path / name
            try:
                found = checked_digest(path)
            except OSError as error:
                raise self._damaged(f"Expected {path}, but got: {error.strerror}.") from None
            if found != expected:
                raise self._damaged(f"Expected in {path} the bytes of digest {expected[:12]}, but got {found[:12]}.")
        return True

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write ``result.json``, with the digests of the files that belong to it.

        Raises:
            OSError: if it cannot be written.
        """
        files = (self.weights, self.path / "recipe.json", self.metrics)
        write_document(self.path / "result.json", {**result, "files": {f.name: checked_digest(f) for f in files}})

    def drop_leftovers(self) -> None:
        """Remove what was for resuming and watching."""
        for leftover in ("last.ckpt", ".last.ckpt", "last.ckpt.damaged", "progress.json"):
            (self.path / leftover).unlink(missing_ok=True)

    def set_aside(self) -> Path:
        """Take a damaged stage out of the store's way, so that it is trained again; returns where it is kept."""
        numbers = (f".{n}" if n else "" for n in itertools.count())
        aside = next(p for n in numbers if not (p := self.path.with_name(f"{self.path.name}.damaged{n}")).exists())
        self.path.rename(aside)
        return aside

    def _damaged(self, what: str) -> DamagedStageError:
        return DamagedStageError(
            f"{what} The stage in {self.path} is damaged. repair=true added to the command trains it again; what is there is "
            "kept beside it."
        )

    def temperature(self, evaluation: str = "centre") -> Path:
        """Where the temperature of its probabilities is; another evaluation has another."""
        return self.path / ("temperature.json" if evaluation == "centre" else f"temperature.{evaluation}.json")

    def predictions(self, release: str, split: str, faces_digest: str, evaluation: str = "centre") -> Path:
        """Where the predictions of a split are; faces of another digest, and another evaluation, have another file."""
        by = "" if evaluation == "centre" else f".{evaluation}"
        return self.path / "predictions" / f"{release}.{split}.{faces_digest[:8]}{by}.csv"


class Store:
    """Folders of stages under one root.

    Args:
        root: made if it is not there.
        weights: of a new store: False: its stages are kept without their weights, for reports alone (``fer-store merge``).

    Attributes:
        root: the folder.
        weights: whether its stages have their weights.

    Raises:
        StoreError: if the root cannot be made, or is a store of a newer version.
    """

    def __init__(self, root: str | os.PathLike[str], weights: bool = True) -> None:
        self.root = Path(root)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not any(self.root.iterdir()):
                without = {} if weights else {"weights": False}
                write_document(self.root / "store.json", {"version": LAYOUT_VERSION, **without})
        except OSError as error:
            raise StoreError(f"Cannot make the store {self.root}: {error}. Choose another runtime.store.") from None
        self.weights = bool(check_version(self.root).get("weights", True))

    def stage(self, key: str) -> StageFolder:
        """The folder of a key, there or not."""
        return StageFolder(self.root / key)

    @property
    def work(self) -> Path:
        """The folder of what is not finished."""
        return self.root / ".work"

    def lock(self, key: str) -> FileLock:
        """Held while a stage trains, so that jobs that share it train it once.

        Raises:
            OSError: if the store cannot be written.
        """
        self.work.mkdir(exist_ok=True)
        return FileLock(self.work / f"{key}.lock")

    def failure(self, key: str) -> str | None:
        """Why a stage failed when it was tried last, or None."""
        try:
            return str(read_document(self._failed(key))["error"])
        except (OSError, DocumentError, KeyError):
            return None  # what cannot be read is tried again

    def fail(self, key: str, stage: str, error: str) -> None:
        """Remember that a stage failed: it is tried again only on request."""
        write_to_store(self._failed(key), {"key": key, "stage": stage, "error": error})

    def forget_failure(self, key: str) -> None:
        """Let a stage be tried again."""
        self._failed(key).unlink(missing_ok=True)

    def _failed(self, key: str) -> Path:
        return self.work / f"{key}.failed.json"

    @property
    def submissions(self) -> Path:
        """The folder of records of finished plans, from which reports are made."""
        return self.root / "submissions"


def store_to_train(root: str | os.PathLike[str]) -> Store:
    """A store that stages can be trained in: each starts from the weights of another.

    Raises:
        StoreError: as ``Store``, and if it is one without weights.
    """
    store = Store(root)
    if not store.weights:
        raise StoreError(
            f"Expected a store to train in, but {store.root} was written without weights, for reports alone. Choose another "
            "runtime.store."
        )
    return store

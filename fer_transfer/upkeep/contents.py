"""What a store holds, read without torch: finished stages, records, and what cannot be read as either."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from fer_transfer.config import nearest
from fer_transfer.errors import StoreError
from fer_transfer.files.nearby import near_path
from fer_transfer.stages.lineage import Lineage, StageLineage, lineage_from_json
from fer_transfer.stages.record import Record, read_record
from fer_transfer.stages.store import StageFolder, Store

#: What a damaged stage is called when it was set aside.
_DAMAGED = re.compile(r"[0-9a-f]{16}\.damaged(\.\d+)?")
_KEY = re.compile("[0-9a-f]{16}")
_WEIGHTS = "weights.safetensors"


def is_key(name: str) -> bool:
    """Whether a folder's name is a stage's key."""
    return bool(_KEY.fullmatch(name))


@dataclass(frozen=True)
class Kept:
    """A finished stage as its ``result.json`` tells it; whether its files are still those is not looked at.

    Attributes:
        folder: where it is.
        result: all of ``result.json``.
        lineage: back to the initial weights; the last stage is its own.
        files: SHA-256 by name of its files.
        left_out: those of them that its store is without.
    """

    folder: StageFolder
    result: Mapping[str, Any]
    lineage: Lineage
    files: Mapping[str, str]
    left_out: frozenset[str] = frozenset()

    @property
    def there(self) -> dict[str, str]:
        """SHA-256 by name of the files that should be in its folder."""
        return {name: sha256 for name, sha256 in self.files.items() if name not in self.left_out}

    @property
    def key(self) -> str:
        """Of the stage."""
        return self.folder.path.name

    @property
    def own(self) -> StageLineage:
        """Its own stage of the lineage."""
        return self.lineage.stages[-1]

    @property
    def parent(self) -> str | None:
        """Key of the stage that it started from in its plan; None: it started from initial weights."""
        return self.own.start if is_key(self.own.start) else None

    @property
    def seconds(self) -> float | None:
        """Of training, or None where it is not told."""
        seconds = self.result.get("seconds")
        return float(seconds) if isinstance(seconds, int | float) else None

    @property
    def environment(self) -> Mapping[str, Any]:
        """Device and versions that trained it."""
        environment = self.result.get("environment")
        return environment if isinstance(environment, Mapping) else {}

    @property
    def code(self) -> Mapping[str, Any] | None:
        """What decided its key besides recipe, start and faces (``key.code_of_keys``); older stages do not tell."""
        code = self.result.get("code")
        return code if isinstance(code, Mapping) else None

    @property
    def weights(self) -> str:
        """SHA-256 of its weights."""
        return self.files[_WEIGHTS]


def read_stage(folder: StageFolder, weights: bool = True) -> Kept | None:
    """A finished stage, or None where the folder has no result.

    Args:
        folder: of the stage.
        weights: whether its store has weights.

    Raises:
        StoreError: if its result is damaged, another stage's, or names files that no stage has.
    """
    result = folder.result()
    if result is None:
        return None
    where = folder.path / "result.json"
    lineage = lineage_from_json(result.get("lineage"), where)
    if not lineage.stages or lineage.stages[-1].key != folder.path.name:
        raise StoreError(f"Expected the lineage of stage {folder.path.name} in {where}, but it is of another.")
    files = result.get("files")
    if not (isinstance(files, Mapping) and _WEIGHTS in files and all(map(_is_plain, files.items()))):
        raise StoreError(f"Expected digests by plain names of files in {where}, but got {str(files)[:60]}.")
    return Kept(folder, result, lineage, dict(files), frozenset() if weights else frozenset([_WEIGHTS]))


def _is_plain(item: tuple[Any, Any]) -> bool:
    name, sha256 = item
    return bool(re.fullmatch(r"\w[\w.-]*", name)) and isinstance(sha256, str)


@dataclass(frozen=True)
class Contents:
    """All of a store.

    Attributes:
        store: where it is.
        stages: finished ones by key.
        records: rows by identity.
        broken: why a stage's folder or a record cannot be read, by path.
        unfinished: folders named as stages that have no result.
        aside: damaged stages that were set aside.
    """

    store: Store
    stages: Mapping[str, Kept]
    records: Mapping[str, Record]
    broken: Mapping[Path, str]
    unfinished: tuple[Path, ...]
    aside: tuple[Path, ...]

    @property
    def root(self) -> Path:
        """Its folder."""
        return self.store.root

    def stage(self, prefix: str) -> Kept:
        """The finished stage whose key begins so.

        Raises:
            StoreError: if there is none, or several, or its result cannot be read.
        """
        broken = {path.name: why for path, why in self.broken.items() if is_key(path.name)}
        key = found_by(prefix, [*self.stages, *broken], "stage", self.root)
        if key in broken:
            raise StoreError(broken[key])
        return self.stages[key]

    @cached_property
    def rows_of(self) -> Mapping[str, tuple[str, ...]]:
        """Identities of the rows that were made by way of a stage, by its key."""
        found: dict[str, list[str]] = {}
        for identity, record in self.records.items():
            for key in keys_of(record):
                found.setdefault(key, []).append(identity)
        return {key: tuple(rows) for key, rows in found.items()}


def keys_of(record: Record) -> set[str]:
    """Keys of all stages that a row was made by way of."""
    return {stage.key for stage in record.lineage.stages} | {str(stage.get("key")) for stage in record.stages}


def is_store(path: Path) -> bool:
    """Whether a folder is a store: it has what nothing else has."""
    if (path / "submissions").is_dir() or (path / "store.json").is_file() or (path / ".work").is_dir():
        return True
    return any(is_key(name) or _DAMAGED.fullmatch(name) for name in os.listdir(path))


def is_new(path: Path) -> bool:
    """Whether there is nothing yet where a store may be made."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def open_store(path: Path) -> Store:
    """A store that is there.

    Raises:
        StoreError: if there is none, it cannot be read, or it is of a newer layout.
    """
    try:
        if not path.is_dir():
            what = "a file" if path.exists() else "no such folder"
            raise StoreError(
                f"Expected a store in {path}, but there is {what}.{near_path(path)} Say where it is: store=FOLDER."
            )
        if not is_store(path):
            names = sorted(os.listdir(path))
            found = f"{', '.join(names[:3])} ({len(names)} in all)" if names else "nothing"
            raise StoreError(f"Expected a store in {path}, but it holds {found}. Say where it is: store=FOLDER.")
    except OSError as error:
        raise StoreError(f"Cannot read the store {path}: {error.strerror}.") from None
    return Store(path)


def contents(store: Store) -> Contents:
    """Read all results and records of a store.

    Raises:
        StoreError: if its folder cannot be listed.
    """
    stages: dict[str, Kept] = {}
    broken: dict[Path, str] = {}
    unfinished, aside = [], []
    for path in listed(store.root):
        if _DAMAGED.fullmatch(path.name):
            aside.append(path)
        elif is_key(path.name):
            kept = _try_stage(path, broken, store.weights)
            if kept is not None:
                stages[kept.key] = kept
            elif path not in broken:
                unfinished.append(path)
    records = _records(store, broken)
    return Contents(store, stages, records, broken, tuple(unfinished), tuple(aside))


def listed(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing where there is none.

    Raises:
        StoreError: if it cannot be listed.
    """
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"Cannot read {folder}: {error.strerror}.") from None


def _try_stage(path: Path, broken: dict[Path, str], weights: bool) -> Kept | None:
    try:
        return read_stage(StageFolder(path), weights)
    except StoreError as error:
        broken[path] = str(error)
        return None


def _records(store: Store, broken: dict[Path, str]) -> dict[str, Record]:
    records = {}
    for path in listed(store.submissions):
        if path.suffix == ".json" and not path.name.startswith("."):
            try:
                records[path.stem] = read_record(path)
            except StoreError as error:
                broken[path] = str(error)
    return records


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder; links are not followed, and what is gone meanwhile counts nothing."""
    try:
        with os.scandir(path) as entries:
            return sum(
                size_of(Path(entry.path))
                if entry.is_dir(follow_symlinks=False)
                else entry.stat(follow_symlinks=False).st_size
                for entry in entries
            )
    except NotADirectoryError:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


def shortest(keys: Iterable[str], at_least: int = 8) -> int:
    """How many digits tell all keys apart.

    >>> shortest(["0123456789", "0123456799"], 4), shortest([])
    (9, 8)
    """
    ordered = sorted(set(keys))
    shared = (len(os.path.commonprefix(pair)) for pair in pairwise(ordered))  # noqa: RUF071  of digits, not of folders
    return max([at_least, *(n + 1 for n in shared)])


def found_by(prefix: str, keys: Iterable[str], what: str, where: Path, names: Iterable[str] = ()) -> str:
    """The one key that begins so.

    Args:
        prefix: some digits, or all.
        keys: among which.
        what: they are, for the message: ``stage``.
        where: the store, for the message.
        names: by which they are called besides, for the message.

    Raises:
        StoreError: if there is none, or several.

    >>> found_by("ab", ["abc", "b"], "stage", Path("store"))
    'abc'
    """
    known = sorted(set(keys))
    found = [prefix] if prefix in known else [key for key in known if prefix and key.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if not found:
        near = nearest(prefix, {*(key[: max(len(prefix), 4)] for key in known), *names})
        raise StoreError(
            f"There is no {what} {prefix!r} in {where} ({len(known)} there).{near} fer-store list shows them."
        )
    shown = f"{', '.join(found[:3])}{', ...' if len(found) > 3 else ''}"
    raise StoreError(
        f"Expected the beginning of one {what}, but {len(found)} begin with {prefix!r}: {shown}. Give more of it."
    )

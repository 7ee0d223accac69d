"""The store: one folder per finished stage, found by key.

::

    store/<key>/
        recipe.json            everything the stage was trained with, and what it started from
        metrics.csv            one row an epoch, written while it trains
        weights.safetensors    the network's own names; loads with safetensors and timm alone
        predictions/           one CSV per release and split
        result.json            written last, by rename: the stage is finished when it is there
        last.ckpt              only while it trains: to resume
    store/<key>.lock           held by the job that trains it
    store/submissions/         one JSON per finished plan, network and evaluation (``stages.record``)
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from fer_transfer.backbones.weights import weights_digest
from fer_transfer.errors import StoreError


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON aside and rename it into place.

    Raises:
        StoreError: if it cannot be written, the disk being full for instance.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(json.dumps(content, indent=1), encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        raise StoreError(f"Cannot write {path}: {error}. Free space or choose another runtime.store.") from None
    finally:
        aside.unlink(missing_ok=True)


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
    def metrics(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    def result(self) -> dict[str, Any] | None:
        """The result if the stage is finished.

        Raises:
            StoreError: if it is finished but damaged, or another stage's.
        """
        path = self.path / "result.json"
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            key = str(result["key"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise StoreError(
                f"Expected the result of a stage in {path}, but got {type(error).__name__}: {error}. {self._again}"
            ) from None
        if key != self.path.name:
            raise StoreError(
                f"Expected the result of stage {self.path.name} in {path}, but it is of {key!r}. {self._again}"
            )
        return dict(result)

    def is_finished(self) -> bool:
        """Whether the stage is finished and its weights are the ones it wrote; reads them.

        Raises:
            StoreError: if it is finished but damaged.
        """
        result = self.result()
        if result is None:
            return False
        expected = str(result.get("weights_sha256"))
        if not self.weights.exists() or weights_digest(self.weights) != expected:
            raise StoreError(
                f"Expected in {self.weights} the weights that result.json names ({expected[:12]}), but they are missing or "
                f"changed. {self._again}"
            )
        return True

    @property
    def _again(self) -> str:
        return f"Remove {self.path} to train the stage again."

    def predictions(self, release: str, split: str, faces_digest: str, evaluation: str = "centre") -> Path:
        """Where the predictions of a split are; faces of another digest, and another evaluation, have another file."""
        by = "" if evaluation == "centre" else f".{evaluation}"
        return self.path / "predictions" / f"{release}.{split}.{faces_digest[:8]}{by}.csv"


class Store:
    """Folders of stages under one root.

    Raises:
        StoreError: if the root cannot be made.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"Cannot make the store {self.root}: {error}. Choose another runtime.store.") from None

    def stage(self, key: str) -> StageFolder:
        """The folder of a key, there or not."""
        return StageFolder(self.root / key)

    def lock(self, key: str) -> FileLock:
        """Held while a stage trains, so that jobs that share it train it once."""
        return FileLock(self.root / f"{key}.lock")

    @property
    def submissions(self) -> Path:
        """The folder of records of finished plans, from which reports are made."""
        return self.root / "submissions"

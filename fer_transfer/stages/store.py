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
    store/submissions/         one JSON per finished plan, backbone, settings and seed
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
        aside.write_text(json.dumps(content, indent=1))
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
            StoreError: if it is finished but its weights are gone or not the ones it wrote.
        """
        try:
            result: dict[str, Any] = json.loads((self.path / "result.json").read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise StoreError(
                f"Cannot read {self.path / 'result.json'}: {error}. Remove {self.path} to train it again."
            ) from None
        if not self.weights.exists() or weights_digest(self.weights) != result["weights_sha256"]:
            raise StoreError(
                f"Expected in {self.weights} the weights that result.json names ({result['weights_sha256'][:12]}), but "
                f"they are missing or changed. Remove {self.path} to train the stage again."
            )
        return result

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

    def write_submission(self, identity: str, record: Mapping[str, Any]) -> Path:
        """Keep the record of a finished plan, from which reports are made."""
        path = self.root / "submissions" / f"{identity}.json"
        write_json(path, record)
        return path

"""Reads what wandb wrote offline, with wandb's own reader where it has one in Python: up to 0.29."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

HAS_READER = find_spec("wandb.sdk.internal.datastore") is not None
_BLOCK, _HEAD = 32768, 7


@dataclass
class Written:
    """A run as ``wandb sync`` will read it."""

    folder: Path
    run: Any = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    stats: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[Any] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def logged(self) -> dict[str, Any]:
        """Artifacts that it made, by name; without those of its tables."""
        return {a.name: a for a in self.artifacts if not a.use_after_commit and a.type == "model"}

    @property
    def used(self) -> dict[str, Any]:
        """Artifacts that it used."""
        return {a.name: a for a in self.artifacts if a.use_after_commit}

    def table(self, key: str) -> Any:
        """A table that was logged: a list of dicts."""
        entry = next(row[key] for row in reversed(self.history) if key in row)
        content = json.loads((self.folder / "files" / entry["path"]).read_text())
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def _put(into: dict[str, Any], item: Any) -> None:
    *above, last = list(getattr(item, "nested_key", ())) or [item.key]
    for key in above:
        into = into.setdefault(key, {})
    into[last] = json.loads(item.value_json)


def records(path: Path) -> Iterator[bytes]:
    """By wandb's own reader."""
    from wandb.sdk.internal.datastore import DataStore

    store = DataStore()
    store.open_for_scan(str(path))
    while (data := store.scan_data()) is not None:
        yield data


def logged_records(path: Path) -> Iterator[bytes]:
    """By the format: LevelDB's log (doc/log_format.md), the first seven bytes of which are wandb's own."""
    content, at, data = path.read_bytes(), _HEAD, b""
    assert content.startswith(b":W&B")
    while at + _HEAD <= len(content):
        if _BLOCK - at % _BLOCK < _HEAD:  # what is left of a block is empty
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        data += content[at + _HEAD : at + _HEAD + length]
        at += _HEAD + length
        if kind in (1, 4):  # whole, or the last part
            yield data
            data = b""


def read(folder: Path) -> Written:
    """All records of a run."""
    written = Written(folder)
    for data in (records if HAS_READER else logged_records)(next(folder.glob("*.wandb"))):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            written.run = record.run
            for item in record.run.config.update:
                _put(written.config, item)
        elif kind == "config":
            for item in record.config.update:
                _put(written.config, item)
        elif kind == "summary":
            for item in record.summary.update:
                _put(written.summary, item)
        elif kind in ("history", "stats"):
            row: dict[str, Any] = {}
            for item in getattr(record, kind).item:
                _put(row, item)
            getattr(written, kind).append(row)
        elif kind == "artifact":
            written.artifacts.append(record.artifact)
        elif kind == "exit":
            written.exit_code = record.exit.exit_code
    return written


def read_all(store: Path) -> dict[str, Written]:
    """Every run of a store, by id, in the order of their folders."""
    folders = sorted((store / "wandb").glob("offline-run-*"))
    runs = [read(folder) for folder in folders]
    by_id = {run.run.run_id: run for run in runs}
    assert len(by_id) == len(runs), "two folders with one id"
    return by_id

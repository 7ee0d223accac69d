"""Everything of one stage: where it comes from, how it was trained, what it scored, which files it has."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_transfer.errors import StoreError
from fer_transfer.faces.held_out import split_said
from fer_transfer.files.names import shown
from fer_transfer.stages.lineage import StageLineage
from fer_transfer.upkeep.contents import Contents, Kept
from fer_transfer.upkeep.difference import flat
from fer_transfer.upkeep.listing import columns, size_text, time_text
from fer_transfer.upkeep.predictions import PredictionsFile, predictions_of


def showing(kept: Kept, held: Contents) -> list[str]:
    """Lines for a reader."""
    parts: dict[str, list[str]] = {
        "lineage": [kept.lineage.weights, *(_stage(stage, held) for stage in kept.lineage.stages)],
        "caveats": list(kept.lineage.caveats),
        "recipe": _fields(kept.own.recipe),
        "decided by": _fields(kept.code) if kept.code is not None else ["not kept: an older fer_transfer trained it"],
        "trained on": _fields(kept.environment),
        "scores": columns([["release", "split", "by", "faces", "accuracy", "mean recall"], *_scores(kept)]),
        "rows": [_row(held, identity) for identity in held.rows_of.get(kept.key, ())] or ["none"],
        "files": columns([["sha256", "size", "file"], *_files(kept)]),
    }
    title = f"{kept.own.name} {kept.key}, trained in {time_text(kept.seconds)}"
    lines = [title, *(line for name, of in parts.items() if of for line in ("", name, *(f"  {text}" for text in of)))]
    return [shown(line) for line in lines]


def _stage(stage: StageLineage, held: Contents) -> str:
    splits = ", ".join(f"{of.release} {of.training_text('+')} ({of.digest[:8]})" for of in stage.faces if of.trained_on)
    chosen = [split_said(f"{of.release}/{split}") for of in stage.faces for split in of.selected_on]
    here = "" if stage.key in held.stages else ", not in this store"
    note = f", note: {stage.note}" if stage.note else ""
    teachers = ", ".join(teacher.stages[-1].key for teacher in stage.teachers)
    taught = f", taught by {teachers}" if teachers else ""
    return (
        f"-> {stage.name} {stage.key}: {splits}, selected on {', '.join(chosen)}, seed {stage.seed}{taught}{here}{note}"
    )


def _fields(content: Mapping[str, Any]) -> list[str]:
    fields = [(".".join(path), value) for path, value in flat(content)]
    width = max((len(name) for name, _ in fields), default=0)
    return [f"{name:<{width}}  {_word(value)}" for name, value in fields]


def _word(value: str) -> str:
    parsed = json.loads(value)
    return parsed if isinstance(parsed, str) and parsed else value


def _row(held: Contents, identity: str) -> str:
    record = held.records[identity]
    asked = f" ({record.submission})" if record.submission else ""
    return f"{identity} {record.plan}{asked} {record.backbone} seed {record.seed}"


def _scores(kept: Kept) -> list[list[str]]:
    return [_score(of) for of in predictions_of(kept)]


def _score(of: PredictionsFile) -> list[str]:
    """Of the faces that have labels; Wilson's intervals and the rest are the report's."""
    from fer_transfer.evaluation.metrics import accuracy, macro_recall

    told = of.told or {}
    name = [of.release, str(told.get("split", "?")), str(told.get("by", "?"))]
    try:
        read = of.read()
    except StoreError:
        return [*name, "DAMAGED", "", ""]
    if not read.labelled:
        return [*name, str(len(read)), "no labels", ""]
    matrix = read.matrix
    return [*name, str(len(read)), f"{accuracy(matrix):.2%}", f"{macro_recall(matrix):.2%}"]


def _files(kept: Kept) -> list[list[str]]:
    told = [(name, sha256) for name, sha256 in kept.files.items()]
    told += [(f"predictions/{of.csv.name}", str((of.told or {}).get("csv", "?"))) for of in predictions_of(kept)]
    return [[sha256[:16], _size(kept.folder.path / name), name] for name, sha256 in told]


def _size(path: Path) -> str:
    try:
        return size_text(path.stat().st_size)
    except OSError:
        return "MISSING"

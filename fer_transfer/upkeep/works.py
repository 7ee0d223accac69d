"""What is not finished: folders of jobs that train a stage, or left one, and stages that failed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_transfer.files.document import DocumentError, read_document, without_digest
from fer_transfer.stages.store import Store
from fer_transfer.stages.work import Work, unfinished
from fer_transfer.upkeep.contents import Contents, listed

_LIVES = {
    True: "a job trains it",
    False: "nobody's, to be resumed",
    None: "of another host: whether it lives is unknown",
}


def key_of(work: Work) -> str:
    """Of the stage."""
    return work.folder.path.name.partition(".")[0]


def failures(store: Store) -> dict[Path, Mapping[str, Any]]:
    """By file, why stages failed; empty where the file is damaged."""
    return {path: _read(path) for path in listed(store.work) if path.name.endswith(".failed.json")}


def needed_by(work: Work) -> set[str]:
    """Keys of the stages that unfinished work starts from and learns from, or the identity of initial weights; where told."""
    told = _read(work.folder.path / "recipe.json")
    teachers = told.get("teachers")
    return {
        key for key in (told.get("start"), *(teachers if isinstance(teachers, list) else ())) if isinstance(key, str)
    }


def unfinished_lines(held: Contents) -> list[str]:
    """For a reader: one line a folder, and one a failure."""
    lines = [
        f"unfinished: {key_of(work)} {_LIVES[work.is_living]}{_where(held, work)}" for work in unfinished(held.store)
    ]
    for path, content in failures(held.store).items():
        error = str(content.get("error") or f"the reason cannot be read in {path}")
        lines.append(f"failed: {path.name.partition('.')[0]} {content.get('stage', '')} {error}")
    return ["", *lines] if lines else []


def _where(held: Contents, work: Work) -> str:
    finished = ", but the stage is finished" if key_of(work) in held.stages else ""
    return f"{finished} ({work.folder.path.relative_to(held.root)})"


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_document(path)
    except (OSError, DocumentError):
        return without_digest(path)

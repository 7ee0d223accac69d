"""Takes what another store has into this one, whole and as it was written, or says by name what it does not take.

What is here stays as it is. A stage that both have with the same weights gets the predictions that are missing; one that two
machines trained to other bytes is kept as it is here, and the other's predictions of it are never taken for this one's.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from fer_transfer.errors import StoreError
from fer_transfer.faces.aside import Aside, remove_ownerless
from fer_transfer.files.regular import irregular
from fer_transfer.files.whole import written_whole
from fer_transfer.stages.record import Record, ScoredSplit
from fer_transfer.stages.store import StageFolder, Store, write_to_store
from fer_transfer.upkeep.contents import Contents, Kept, contents, read_stage
from fer_transfer.upkeep.predictions import PredictionsFile, predictions_of
from fer_transfer.upkeep.verifying import scored_problem, stage_problems

#: Files of a finished stage that no digest vouches for, and that are taken where they are there.
_UNSEALED = ("log.txt", "temperature.json", "temperature.ten_crops.json")


@dataclass
class Merged:
    """What became of a merge: counts, what was kept as it is here (each in a line), and what was not taken, and why."""

    copied: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    predictions: int = 0
    rows: int = 0
    kept: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For a reader."""
        counts = (
            f"copied: {len(self.copied)} stages, {self.predictions} predictions of others; there already: "
            f"{len(self.there)} stages; rows written or joined: {self.rows}"
        )
        return [counts, *(f"kept: {text}" for text in self.kept), *(f"not taken: {text}" for text in self.refused)]


def merge(other: Contents, store: Store) -> Merged:
    """Take stages, predictions and rows of another store into this one.

    Each stage is copied beside and renamed, each row written at once: an interruption leaves whole stages and rows, and the
    same command goes on.

    A store without weights takes from any, and is taken into none that has them.

    Raises:
        StoreError: if it is the same store, it has no weights where this one has, or this one cannot be written.
    """
    if other.root.resolve() == store.root.resolve():
        raise StoreError(f"Expected another store than {store.root} itself, but got {other.root}.")
    if store.weights and not other.store.weights:
        raise StoreError(
            f"Expected weights in {other.root}, but it was written without, and {store.root} has them. Take it into a store "
            "without weights: store=FOLDER, a new one, with weights=false."
        )
    outcome = Merged([], [], 0, 0, [], [f"{text}" for text in other.broken.values()])
    try:
        remove_ownerless(store.work / "merge")
        aside = Aside(store.work / "merge")
        try:
            for kept in sorted(other.stages.values(), key=lambda kept: len(kept.lineage.stages)):
                _take_stage(kept, store, aside.path, outcome)
        finally:
            aside.discard()
        here = contents(store)
        for identity, record in other.records.items():
            _take_row(identity, record, other, here, outcome)
    except OSError as error:
        raise StoreError(
            f"Cannot write the store {store.root}: {error}. Free space or choose another; what was taken is whole, and the same "
            "command goes on."
        ) from None
    return outcome


def _take_stage(theirs: Kept, store: Store, aside: Path, outcome: Merged) -> None:
    wrong = next(_strange(theirs), None) or next(stage_problems(theirs), None)
    if wrong:
        outcome.refused.append(f"stage {theirs.key}: {wrong}")
        return
    folder = store.stage(theirs.key)
    try:
        ours = read_stage(folder, store.weights)
    except StoreError as error:
        outcome.refused.append(f"stage {theirs.key}: the one here is damaged. {error}")
        return
    if ours is not None:
        _add_predictions(theirs, ours, outcome)
    elif folder.path.exists():
        outcome.refused.append(
            f"stage {theirs.key}: {folder.path} is in the way; it has no result. fer-train finishes it."
        )
    else:
        _copy_stage(theirs, folder, aside / theirs.key, store.weights)
        outcome.copied.append(theirs.key)


def _strange(kept: Kept) -> Iterator[str]:
    """What lies where files of a stage should be and is none: links lead anywhere, and devices have no end."""
    folder = kept.folder.path
    files = [folder / name for name in (*kept.there, "result.json", *_UNSEALED)]
    folders = [folder, folder / "predictions"]
    pairs = [path for of in predictions_of(kept) for path in (of.csv, of.document)]
    for path in (*folders, *files, *pairs):
        if path.is_symlink():
            yield f"Expected files of its own in {folder}, but {path.name} is a link. Copy what it leads to into its place."
    for path in (*files, *pairs):
        if what := irregular(path):
            yield f"Expected a regular file in {path}, but it is {what}. Delete it."


def _copy_stage(theirs: Kept, final: StageFolder, aside: Path, weights: bool) -> None:
    """Copy all that belongs to a finished stage, look at the copy, and rename it into its place."""
    aside.mkdir()
    taken = theirs if weights else replace(theirs, left_out=frozenset([theirs.folder.weights.name]))
    for name in (*taken.there, "result.json"):
        shutil.copyfile(theirs.folder.path / name, aside / name)
    for name in _UNSEALED:
        if (theirs.folder.path / name).exists():
            shutil.copyfile(theirs.folder.path / name, aside / name)
    for of in _sound(theirs):
        _copy_pair(of, aside / "predictions")
    copy = read_stage(StageFolder(aside), weights)
    wrong = ["it is no stage."] if copy is None else _problems(copy)
    if wrong:
        raise StoreError(f"Expected the copy of stage {theirs.key} to be as it was, but: {wrong[0]} Look at the disks.")
    aside.rename(final.path)


def _problems(kept: Kept) -> list[str]:
    return [*stage_problems(kept), *(wrong for of in predictions_of(kept) if (wrong := of.wrong()))]


def _sound(kept: Kept) -> list[PredictionsFile]:
    return [of for of in predictions_of(kept) if of.wrong() is None]


def _copy_pair(of: PredictionsFile, folder: Path) -> None:
    """The document last: without it a CSV counts for nothing."""
    folder.mkdir(exist_ok=True)
    for path in (of.csv, of.document):
        with written_whole(folder / path.name) as aside:
            shutil.copyfile(path, aside)


def _add_predictions(theirs: Kept, ours: Kept, outcome: Merged) -> None:
    """Of a stage that is here already: predictions that are missing, if both have the same weights."""
    outcome.there.append(theirs.key)
    if theirs.weights != ours.weights:
        outcome.kept.append(
            f"stage {ours.key} as it is here: two machines trained it, weights {ours.weights[:12]} here and "
            f"{theirs.weights[:12]} in {theirs.folder.path}"
        )
        return
    if wrong := next(stage_problems(ours), None):
        outcome.refused.append(f"stage {theirs.key}: the one here is damaged. {wrong}")
        return
    mine = {of.csv.name: of.sha256 for of in _sound(ours)}
    for of in _sound(theirs):
        if of.csv.name not in mine:
            _copy_pair(of, ours.folder.path / "predictions")
            outcome.predictions += 1
        elif of.sha256 != mine[of.csv.name]:
            outcome.kept.append(
                f"predictions {of.csv.name} of stage {ours.key} as they are here: another machine computed others"
            )


def _take_row(identity: str, theirs: Record, other: Contents, here: Contents, outcome: Merged) -> None:
    """Write a row, or join it with the one that is here; what it is scored by must be here as it names it."""
    path, ours = here.store.submissions / f"{identity}.json", here.records.get(identity)
    fitting = replace(theirs, predictions=tuple(of for of in theirs.predictions if _is_here(path, of, theirs, here)))
    if wrong := _not_taken(theirs, other, here) or here.broken.get(path) or _lost(theirs, fitting, ours, other):
        outcome.refused.append(f"row {identity} ({theirs.plan}, {theirs.backbone}, seed {theirs.seed}): {wrong}")
        return
    joined = ours.joined(fitting) if ours else fitting
    if joined != ours:
        write_to_store(path, joined.to_json())
        outcome.rows += 1


def _not_taken(theirs: Record, other: Contents, here: Contents) -> str | None:
    """A stage of a row that its own store has, and this one has not."""
    keys = [str(stage.get("key")) for stage in theirs.stages] + [theirs.lineage.stages[-1].key]
    there = [key for key in keys if key in other.stages or other.root / key in other.broken]
    missing = [key for key in (*there, keys[-1]) if key not in here.stages]
    return f"its stage {missing[0]} was not taken." if missing else None


def _lost(theirs: Record, fitting: Record, ours: Record | None, other: Contents) -> str | None:
    """Why predictions that only the other's row has cannot be taken; those that both have are as they are here."""
    known = {(of.faces, of.split) for of in ours.predictions} if ours else set()
    lost = [of for of in theirs.predictions if of not in fitting.predictions and (of.faces, of.split) not in known]
    if not lost:
        return None
    path = other.store.submissions / f"{theirs.identity}.json"
    damaged = scored_problem(path, lost[0], theirs.lineage.stages[-1].key, other)
    return damaged or (
        f"its predictions of {lost[0].split} are not by the weights that are here. fer-train writes the row here, and trains "
        "nothing for it."
    )


def _is_here(path: Path, scored: ScoredSplit, record: Record, here: Contents) -> bool:
    """Whether predictions that another store's row names are here with the same bytes."""
    return scored_problem(path, scored, record.lineage.stages[-1].key, here) is None

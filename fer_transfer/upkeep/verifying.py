"""Is everything in a store as it was written? Every byte that a digest vouches for is read."""

import re
from collections.abc import Iterator
from pathlib import Path

from fer_transfer.files.digest import canonical, digest, file_digest
from fer_transfer.files.document import DocumentError, read_document
from fer_transfer.stages.key import stage_key
from fer_transfer.stages.lineage import StageLineage
from fer_transfer.stages.record import Record, ScoredSplit
from fer_transfer.upkeep.contents import Contents, Kept, listed
from fer_transfer.upkeep.predictions import predictions_of
from fer_transfer.upkeep.works import failures

_REPAIR = "fer-train with repair=true trains the stage again and keeps what is there beside it."
_PREDICT = "fer-train writes them again from the weights."
_FIT = "It is not used; delete it, and fer-train fits it again."
_RECORD = "Delete the record and run fer-train again, which trains nothing that is there."

#: What is written aside before it is renamed (``files.document``), if the process that wrote it was killed.
_HALF = re.compile(r"\..+\.\d+")


def problems(held: Contents) -> Iterator[str]:
    """Everything that is damaged, edited or half-written, each with what to do."""
    yield from held.broken.values()
    for kept in held.stages.values():
        yield from stage_problems(kept)
        yield from _ancestry(kept, held)
        yield from (f"{wrong} {_PREDICT}" for of in predictions_of(kept) if (wrong := of.wrong()))
        yield from _temperatures(kept)
    for path in held.unfinished:
        yield f"Expected {path / 'result.json'}, but there is none: the stage was cut short. fer-train finishes it."
    for identity, record in held.records.items():
        yield from record_problems(held.store.submissions / f"{identity}.json", record, held)
    for path, content in failures(held.store).items():
        if "error" not in content:
            yield f"Expected in {path} why a stage failed, but it is damaged. Delete it: the stage is then tried again."
    for path in half_written(held):
        yield f"{path} is half-written: a killed process left it. fer-store prune removes it."


def half_written(held: Contents) -> list[Path]:
    """Files that were being written aside, and never came to be renamed."""
    folders = [kept.folder.path for kept in held.stages.values()]
    folders += [folder / "predictions" for folder in folders]
    return [
        path for folder in (*folders, held.store.submissions) for path in listed(folder) if _HALF.fullmatch(path.name)
    ]


def stage_problems(kept: Kept) -> Iterator[str]:
    """What is wrong with a finished stage itself: its files, its key, its lineage."""
    for name, expected in kept.there.items():
        path = kept.folder.path / name
        try:
            found = file_digest([path])
        except OSError as error:
            yield f"Expected {path}, but got: {error.strerror or error}. {_REPAIR}"
            continue
        if found != expected:
            yield f"Expected in {path} the bytes of digest {expected[:12]}, but got {found[:12]}. {_REPAIR}"
    own, result = kept.own, kept.folder.path / "result.json"
    if kept.code is not None and (key := stage_key(own.recipe, own.start, own.faces, kept.code)) != kept.key:
        yield f"Expected in {result} what key {kept.key} is made from, but its recipe, start and faces make {key}. {_REPAIR}"
    if kept.parent and (len(kept.lineage.stages) < 2 or kept.lineage.stages[-2].key != kept.parent):
        yield f"Expected in {result} the lineage of {kept.parent}, which it starts from, but got another. {_REPAIR}"


def _temperatures(kept: Kept) -> Iterator[str]:
    """What is wrong with the temperatures of a stage; without them they are fitted anew."""
    digests = {of.sha256 for of in predictions_of(kept)}
    for path in map(kept.folder.temperature, ("centre", "ten_crops")):
        try:
            content = read_document(path)
        except FileNotFoundError:
            continue
        except (OSError, DocumentError) as error:
            yield f"Expected in {path} the temperature of stage {kept.key}, but: {error}. {_FIT}"
        else:
            if content.get("key") != kept.key or content.get("csv") not in digests:
                yield f"Expected in {path} the temperature of predictions of stage {kept.key}, but it is of others. {_FIT}"


def _ancestry(kept: Kept, held: Contents) -> Iterator[str]:
    """Stages of the lineage that are in the store must say the same of themselves there."""
    for stage in kept.lineage.stages[:-1]:
        if stage.key in held.stages and _identity(held.stages[stage.key].own) != _identity(stage):
            yield (
                f"Expected stage {stage.key} in the lineage of {kept.folder.path / 'result.json'} as the store has it, but it "
                f"differs. {_REPAIR}"
            )


def _identity(stage: StageLineage) -> str:
    """Of what a key stands for; names and notes are whoever trained it's."""
    faces = [[used.digest, used.trained_on, used.selected_on] for used in stage.faces]
    return digest([stage.key, stage.start, canonical(stage.recipe), faces])


def record_problems(path: Path, record: Record, held: Contents) -> Iterator[str]:
    """What is wrong with a row: its stages, its lineage, the predictions that it is scored by."""
    last = record.lineage.stages[-1]
    for key in [str(stage.get("key")) for stage in record.stages]:
        if key not in held.stages and held.root / key not in held.broken:
            yield f"Expected stage {key} of {path} in the store, but it is not there. fer-train trains it again."
    if last.key in held.stages:
        of_stage = held.stages[last.key].lineage
        if list(map(_identity, of_stage.stages)) != list(map(_identity, record.lineage.stages)):
            yield f"Expected in {path} the lineage of stage {last.key}, but it differs from the one in its result. {_RECORD}"
    yield from (wrong for scored in record.predictions if (wrong := scored_problem(path, scored, last.key, held)))


def scored_problem(path: Path, scored: ScoredSplit, key: str, held: Contents) -> str | None:
    """What is wrong with the predictions of one split that a row names."""
    file = held.root / scored.file
    if file.parent != held.store.stage(key).path / "predictions":
        return f"Expected in {path} predictions of stage {key}, but got {scored.file}. {_RECORD}"
    try:
        found = file_digest([file])
    except OSError as error:
        return f"Expected {file}, which {path.name} names, but got: {error.strerror or error}. {_PREDICT}"
    if found != scored.sha256:
        return (
            f"Expected in {file} the bytes of digest {scored.sha256[:12]}, which {path.name} names, but got {found[:12]}. "
            f"{_PREDICT}"
        )
    told = [of.told for of in predictions_of(held.stages[key]) if of.csv == file] if key in held.stages else []
    if told and told[0] and (told[0]["faces"], told[0]["split"]) != (scored.faces, scored.split):
        found = told[0]["split"]
        return (
            f"Expected in {file} predictions of {scored.split}, as {path.name} says, but they are of {found}. {_RECORD}"
        )
    return None

"""The networks of the store that a stage learns from: found by key or name, and whether it may learn from them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.faces.faces import Faces
from fer_transfer.stages.inputs import protected_of
from fer_transfer.stages.lineage import Lineage, lineage_from_json
from fer_transfer.stages.record import read_record
from fer_transfer.stages.rows import row_called, stored_rows
from fer_transfer.stages.store import StageFolder, Store
from fer_transfer.study import Study


@dataclass(frozen=True)
class TeacherStage:
    """A finished stage that another learns from.

    Attributes:
        key: of the stage.
        folder: in the store.
        lineage: of its weights.
    """

    key: str
    folder: StageFolder
    lineage: Lineage


def teachers_called(names: Sequence[str], store: Store) -> tuple[TeacherStage, ...]:
    """The finished stages of some names, each once, by ascending key.

    Args:
        names: keys of stages, or names of rows (``rows.row_called``), of which every seed that is there is meant. A row that was
            taught itself goes by its full name alone (with ``#``): a pupil does not make the name of its teacher ambiguous.
        store: where they are.

    Raises:
        StoreError: if there is no such stage or row, or one is damaged.
    """
    keys = sorted({key for name in names for key in _keys(name, store)})
    return tuple(_teacher(key, store) for key in keys)


def _keys(name: str, store: Store) -> list[str]:
    if name and "/" not in name and (store.root / name / "result.json").exists():
        return [name]
    records = [read_record(path) for path in sorted(store.submissions.glob("*.json"))]
    meant = [record for record in records if "#" in name or not record.lineage.stages[-1].teachers]
    row = row_called(name, stored_rows(meant), store.root)
    return [record.lineage.stages[-1].key for record in row.records]


def _teacher(key: str, store: Store) -> TeacherStage:
    folder = store.stage(key)
    if not folder.is_finished():
        raise StoreError(
            f"Expected the stage {key} in {store.root}, which a row of the store ends in and recipe.distillation.teacher names, "
            "but it is not there. Train the row again, or name another teacher."
        )
    result = folder.result() or {}
    return TeacherStage(key, folder, lineage_from_json(result.get("lineage"), folder.path / "result.json"))


def check_teachers(
    stage: str, classes: Sequence[str], teachers: Sequence[TeacherStage], faces: Mapping[str, Faces], study: Study
) -> None:
    """Refuse teachers of another label set, and such as know what the study protects.

    Raises:
        ConfigError: naming the teacher and the reason.
    """
    for teacher in teachers:
        theirs = teacher.lineage.stages[-1].classes
        if theirs != tuple(classes):
            raise ConfigError(
                f"Expected teachers of stage {stage!r} with its label set, {', '.join(classes)}, but {teacher.key} has "
                f"{', '.join(theirs)}: its probabilities stand for other classes, or in another order. Name another in "
                "recipe.distillation.teacher."
            )
        for what, name, taken in _protected(teacher.lineage, faces, study):
            raise ConfigError(
                f"Stage {stage!r} would learn from {teacher.key}, which was {what} {name} {taken}, and study {study.name!r} "
                "protects it: what a teacher has seen its pupil has seen. Name another in recipe.distillation.teacher."
            )


def _protected(lineage: Lineage, faces: Mapping[str, Faces], study: Study) -> Iterator[tuple[str, str, list[str]]]:
    for stage in lineage.everything():
        for used in stage.faces:
            for name, taken in protected_of(used.prepared, used.trained_on, faces, study):
                yield "trained on", name, taken
            chosen = used.selected_on if stage.chose_an_epoch else ()
            for name, taken in protected_of(used.prepared, chosen, faces, study):
                yield "selected on", name, taken

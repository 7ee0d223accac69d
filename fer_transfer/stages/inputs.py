"""The prepared faces of a plan, opened and checked before anything is trained: those it needs, and those it can be scored on."""

from collections.abc import Callable, Mapping
from pathlib import Path

from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.faces.faces import Faces
from fer_transfer.faces.opening import open_faces
from fer_transfer.stages.lineage import FacesUsed
from fer_transfer.stages.plan import Plan
from fer_transfer.stages.runtime import Runtime
from fer_transfer.study import Study
from fer_transfer.training.recipe import Recipe


def open_inputs(plan: Plan, runtime: Runtime, study: Study, say: Callable[[str], object]) -> dict[str, Faces]:
    """Faces by the word of ``runtime.faces``: all that the plan needs, and what else is there to be scored on.

    Args:
        plan: whose recipes name faces.
        runtime: where they are.
        study: which splits it names and protects.
        say: told of faces that the plan does not need and that cannot be opened.

    Raises:
        ConfigError: if one is not given, two words stand for the same faces, a word is the name of another release, or a
            release lacks a split that the study names.
        FacesError: if one that is needed is missing or damaged.
    """
    needed = {name for stage in plan.stages for part in ("train", "selection") for name in stage.recipe.data[part]}
    opened = {name: open_faces(runtime.folder_of(name)) for name in sorted(needed)}
    for name in sorted(set(runtime.faces) - needed):
        if Path(runtime.faces[name]).exists():
            try:
                opened[name] = open_faces(runtime.faces[name])
            except FacesError as error:
                say(f"not scored on {name}: {error}")
    _check_words(opened, study)
    study.check_releases({faces.name: list(dict.fromkeys(faces.splits.tolist())) for faces in opened.values()})
    return opened


def _check_words(opened: Mapping[str, Faces], study: Study) -> None:
    """One word for one release: neither two for the same faces, nor one that is the name of another release."""
    by_digest: dict[str, str] = {}
    releases = {column.split.partition("/")[0] for column in study.reported} | {f.name for f in opened.values()}
    for word, faces in opened.items():
        first = by_digest.setdefault(faces.digest, word)
        if first != word:
            raise ConfigError(
                f"runtime.faces.{first} and runtime.faces.{word} are the same faces ({opened[first].folder} and "
                f"{faces.folder}, digest {faces.digest[:12]}). Keep one word for them: ~runtime.faces.{word} drops the other."
            )
        if word != faces.name and word in releases:
            raise ConfigError(
                f"runtime.faces.{word} is {faces.folder}, but these are faces of {faces.name!r}, and {word!r} is another "
                f"release. Give runtime.faces.{faces.name}={faces.folder}, or another word for it."
            )


def faces_used(recipe: Recipe, faces: Mapping[str, Faces]) -> tuple[FacesUsed, ...]:
    """What a stage is trained and selected on, in the order in which its recipe names them."""
    train, selection = recipe.data["train"], recipe.data["selection"]
    return tuple(
        FacesUsed(
            faces[word].digest,
            faces[word].name,
            tuple(train.get(word, ())),
            tuple(selection.get(word, ())),
            tuple(faces[word].caveats),
        )
        for word in dict.fromkeys([*train, *selection])
    )


def check_protected(stage: str, used: tuple[FacesUsed, ...], study: Study) -> None:
    """Refuse to train on what the study reports.

    Raises:
        ConfigError: naming the splits.
    """
    for faces in used:
        if taken := [split for split in faces.trained_on if study.protects(faces.release, split)]:
            raise ConfigError(
                f"Stage {stage!r} trains on {faces.release} {taken}, which study {study.name!r} reports. Take it out of "
                f"plan.stages.{stage}.data.train."
            )

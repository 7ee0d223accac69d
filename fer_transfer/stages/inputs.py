"""The prepared faces of a plan, opened and checked before anything is trained: those it needs, and those it can be scored on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.faces.division import held_out_of
from fer_transfer.faces.faces import Faces
from fer_transfer.faces.held_out import held_out_called, split_said, together
from fer_transfer.faces.opening import open_faces
from fer_transfer.stages.lineage import FacesUsed, Lineage, Prepared, classes_of
from fer_transfer.stages.plan import Plan
from fer_transfer.stages.runtime import Runtime
from fer_transfer.study import Study
from fer_transfer.training.recipe import Recipe

#: Of grey faces in a stage that has others in colour: a network can tell the two releases apart by it.
GREY_AMONG_COLOUR = "grey among faces in colour, repeated over the channels"

#: Of faces that a row is scored on and that are of the other kind than all it was trained on at last.
COLOUR_AFTER_GREY = "faces in colour, scored by a network trained on grey ones"
GREY_AFTER_COLOUR = "grey faces, scored by a network trained on ones in colour"


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
    needed = {name for stage in plan.stages for name in stage.recipe.words}
    opened = {name: open_faces(runtime.folder_of(name)) for name in sorted(needed)}
    optional = {column.split.partition("/")[0]: column.optional for column in reversed(study.reported)}
    for name in sorted({*runtime.faces, *optional} - needed):
        folder = Path(runtime.faces.get(name, Path("faces") / name))
        if folder.exists():
            try:
                opened[name] = open_faces(folder)
            except FacesError as error:
                say(f"not scored on {name}: {error}")
    _check_words(opened, study)
    at_hand = {faces.name: faces.split_names for faces in opened.values()}
    study.check_releases(at_hand)
    for name in [name for name in optional if not optional[name] and name not in at_hand]:
        say(
            f"not scored on {name}, which study {study.name} reports: say where its faces are, ++runtime.faces.{name}=FOLDER"
        )
    _tell_of_votes(plan, opened, say)
    return opened


def _tell_of_votes(plan: Plan, opened: Mapping[str, Faces], say: Callable[[str], object]) -> None:
    """Say where FER+ votes are asked for and none of the releases has any; a union of some that do and others is meant so."""
    asked = [stage.recipe for stage in plan.stages if stage.recipe.labelling.by_votes]
    words = dict.fromkeys(word for recipe in asked for word in recipe.words)
    may_have = any(opened[word].votes is not None or "ferplus" in opened[word].manifest["settings"] for word in words)
    if words and not may_have:
        say(f"recipe.labelling asks for FER+ votes, but there are none of {', '.join(words)}: it changes nothing there")


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


def prepared(faces: Faces) -> Prepared:
    """What a lineage or a record knows a preparation by."""
    return Prepared(faces.digest, faces.name, faces.origin, tuple(faces.split_names), faces.classes)


def faces_used(recipe: Recipe, faces: Mapping[str, Faces]) -> tuple[FacesUsed, ...]:
    """What a stage is trained and selected on, in the order in which its recipe names them.

    Raises:
        FacesError: if it sees geometry, and faces have none.
    """
    train, selection = recipe.data["train"], selected_on(recipe, faces)
    mixed = len({faces[word].colour for word in recipe.words}) > 1
    return tuple(
        FacesUsed(
            prepared(faces[word]),
            tuple(train.get(word, ())),
            tuple(selection.get(word, ())),
            (*faces[word].caveats, *([GREY_AMONG_COLOUR] if mixed and not faces[word].colour else [])),
            geometry_digest(recipe.sees, faces[word]),
        )
        for word in recipe.words
    )


def scored_otherwise(faces: Faces, used: Sequence[FacesUsed], others: Iterable[Faces]) -> tuple[str, ...]:
    """What must stand beside the scores of faces which are of another kind, grey or in colour, than those of a stage's training.

    Args:
        faces: that it is scored on.
        used: by the stage.
        others: among which those are.
    """
    trained = {one.digest for one in used if one.trained_on}
    kinds = {other.colour for other in others if other.digest in trained}
    if not kinds or faces.colour in kinds:
        return ()
    return (COLOUR_AFTER_GREY if faces.colour else GREY_AFTER_COLOUR,)


def geometry_digest(sees: str, faces: Faces) -> str:
    """Of what a stage that sees geometry is given of faces beside their pixels; empty for one that sees pixels.

    Raises:
        FacesError: if there is none.
    """
    if sees == "pixels":
        return ""
    faces.seen(sees)
    return faces.geometry_digest


def check_labels(stage: str, recipe: Recipe, used: Sequence[FacesUsed]) -> None:
    """Refuse faces of several label sets, whose labels are places in different lists, and fewer faces than classes.

    Raises:
        ConfigError: naming them.
    """
    if recipe.at_most is not None and recipe.at_most < (count := len(classes_of(used))):
        raise ConfigError(
            f"Expected at_most of stage {stage!r} to be null or at least one face for each of its {count} classes, but got "
            f"{recipe.at_most}."
        )
    sets = {one.prepared.classes: one.release for one in reversed(used)}
    if len(sets) > 1:
        each = "; ".join(f"{release}: {', '.join(classes)}" for classes, release in reversed(sets.items()))
        raise ConfigError(
            f"Expected faces of one label set for stage {stage!r}, but got {len(sets)}: {each}. Prepare them with the same "
            "labels, which maps names of classes (fer-prepare labels=NAME)."
        )


def selected_on(recipe: Recipe, faces: Mapping[str, Faces]) -> dict[str, list[str]]:
    """Splits that a stage is selected on, by word: those of its data, or the share of each that it trains on, of folds together.

    Raises:
        FacesError: if a share is to be held out of faces of which it is not known whose they are.
    """
    chosen = recipe.selection
    if not chosen.share:
        return dict(recipe.data["selection"])
    return {
        word: [held_out_of(faces[word], split, chosen.share, chosen.seed).name for split in together(splits)]
        for word, splits in recipe.data["train"].items()
    }


def check_held_out(stage: str, used: tuple[FacesUsed, ...], before: Lineage) -> None:
    """Refuse to select on faces that a stage before, or a teacher, was trained on: there every epoch looks good.

    Raises:
        ConfigError: naming the share.
    """
    for one in used:
        for split in one.selected_on:
            if held_out_called(split) is not None and before.trained_on(one.prepared, split):
                share = split_said(f"{one.release}/{split}")
                raise ConfigError(
                    f"Stage {stage!r} would be selected on {share}, but a stage before it was trained on these faces, "
                    "or one of its teachers. Give all stages the same recipe.selection, or this one share=0."
                )


def check_protected(stage: str, used: tuple[FacesUsed, ...], faces: Mapping[str, Faces], study: Study) -> None:
    """Refuse to train on what the study protects, under whatever name its faces were prepared.

    Raises:
        ConfigError: naming the splits.
    """
    for one in used:
        for name, taken in protected_of(one.prepared, one.trained_on, faces, study):
            raise ConfigError(
                f"Stage {stage!r} trains on {name} {taken}, which study {study.name!r} protects. Take it out of "
                f"plan.stages.{stage}.data.train."
            )


def protected_of(
    of: Prepared, splits: Sequence[str], faces: Mapping[str, Faces], study: Study
) -> Iterator[tuple[str, list[str]]]:
    """Of some splits of a preparation those that the study protects, by every name that the release goes by."""
    names = {of.release, *(other.name for other in faces.values() if of.is_of(prepared(other)))}
    for name in sorted(names):
        if taken := [split for split in splits if study.protects(name, split)]:
            yield name, taken

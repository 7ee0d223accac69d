"""Lineage: what a weights file was made from, stage by stage, back to the initial weights.

It is written into the weights' own record and into ``result.json``, and inherited by whatever starts from the file. The guard,
"trained on", "selected on", caveats and the identity of rows derive from it. Splits are named by the digest of the faces and
the release's own name, never by the word under which a command knew the folder.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from fer_transfer.errors import StoreError
from fer_transfer.faces.held_out import held_out_called, split_said
from fer_transfer.files.digest import digest
from fer_transfer.labels import EXPRESSIONS

LINEAGE_VERSION = 1

#: Of a lineage with teachers, which a version of before would overlook.
TAUGHT_VERSION = 2


@dataclass(frozen=True)
class Prepared:
    """One preparation of a release.

    Attributes:
        digest: of the faces.
        release: the release's own name, from the manifest.
        origin: of the files they were made from (``Faces.origin``), or "".
        splits: all that it holds.
        classes: the label set.
    """

    digest: str
    release: str
    origin: str = ""
    splits: tuple[str, ...] = ()
    classes: tuple[str, ...] = EXPRESSIONS

    def is_of(self, other: "Prepared") -> bool:
        """Whether these are the same faces, or another preparation of one release: its splits hold the same people."""
        alike = self.release == other.release or (self.origin != "" and self.origin == other.origin)
        return self.digest == other.digest or alike

    def shows(self, other: "Prepared") -> bool:
        """Whether these are the same faces, or the same pictures of one release cut otherwise: a face here for each there."""
        pictures, others = ((of.release, of.origin, of.splits, of.classes) for of in (self, other))
        return self.digest == other.digest or (self.origin != "" and pictures == others)

    def shares(self, own: Iterable[str], other: "Prepared", split: str) -> bool:
        """Whether a split of another preparation may hold faces of some splits of this one.

        Splits of one preparation hold no face twice. So a split is another than ``own`` where this preparation knows it under
        its name, or where the other knows all of ``own``. Otherwise the two divide the release differently (Public and Private
        merged into "test"), and nobody can tell.
        """
        own = set(own)
        if not own or not self.is_of(other):
            return False
        return split in own or not (split in self.splits or own <= set(other.splits))


@dataclass(frozen=True)
class FacesUsed:
    """One prepared release in a stage.

    Attributes:
        prepared: which.
        trained_on, selected_on: its splits; of the latter also shares that are held out of the former (``HeldOut.name``).
        caveats: what must stand beside every number made from these faces.
        geometry: its digest, where the stage sees that in place of pixels; else empty.
    """

    prepared: Prepared
    trained_on: tuple[str, ...]
    selected_on: tuple[str, ...]
    caveats: tuple[str, ...]
    geometry: str = ""

    @property
    def digest(self) -> str:
        """Of the faces."""
        return self.prepared.digest

    @property
    def seen(self) -> str:
        """Digest of all that the stage sees: of the faces, and of their geometry where it sees that."""
        return f"{self.digest}+{self.geometry}" if self.geometry else self.digest

    @property
    def release(self) -> str:
        """The release's own name."""
        return self.prepared.release

    def training_text(self, joint: str) -> str:
        """What was trained on, for a reader: ``Training+PublicTest less 10 % of Training, seed 0``."""
        less = [split_said(split) for split in self.selected_on if held_out_called(split)]
        return joint.join(self.trained_on) + (f" less {' and '.join(less)}" if less else "")


def classes_of(faces: Iterable[FacesUsed]) -> tuple[str, ...]:
    """The label set of what a stage uses, which is of one (``inputs.check_labels``)."""
    return next((used.prepared.classes for used in faces), EXPRESSIONS)


@dataclass(frozen=True)
class StageLineage:
    """One stage.

    Attributes:
        name: of the stage in the plan that trained it.
        key: in the store.
        start: the key of the stage before it, or the identity of the initial weights.
        recipe: plain data, with the seed, without paths and without what cannot change the weights.
        faces: those it was trained and selected on, in the order of the recipe.
        note: the user's caveat of the run, or None.
        teachers: lineages of the networks that it learned from besides, in the order of their keys.
    """

    name: str
    key: str
    start: str
    recipe: Mapping[str, Any]
    faces: tuple[FacesUsed, ...]
    note: str | None = None
    teachers: tuple["Lineage", ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The label set of its faces, and of its head."""
        return classes_of(self.faces)

    def head_after(self, before: "StageLineage") -> str:
        """What became of the head of a stage before with another label set; empty where it has the same."""
        if before.classes == self.classes:
            return ""
        new = [name for name in self.classes if name not in before.classes]
        gone = [name for name in before.classes if name not in self.classes]
        words = [f"{word} {_some(names)}" for word, names in (("with", new), ("without", gone)) if names]
        sets = f"{len(self.classes)} classes after {len(before.classes)}, {', '.join(words) or 'in another order'}"
        shared = self.recipe.get("head") == "shared" and len(new) < len(self.classes)
        return f"{'rows of shared classes kept in the head' if shared else 'new head'} at {self.name}: {sets}"

    @property
    def seed(self) -> int:
        """Of the stage's recipe."""
        return int(self.recipe["seed"])

    @property
    def at_most(self) -> int | None:
        """Faces of a split that it was trained, selected and scored on; None: all."""
        return self.recipe.get("at_most")

    @property
    def caveat(self) -> str | None:
        """What must stand beside every number of weights that came through a stage of few faces, or None."""
        if self.at_most is None:
            return None
        epochs = int(self.recipe["epochs"])
        return f"quick: at most {self.at_most} faces a split, {epochs} epoch{'s' * (epochs > 1)}"

    @property
    def chose_an_epoch(self) -> bool:
        """Whether the epoch was chosen on the selection splits; otherwise they were only watched."""
        return bool(self.recipe["keep"] == "best")


@dataclass(frozen=True)
class Lineage:
    """Stages, the oldest first, and what the oldest started from.

    Attributes:
        weights: what the initial weights were, for tables: ``none``, ``hub:...``, a file with its digest.
        pretraining: what must be said of them ("no pre-training"), or None.
        stages: none for initial weights alone.
    """

    weights: str
    pretraining: str | None
    stages: tuple[StageLineage, ...] = ()

    def then(self, stage: StageLineage) -> "Lineage":
        """This lineage with one more stage."""
        return Lineage(self.weights, self.pretraining, (*self.stages, stage))

    def trained_on(self, prepared: Prepared, split: str) -> bool:
        """Whether a stage was, or may have been, trained on faces of a split: then it is no evaluation.

        On a share that is held out of a split whatever was trained on the split was, unless it held out the same.
        """
        held = None if split in prepared.splits else held_out_called(split)
        whole = [split] if held is None else held.splits(prepared.splits)
        return any(
            any(used.prepared.shares(used.trained_on, prepared, one) for one in whole)
            and not (held and used.digest == prepared.digest and split in used.selected_on)
            for used in self._used()
        )

    def selected_on(self, prepared: Prepared, split: str) -> bool:
        """Whether a stage chose its epoch on faces of a split: a score there is optimistic."""
        chosen = (used for stage in self.everything() if stage.chose_an_epoch for used in stage.faces)
        return any(used.prepared.shares(used.selected_on, prepared, split) for used in chosen)

    @property
    def faces(self) -> dict[str, str]:
        """Release by digest of all faces that a stage was trained or selected on."""
        return {used.digest: used.release for used in self._used()}

    @property
    def caveats(self) -> tuple[str, ...]:
        """What must stand beside every number of these weights, each once."""
        of_faces = [f"{used.release}: {caveat}" for used in self._used() for caveat in used.caveats]
        heads = [later.head_after(before) for before, later in pairwise(self.stages)]
        of_stages = [text for stage in self.everything() for text in (stage.caveat, stage.note)]
        return tuple(text for text in dict.fromkeys([*of_faces, *heads, *of_stages, self.pretraining]) if text)

    def seedless(self, own: int) -> str:
        """Identity, seeds apart, of the last ``own`` stages and of what the first of them started from.

        Names do not count: a stage that two plans share has the name of whichever trained it.
        """
        stages = [
            {
                "recipe": {key: value for key, value in stage.recipe.items() if key != "seed"},
                "faces": [[used.seen, used.trained_on, used.selected_on] for used in stage.faces],
            }
            for stage in self.stages[-own:]
        ]
        return digest([self.stages[-own].start, stages])

    def to_json(self) -> dict[str, Any]:
        """Plain data, as it travels with weights."""
        taught = any(stage.teachers for stage in self.stages)
        return {"version": TAUGHT_VERSION if taught else LINEAGE_VERSION, **_without_none(asdict(self))}

    def everything(self) -> Iterator[StageLineage]:
        """The stages, before each those that its teachers came through: what these saw has told on it too."""
        for stage in self.stages:
            for teacher in stage.teachers:
                yield from teacher.everything()
            yield stage

    def _used(self) -> Iterable[FacesUsed]:
        return (used for stage in self.everything() for used in stage.faces)


def _without_none(content: dict[str, Any]) -> dict[str, Any]:
    """A lineage as plain data, whose stages say nothing of teachers where they have none."""
    for stage in content["stages"]:
        for teacher in stage["teachers"]:
            _without_none(teacher)
        if not stage["teachers"]:
            del stage["teachers"]
    return content


def lineage_from_json(content: Any, where: object) -> Lineage:
    """Read what ``to_json`` wrote.

    Args:
        content: plain data.
        where: the file, for the message.

    Raises:
        StoreError: if it is of another version, or damaged.
    """
    version = content.get("version") if isinstance(content, Mapping) else None
    if version not in (LINEAGE_VERSION, TAUGHT_VERSION):
        raise StoreError(
            f"Expected a lineage of version {LINEAGE_VERSION} or {TAUGHT_VERSION} in {where}, but got {version!r}: it was "
            "written by another version of fer_transfer, or is damaged. Train the stage again with this one."
        )
    try:
        return _lineage(content)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"Expected a lineage in {where}, but it is damaged ({type(error).__name__}: {error}). Train the stage again."
        ) from None


def _lineage(content: Mapping[str, Any]) -> Lineage:
    return Lineage(
        _text(content["weights"]),
        None if content["pretraining"] is None else _text(content["pretraining"]),
        tuple(_stage(stage) for stage in content["stages"]),
    )


def _stage(content: Mapping[str, Any]) -> StageLineage:
    recipe = dict(content["recipe"])
    int(recipe["seed"]), str(recipe["keep"])  # what the properties read
    if recipe.get("at_most") is not None:
        int(recipe["at_most"]), int(recipe["epochs"])
    return StageLineage(
        _text(content["name"]),
        _text(content["key"]),
        _text(content["start"]),
        recipe,
        tuple(map(_faces_used, content["faces"])),
        None if content["note"] is None else _text(content["note"]),
        tuple(_lineage(teacher) for teacher in content.get("teachers", ())),
    )


def _faces_used(content: Mapping[str, Any]) -> FacesUsed:
    return FacesUsed(
        prepared_from_json(content["prepared"]),
        tuple(map(_text, content["trained_on"])),
        tuple(map(_text, content["selected_on"])),
        tuple(map(_text, content["caveats"])),
        _text(content.get("geometry", "")),
    )


def prepared_from_json(content: Mapping[str, Any]) -> Prepared:
    """Read a preparation as it stands in a lineage or a record."""
    digest, release, origin = (_text(content[key]) for key in ("digest", "release", "origin"))
    splits, classes = (tuple(map(_text, of)) for of in (content["splits"], content.get("classes", EXPRESSIONS)))
    return Prepared(digest, release, origin, splits, classes)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, but got {value!r}")
    return value

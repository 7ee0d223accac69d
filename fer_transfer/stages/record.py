"""The record of a finished plan: what a report needs to know besides the predictions. One JSON file a row and seed.

A record is found by what was trained and how it was evaluated, so a command that is repeated finds its record again: with
other faces to be scored on, or under other settings of its sweep, it adds to it and takes nothing away.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from fer_transfer.errors import StoreError
from fer_transfer.faces.counts import FacesCounts, counts_from_json
from fer_transfer.files.digest import digest
from fer_transfer.files.document import DocumentError, read_document, without_digest
from fer_transfer.stages.lineage import Lineage, Prepared, StageLineage, lineage_from_json, prepared_from_json

RECORD_VERSION = 2

_AGAIN = "Delete it and run fer-train again."


@dataclass(frozen=True)
class ScoredFaces:
    """Prepared faces that a plan was scored on, or made from.

    Attributes:
        prepared: which they are.
        caveats: what must stand beside numbers made from them.
        preparation: how frames were cut, in a few words.
        counts: faces by split and class, lost ones, duplicates; None in records of a version that did not keep them.
        pipeline: how frames become such faces (``FacePipeline.settings``), so that other pictures are cut alike; None where
            none were searched, or in a record of before it was kept.
    """

    prepared: Prepared
    caveats: tuple[str, ...]
    preparation: str
    counts: FacesCounts | None = None
    pipeline: Mapping[str, Any] | None = None

    @property
    def release(self) -> str:
        """The release's own name."""
        return self.prepared.release


@dataclass(frozen=True)
class ScoredSplit:
    """Predictions of one split: digest of the faces, split, the file, relative to the store, as a POSIX path, and its digest."""

    faces: str
    split: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """One finished plan with its seeds.

    Attributes:
        submission: the row of the study's table that was asked for, or None.
        plan, backbone: what was run.
        evaluation: from the centre crop or from ten.
        seeds: of the plan's own stages, in order.
        settings_ids: the sweeps it belongs to: rows that share one stand in one table.
        row_id: the same for rows that differ in their seeds alone.
        lineage: of the weights that were scored.
        settings: printable values by name.
        stages: name, key, epochs and seconds of each of the plan's stages.
        faces: by digest, all that it was made from or scored on.
        predictions: one for each split and digest.
        notes: caveats given on the command line.
        environment: device and versions, and the first command known to make the row.
    """

    submission: str | None
    plan: str
    backbone: str
    evaluation: str
    seeds: tuple[int, ...]
    settings_ids: tuple[str, ...]
    row_id: str
    lineage: Lineage
    settings: Mapping[str, Any]
    stages: tuple[Mapping[str, Any], ...]
    faces: Mapping[str, ScoredFaces]
    predictions: tuple[ScoredSplit, ...]
    notes: tuple[str, ...]
    environment: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """Names its file: the plan, what was trained, and how it was evaluated."""
        return digest([self.plan, self.lineage.stages[-1].key, self.evaluation])

    @property
    def seed(self) -> str:
        """The seed, or those of the stages where they differ: ``0+7``."""
        return str(self.seeds[0]) if len(set(self.seeds)) == 1 else "+".join(map(str, self.seeds))

    @property
    def classes(self) -> tuple[str, ...]:
        """The label set of its predictions: that of its last stage."""
        return self.lineage.stages[-1].classes

    @property
    def own_stages(self) -> tuple[StageLineage, ...]:
        """The plan's own of the lineage: without what the initial weights came through."""
        return self.lineage.stages[-len(self.seeds) :]

    @property
    def selection(self) -> set[tuple[str, str]]:
        """Digest and split of what the last stage was selected on."""
        return {(used.digest, split) for used in self.lineage.stages[-1].faces for split in used.selected_on}

    def trained_on(self, faces: str, split: str) -> bool:
        """Whether a stage was, or may have been, trained on a split of faces that it describes (``Lineage.trained_on``)."""
        return self.lineage.trained_on(self.faces[faces].prepared, split)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as it is kept."""
        return {"version": RECORD_VERSION, **asdict(self), "lineage": self.lineage.to_json()}

    def joined(self, older: "Record") -> "Record":
        """This record, with the predictions, sweeps and notes that an older record of the same row has besides."""
        own = {(scored.faces, scored.split) for scored in self.predictions}
        others = [scored for scored in older.predictions if (scored.faces, scored.split) not in own]
        return replace(
            self,
            submission=self.submission or older.submission,
            settings_ids=tuple(dict.fromkeys([*older.settings_ids, *self.settings_ids])),
            faces=_all_faces(older.faces, self.faces),
            predictions=(*self.predictions, *others),
            notes=tuple(dict.fromkeys([*older.notes, *self.notes])),
            environment={**self.environment, **_command_of(older.environment)},
        )

    def without_additions(self) -> "Record":
        """This record without what older versions did not keep: counts and pipeline of the faces, and the command."""
        faces = {key: replace(of, counts=None, pipeline=None) for key, of in self.faces.items()}
        environment = {name: value for name, value in self.environment.items() if name != "command"}
        return replace(self, faces=faces, environment=environment)


def _command_of(environment: Mapping[str, Any]) -> dict[str, Any]:
    return {"command": environment["command"]} if "command" in environment else {}


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        StoreError: if it is damaged, or was written by another version.
    """
    try:
        content = read_document(path)
    except (OSError, DocumentError) as error:
        content = without_digest(path)  # of a version before records carried one
        if content.get("version") not in range(RECORD_VERSION):
            raise StoreError(f"Expected a record in {path}, but it is damaged: {error}. {_AGAIN}") from None
    version = content.get("version")
    if version != RECORD_VERSION:
        raise StoreError(
            f"Expected a record of version {RECORD_VERSION} in {path}, but got {version!r}. A store of another version of "
            "fer_transfer is read by that version only: train into another store (runtime.store=<folder>), or delete the record "
            "to leave its row out of reports."
        )
    try:
        record = _record(content, path)
        if record.identity != path.stem:
            raise ValueError(f"it is the record of {record.identity}")
        return record
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"Expected a record in {path}, but it is damaged ({type(error).__name__}: {error}). {_AGAIN}"
        ) from None


def _record(content: Mapping[str, Any], path: Path) -> Record:
    lineage = lineage_from_json(content["lineage"], path)
    seeds, stages = tuple(int(seed) for seed in content["seeds"]), tuple(dict(stage) for stage in content["stages"])
    if not lineage.stages or not seeds or not content["settings_ids"]:
        raise ValueError("no stage, seed or settings")
    return Record(
        submission=None if content["submission"] is None else _text(content, "submission"),
        plan=_text(content, "plan"),
        backbone=_text(content, "backbone"),
        evaluation=_text(content, "evaluation"),
        seeds=seeds,
        settings_ids=tuple(map(str, content["settings_ids"])),
        row_id=_text(content, "row_id"),
        lineage=lineage,
        settings=dict(content["settings"]),
        stages=stages,
        faces={key: _faces(of) for key, of in content["faces"].items()},
        predictions=tuple(_scored(scored, content["faces"]) for scored in content["predictions"]),
        notes=_texts(content, "notes"),
        environment=dict(content["environment"]),
    )


def _faces(content: Mapping[str, Any]) -> ScoredFaces:
    caveats, preparation = _texts(content, "caveats"), _text(content, "preparation")
    counts, pipeline = content.get("counts"), content.get("pipeline")
    prepared = prepared_from_json(content["prepared"])
    return ScoredFaces(
        prepared,
        caveats,
        preparation,
        None if counts is None else counts_from_json(counts, prepared.classes),
        None if pipeline is None else dict(pipeline),
    )


def _all_faces(older: Mapping[str, ScoredFaces], newer: Mapping[str, ScoredFaces]) -> dict[str, ScoredFaces]:
    """The faces of both, by digest: as the newer tells of them, with the counts and the pipeline of whichever has them."""
    kept = {**older, **newer}
    for key, of in kept.items():
        before = older.get(key, of)
        kept[key] = replace(of, counts=of.counts or before.counts, pipeline=of.pipeline or before.pipeline)
    return kept


def _scored(content: Mapping[str, Any], faces: Mapping[str, Any]) -> ScoredSplit:
    """Predictions that lie in the store, of faces that the record describes."""
    file = PurePosixPath(_text(content, "file"))
    if file.is_absolute() or ".." in file.parts or "\\" in str(file):
        raise ValueError(f"predictions outside the store: {file}")
    if content["faces"] not in faces:
        raise ValueError(f"predictions of faces that it does not describe: {content['faces']}")
    return ScoredSplit(_text(content, "faces"), _text(content, "split"), str(file), _text(content, "sha256"))


def _text(content: Mapping[str, Any], key: str) -> str:
    if not isinstance(content[key], str):
        raise TypeError(f"{key} is {content[key]!r}")
    return str(content[key])


def _texts(content: Mapping[str, Any], key: str) -> tuple[str, ...]:
    if not isinstance(content[key], list):
        raise TypeError(f"{key} is {content[key]!r}")
    return tuple(map(str, content[key]))

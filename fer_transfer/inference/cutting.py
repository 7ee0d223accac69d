"""How pictures become faces for a model: by the pipeline that its own faces were made by, as the row's record keeps it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fer_transfer.config import build, plain
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages.record import Record, ScoredFaces

if TYPE_CHECKING:
    from fer_transfer.detection.pipeline import FacePipeline

#: What is taken where nothing is recorded: conf/pipeline/aligned.yaml, as fer-prepare does.
ASSUMED = "aligned"


@dataclass(frozen=True)
class Cutting:
    """How frames become the faces that a model knows.

    Attributes:
        said: where it is known from, in a sentence.
        settings: of the pipeline (``FacePipeline.settings``); None: not recorded.
    """

    said: str
    settings: Mapping[str, Any] | None = None

    @property
    def colour(self) -> bool:
        """Whether these faces are RGB; else they are grey."""
        return self.settings is not None and self.settings.get("colour") is True

    def pipeline(self, detector_model: str | Sequence[str] | None = None) -> "FacePipeline":
        """The pipeline, made again.

        Raises:
            ConfigError: if it cannot be made here.
        """
        from fer_transfer.detection.recorded import pipeline_from

        return face_pipeline(ASSUMED) if self.settings is None else pipeline_from(self.settings, detector_model)


def face_pipeline(name: str = ASSUMED, colour: bool = False) -> "FacePipeline":
    """How frames become faces, by ``conf/pipeline/NAME.yaml``: ``aligned`` is the paper's; grey, or in colour.

    ``find(frame)`` gives the face of a frame, uint8 [H, W, 3], BGR; ``detector``, ``landmarker`` and ``crop`` are its steps.

    Raises:
        ConfigError: if there is none.
    """
    said = ["++pipeline.colour=true"] if colour else []
    settings = plain(compose("prepare", ["release=frames", "release.path=.", f"pipeline={name}", *said]).pipeline)
    made: FacePipeline = build("pipeline", settings)
    return made


def cutting_of(records: list[Record]) -> Cutting:
    """How the faces of some rows were cut.

    A row trained on faces as they were released (FER-2013's 48x48) knows no frames: pictures are then cut as the faces that it
    was scored on.

    Raises:
        ConfigError: if the rows' faces were cut differently.
    """
    found = [_of_record(record) for record in records]
    if not found:
        return Cutting(f"assumed: cut by pipeline={ASSUMED}, for no row of the store tells how its faces were cut")
    for record, other in zip(records, found, strict=True):
        if other.settings != found[0].settings:
            raise ConfigError(
                f"Expected rows whose faces were cut alike, but {_name(records[0])} and {_name(record)} were trained on other "
                f"crops ({found[0].said}; {other.said}). Say which holds for all: pipeline=aligned, say."
            )
    return found[0]


def _of_record(record: Record) -> Cutting:
    for faces, how in _candidates(record):
        if faces.pipeline is not None:
            return Cutting(f"cut as the {faces.release} faces that it was {how} ({faces.preparation})", faces.pipeline)
    return Cutting(
        f"assumed: cut by pipeline={ASSUMED}, for the record does not tell how its faces were cut (the row's fer-train command "
        "writes that down and trains nothing)"
    )


def _candidates(record: Record) -> Iterator[tuple[ScoredFaces, str]]:
    """Faces of the row: those of its stages, the last stage's first, of each those in colour first; then those scored on."""
    for stage in reversed(record.lineage.stages):
        known = [record.faces[used.digest] for used in stage.faces if used.digest in record.faces]
        for faces in sorted(known, key=lambda faces: not (faces.pipeline or {}).get("colour", False)):
            yield faces, "trained on"
    for faces in record.faces.values():
        yield faces, "scored on; it was trained on faces as they were released"


def _name(record: Record) -> str:
    return f"{record.plan}/{record.backbone}"

"""A store opened for use: its rows by name, and models made of them."""

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.inference.cutting import Cutting, cutting_of, face_pipeline
from fer_transfer.inference.frames import data_frame
from fer_transfer.inference.model import Ensemble, FaceModel
from fer_transfer.inference.predictor import Predictor
from fer_transfer.inference.provenance import Member, Provenance, caveats_of, member_of
from fer_transfer.inference.row import Row, ensemble, trained
from fer_transfer.inference.stored import StoredPredictions
from fer_transfer.stages.record import Record
from fer_transfer.stages.rows import StoredRow, row_called, stored_rows
from fer_transfer.study import Ensemble as Declared
from fer_transfer.study import Study, study_called
from fer_transfer.upkeep.contents import Kept, contents
from fer_transfer.upkeep.contents import open_store as folder_of_store
from fer_transfer.upkeep.ensembles import composed

if TYPE_CHECKING:
    from fer_transfer.detection.pipeline import FacePipeline


class OpenStore:
    """A store of trained stages.

    Args:
        path: the folder that fer-train filled.
        study: whose ensembles are rows too: checked, its name in ``conf/study``, or a file of one's own; None: none.

    Raises:
        StoreError: if there is none, or it is of a newer version.
        ConfigError: if there is no such study, or it is wrong.
    """

    def __init__(
        self, path: str | os.PathLike[str] = "store", study: Study | str | os.PathLike[str] | None = None
    ) -> None:
        self._contents = contents(folder_of_store(Path(path).expanduser()))
        self._study = study if study is None or isinstance(study, Study) else study_called(study)
        self._unmade: list[str] = []

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._contents.root

    @property
    def problems(self) -> tuple[str, ...]:
        """What of it cannot be read, and which ensembles cannot be made, in words; the rest can be used."""
        self.rows()
        return (*self._contents.broken.values(), *self._unmade)

    def rows(self) -> tuple[Row, ...]:
        """Every finished row, by name; then the study's ensembles that can be made of them."""
        return self._rows

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        made = []
        for name in self._ensembles:
            try:
                made.append(self._ensemble(name))
            except StoreError as error:
                self._unmade.append(str(error))
        return (*(trained(row, self.path) for row in self._stored), *made)

    @cached_property
    def _stored(self) -> tuple[StoredRow, ...]:
        return stored_rows(self._contents.records.values())

    @property
    def _ensembles(self) -> Mapping[str, Declared]:
        return self._study.ensembles if self._study else {}

    def _ensemble(self, name: str) -> Row:
        assert self._study is not None
        return ensemble(composed(name, self._ensembles[name], self._stored, self.path, self._study), self.path)

    def frame(self, library: str | None = None) -> Any:
        """A line for every row and split: accuracy of the mean over the seeds, interval, macro recall, caveats.

        Args:
            library: ``pandas`` or ``polars``; None: whichever is installed.

        Raises:
            ConfigError: if neither is installed.
            StoreError: if predictions are missing or damaged.
        """
        lines = [
            {
                "row": row.name,
                "plan": row.plan,
                "backbone": row.backbone,
                "seeds": len(row.seeds),
                "split": score.split,
                "correct": score.correct,
                "faces": score.count,
                "accuracy": score.accuracy,
                "low": score.low,
                "high": score.high,
                "macro_recall": score.macro_recall,
                "caveats": "; ".join(row.caveats),
            }
            for row in self.rows()
            for score in row.scores
        ]
        columns = ("row", "plan", "backbone", "seeds", "split", "correct", "faces", "accuracy", "low", "high")
        return data_frame(
            {key: [line[key] for line in lines] for key in (*columns, "macro_recall", "caveats")}, library
        )

    def row(self, name: str) -> Row:
        """The row of a name: ``plan/backbone``, a plan alone, a submission (``sub3``), or more of these where one is not enough.

        An ensemble of the study that the store was opened with goes by its own name.

        Raises:
            StoreError: if there is none, with the nearest name; or several; or the ensemble cannot be made.
        """
        if name in self._ensembles:
            return self._ensemble(name)
        return trained(row_called(name, self._stored, self.path, self._ensembles), self.path)

    def load(
        self,
        *names: str,
        seeds: str | int | Sequence[int | str] = "all",
        calibrated: bool = True,
        evaluation: str | None = None,
        weights: Sequence[float] | None = None,
        pipeline: "FacePipeline | str | None" = None,
        detector_model: str | Sequence[str] | None = None,
        device: str = "auto",
    ) -> Predictor:
        """A model made of rows or stages: the mean of the probabilities of all their networks.

        Args:
            names: of rows, as ``row`` takes them, with ``/SEED`` for one seed; or keys of stages (their beginnings).
            seeds: ``all``, or those to take.
            calibrated: divide the logits by the temperature that fits the selection split best, which changes no expression;
                where there is no common selection split it is left out, and said.
            evaluation: ``centre`` crop or ``ten_crops``; None: as the row was evaluated.
            weights: of the rows in the mean; None: every network alike.
            pipeline: what cuts faces, in place of what the row's own were cut by: one, or a name (``aligned``, ``box``).
            detector_model: the file of the model that found the row's faces (YuNet, MediaPipe); of two, both.
            device: ``auto``, ``cpu``, ``cuda``, ``mps``.

        Raises:
            StoreError: if there is no such row, seed or stage, or it is damaged.
            ConfigError: if label sets or crops of the rows differ, or an argument is no such thing.
        """
        if not names:
            raise ConfigError("Expected the name of a row, such as 'fer28_emotiw/resnet18', or the key of a stage.")
        if odd := [name for name in names if not isinstance(name, str)]:
            raise ConfigError(
                f"Expected names of rows or stages, each an argument of its own: load('a', 'b'), but got {odd[0]!r}."
            )
        parts = [self._part(name, seeds, evaluation) for name in names]
        given = [1.0] * len(parts) if weights is None else np.asarray(weights, np.float64).tolist()
        if len(given) != len(parts):
            raise ConfigError(f"Expected a weight for each of {len(parts)} rows, but got {weights}.")
        each = [
            share
            * (len(part.networks) if weights is None else weight)  # of rows without weights every network counts alike
            for part, weight in zip(parts, given, strict=True)
            for share in part.shares
        ]
        networks = [network for part in parts for network in part.networks]
        records = [record for part in parts for record in part.records]
        model = Ensemble([_model(*network, device) for network in networks], each)
        about = self._about(" + ".join(names), parts, model, calibrated)
        cutting = Cutting("by the pipeline that was given") if pipeline is not None else cutting_of(records)
        made = face_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
        return Predictor(
            model.members[0] if len(model.members) == 1 else model,
            cutting,
            replace(about, cutting=cutting.said),
            detector_model,
            made,
        )

    def _part(self, name: str, seeds: Any, evaluation: str | None) -> "_Part":
        """The networks of one name: of a row, or of a stage by its key."""
        try:
            row, seeds = self._row_and_seeds(name, seeds)
        except StoreError as no_row:
            if not _may_be_key(name) or not any(key.startswith(name) for key in self._contents.stages):
                raise no_row from None
            kept = self._contents.stage(name)
            records = [self._contents.records[i] for i in self._contents.rows_of.get(kept.key, ())]
            own = [record for record in records if record.lineage.stages[-1].key == kept.key]
            member = member_of(kept.lineage, kept.own.name, evaluation or "centre", str(kept.own.seed))
            return _Part([(kept, member)], own[:1] or records[:1], (1.0,))
        row = _chosen(row, seeds)
        networks = []
        for record in row.records:
            kept = self._kept(record)
            networks.append(
                (kept, member_of(record.lineage, record.plan, evaluation or record.evaluation, record.seed))
            )
        return _Part(networks, list(row.records), row.weights, row)

    def _row_and_seeds(self, name: str, seeds: Any) -> tuple[Row, Any]:
        """A row, and the seeds asked for: ``plan/backbone/0`` names one."""
        try:
            return self.row(name), seeds
        except StoreError:
            front, _, seed = name.rpartition("/")
            found = [row for row in self.rows() if front in row.names and seed in row.seeds]
            if len(found) != 1:
                raise
            return found[0], [seed]

    def _kept(self, record: Record) -> Kept:
        key = record.lineage.stages[-1].key
        if key not in self._contents.stages:
            why = self._contents.broken.get(self.path / key, "it is not there")
            raise StoreError(
                f"Expected stage {key} of {record.plan}/{record.backbone} (seed {record.seed}) in {self.path}, but: {why}. "
                "The row's fer-train command trains it again."
            )
        return self._contents.stages[key]

    def _about(self, name: str, parts: "Sequence[_Part]", model: Ensemble, calibrated: bool) -> Provenance:
        """What made the model; its scores where every network is a row's own and is evaluated as that was."""
        networks = [network for part in parts for network in part.networks]
        records = [record for part in parts for record in part.records]
        members = tuple(member for _, member in networks)
        as_stored = len(records) == len(networks) and all(
            record.lineage.stages[-1].key == kept.key and record.evaluation == member.evaluation
            for record, (kept, member) in zip(records, networks, strict=True)
        )
        fits = [part.row.fit for part in parts if part.row and part.row.fit]
        stored = StoredPredictions(self.path, records if as_stored else [], model.weights, fits)
        temperature = stored.temperature() if calibrated else None
        notes = [text for part in parts if part.row for text in part.row.notes]
        if calibrated and not temperature:
            without = "the networks share no selection split" if as_stored else "the store has no predictions made so"
            notes.append(f"not calibrated: {without}")
        alike = bool(np.allclose(model.weights, model.weights[0]))
        return Provenance(
            name,
            members,
            stored.scores(),
            caveats_of(records),
            temperature=temperature,
            weights=None if alike else tuple(model.weights.tolist()),
            ensembles=tuple(
                f"{part.row.name}: {part.row.ensemble}" for part in parts if part.row and part.row.ensemble
            ),
            notes=tuple(notes),
        )


@dataclass(frozen=True)
class _Part:
    """What one name comes to: networks, the records that tell of them, the share of each network, and the row."""

    networks: list[tuple[Kept, Member]]
    records: list[Record]
    shares: Sequence[float]
    row: Row | None = None


def open_store(
    path: str | os.PathLike[str] = "store", study: Study | str | os.PathLike[str] | None = None
) -> OpenStore:
    """Open the store that fer-train filled.

    Args:
        path: its folder.
        study: whose ensembles are rows too: its name in ``conf/study``, or a file of one's own; None: none.

    Raises:
        StoreError: if there is none, or it is of a newer version.
        ConfigError: if there is no such study, or it is wrong.
    """
    return OpenStore(path, study)


def _chosen(row: Row, seeds: Any) -> Row:
    if seeds == "all":
        return row
    wanted = [str(seed) for seed in ([seeds] if isinstance(seeds, str | int) else seeds)]
    if missing := [seed for seed in wanted if seed not in row.seeds]:
        raise StoreError(
            f"Expected seeds of {row.name} that were run, {', '.join(row.seeds)}, or all, but got {', '.join(missing)}."
        )
    return row.of_seeds(wanted)


def _model(kept: Kept, member: Member, device: str) -> FaceModel:
    if not kept.folder.is_finished():  # reads what changed since it was read last
        raise StoreError(f"Expected a finished stage in {kept.folder.path}.")
    with _nothing_collected():
        # Imported here: looking into a store does not wait for torch.
        from fer_transfer.inference.stage_model import StageModel

    return StageModel(kept.folder.weights, member.evaluation, device, f"{member.plan}/{member.backbone}/{member.seed}")


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Without garbage collection: what importing torch and timm makes stays, and looking through it takes a fifth of the time."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _may_be_key(name: str) -> bool:
    return len(name) >= 6 and set(name) <= set("0123456789abcdef")

"""A store opened for use: its rows by name, and models made of them."""

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_transfer.config import nearest
from fer_transfer.errors import ConfigError, StoreError
from fer_transfer.inference.cutting import Cutting, cutting_of, named_pipeline
from fer_transfer.inference.frames import data_frame
from fer_transfer.inference.model import Ensemble, FaceModel
from fer_transfer.inference.predictor import Predictor
from fer_transfer.inference.provenance import Member, Provenance, SplitScore, caveats_of, member_of
from fer_transfer.inference.stored import StoredPredictions
from fer_transfer.stages.record import Record
from fer_transfer.upkeep.contents import Kept, contents
from fer_transfer.upkeep.contents import open_store as folder_of_store

if TYPE_CHECKING:
    from fer_transfer.detection.pipeline import FacePipeline


@dataclass(frozen=True)
class Row:
    """A finished row of a store: a plan with a backbone, and all the seeds it was run with.

    Attributes:
        name: ``plan/backbone``; with ``#`` and digits where one name was run with several settings.
        plan, backbone, evaluation: what was run.
        submission: of the study's table, or None.
        records: one a seed.
        root: of the store.
    """

    name: str
    plan: str
    backbone: str
    evaluation: str
    submission: str | None
    records: tuple[Record, ...]
    root: Path

    @property
    def seeds(self) -> tuple[str, ...]:
        """Its seeds."""
        return tuple(record.seed for record in self.records)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What must stand beside every number of it."""
        return caveats_of(self.records)

    @cached_property
    def scores(self) -> tuple[SplitScore, ...]:
        """Accuracy of the mean over its seeds on every labelled split, over found faces, from stored predictions.

        Raises:
            StoreError: if predictions are missing or damaged.
        """
        return StoredPredictions(self.root, self.records, _alike(len(self.records))).scores()

    @property
    def names(self) -> tuple[str, ...]:
        """Words that mean it, where no other row has them too."""
        submissions = [self.submission, f"sub{self.submission}"] if self.submission else []
        return (self.name, f"{self.plan}/{self.backbone}", self.plan, *submissions)


class OpenStore:
    """A store of trained stages.

    Args:
        path: the folder that fer-train filled.

    Raises:
        StoreError: if there is none, or it is of a newer version.
    """

    def __init__(self, path: str | os.PathLike[str] = "store") -> None:
        self._contents = contents(folder_of_store(Path(path).expanduser()))

    @property
    def path(self) -> Path:
        """Its folder."""
        return self._contents.root

    @property
    def problems(self) -> tuple[str, ...]:
        """What of it cannot be read, in words; the rest can be used."""
        return tuple(self._contents.broken.values())

    def rows(self) -> tuple[Row, ...]:
        """Every finished row, by name."""
        return self._rows

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        by_row: dict[str, list[Record]] = {}
        for record in self._contents.records.values():
            by_row.setdefault(record.row_id, []).append(record)
        rows = [_row(records, self.path) for records in by_row.values()]
        names = [row.name for row in rows]
        named = [
            replace(row, name=f"{row.name}#{row.records[0].row_id[:6]}") if names.count(row.name) > 1 else row
            for row in rows
        ]
        return tuple(sorted(named, key=lambda row: row.name))

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

        Raises:
            StoreError: if there is none, with the nearest name; or several.
        """
        found = [row for row in self.rows() if row.name == name] or [row for row in self.rows() if name in row.names]
        if len(found) == 1:
            return found[0]
        if found:
            raise StoreError(
                f"Expected one row, but {len(found)} are called {name!r}: {', '.join(row.name for row in found[:5])}. Say which."
            )
        known = [row.name for row in self.rows()]
        some = f"{', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" if known else "none yet"
        raise StoreError(
            f"There is no finished row {name!r} in {self.path}.{nearest(name, [n for row in self.rows() for n in row.names])} "
            f"Rows there: {some}. fer-train runs others."
        )

    def load(
        self,
        *names: str,
        seeds: str | int | Sequence[int | str] = "all",
        calibrated: bool = True,
        evaluation: str | None = None,
        weights: Sequence[float] | None = None,
        pipeline: "FacePipeline | str | None" = None,
        detector_model: str | None = None,
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
            detector_model: the file of the detector's model, where the row's faces were found by YuNet.
            device: ``auto``, ``cpu``, ``cuda``, ``mps``.

        Raises:
            StoreError: if there is no such row, seed or stage, or it is damaged.
            ConfigError: if label sets or crops of the rows differ, or an argument is no such thing.
        """
        if not names:
            raise ConfigError("Expected the name of a row, such as 'fer28_emotiw/resnet18', or the key of a stage.")
        parts = [self._part(name, seeds, evaluation) for name in names]
        shares = np.ones(len(parts)) if weights is None else np.asarray(weights, np.float64)
        if shares.shape != (len(parts),):
            raise ConfigError(f"Expected a weight for each of {len(parts)} rows, but got {weights}.")
        each = [
            w / len(part.networks) if weights is not None else 1.0
            for part, w in zip(parts, shares, strict=True)
            for _ in part.networks
        ]
        networks = [network for part in parts for network in part.networks]
        records = [record for part in parts for record in part.records]
        model = Ensemble([_model(*network, device) for network in networks], each)
        about = self._about(" + ".join(names), networks, records, model, calibrated)
        cutting = Cutting("by the pipeline that was given") if pipeline is not None else cutting_of(records)
        made = named_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
        return Predictor(
            model.members[0] if len(model.members) == 1 else model,
            cutting,
            replace(about, cutting=cutting.said, weights=None if weights is None else tuple(model.weights.tolist())),
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
            return _Part([(kept, member)], own[:1] or records[:1])
        records = _chosen(row, seeds)
        networks = []
        for record in records:
            kept = self._kept(record)
            networks.append((kept, member_of(record.lineage, row.plan, evaluation or row.evaluation, record.seed)))
        return _Part(networks, records)

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

    def _about(
        self, name: str, networks: "list[tuple[Kept, Member]]", records: list[Record], model: Ensemble, calibrated: bool
    ) -> Provenance:
        """What made the model; its scores where every network is a row's own and is evaluated as that was."""
        members = tuple(member for _, member in networks)
        as_stored = len(records) == len(networks) and all(
            record.lineage.stages[-1].key == kept.key and record.evaluation == member.evaluation
            for record, (kept, member) in zip(records, networks, strict=True)
        )
        stored = StoredPredictions(self.path, records if as_stored else [], model.weights)
        temperature = stored.temperature() if calibrated else None
        notes = (
            []
            if temperature or not calibrated
            else ["not calibrated: no selection split that all networks were scored on"]
        )
        return Provenance(
            name, members, stored.scores(), caveats_of(records), temperature=temperature, notes=tuple(notes)
        )


@dataclass(frozen=True)
class _Part:
    """What one name comes to: networks, and the records that tell of them."""

    networks: list[tuple[Kept, Member]]
    records: list[Record]


def open_store(path: str | os.PathLike[str] = "store") -> OpenStore:
    """Open the store that fer-train filled.

    Args:
        path: its folder.

    Raises:
        StoreError: if there is none, or it is of a newer version.
    """
    return OpenStore(path)


def _row(records: list[Record], root: Path) -> Row:
    first = records[0]
    ordered = tuple(sorted(records, key=lambda record: record.seeds))
    submission = next((record.submission for record in records if record.submission), None)
    name = f"{first.plan}/{first.backbone}"
    return Row(name, first.plan, first.backbone, first.evaluation, submission, ordered, root)


def _chosen(row: Row, seeds: Any) -> list[Record]:
    if seeds == "all":
        return list(row.records)
    wanted = [str(seed) for seed in ([seeds] if isinstance(seeds, str | int) else seeds)]
    if missing := [seed for seed in wanted if seed not in row.seeds]:
        raise StoreError(
            f"Expected seeds of {row.name} that were run, {', '.join(row.seeds)}, or all, but got {', '.join(missing)}."
        )
    return [record for record in row.records if record.seed in wanted]


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


def _alike(count: int) -> Any:
    return np.full(count, 1 / count)


def _may_be_key(name: str) -> bool:
    return len(name) >= 6 and set(name) <= set("0123456789abcdef")

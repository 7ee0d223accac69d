"""A row of a store for whoever uses it: a plan with a backbone, or an ensemble of such rows, with what it scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fer_transfer.inference.frames import data_frame
from fer_transfer.inference.provenance import SplitScore, caveats_of
from fer_transfer.inference.stored import StoredPredictions
from fer_transfer.labels import UNLABELLED, as_columns
from fer_transfer.stages.rows import StoredRow
from fer_transfer.upkeep.ensembles import Composed, Fit


@dataclass(frozen=True)
class Row(StoredRow):
    """A finished row of a store: a plan with a backbone, and all the seeds it was run with; or an ensemble of such rows.

    Attributes:
        name: ``plan/backbone``; with ``#`` and digits where one name was run with several settings; or the ensemble's.
        plan, backbone, evaluation: what was run.
        submission: of the study's table, or None.
        records: one a seed; of an ensemble one a member and seed.
        root: of the store.
        weights: of the records in the mean of their probabilities, summing to 1.
        ensemble: of what it is an ensemble, and how its members count; empty for a row that was trained.
        fit: what weights of an ensemble were fitted on, where it has no score; or None.
        notes: what an ensemble leaves out, and why.
    """

    root: Path = Path("store")
    weights: tuple[float, ...] = ()
    ensemble: str = ""
    fit: Fit | None = None
    notes: tuple[str, ...] = ()

    @property
    def seeds(self) -> tuple[str, ...]:
        """Its seeds."""
        return tuple(dict.fromkeys(record.seed for record in self.records))

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
        return self._stored.scores()

    def predictions(self, split: str, library: str | None = None) -> Any:
        """What it said of the faces that were found, a row a face: the mean of its probabilities, as they are in the store.

        Args:
            split: ``release/split``, such as ``emotiw/Val``.
            library: ``pandas`` or ``polars``; None: whichever is installed.

        Returns:
            A data frame: ``face`` (its id), ``label`` (None where it is not known), ``expression`` (said), and the
            probability of each class, not calibrated (``class NAME`` of one that is called as another column).

        Raises:
            StoreError: if it was not scored there, or predictions are missing or damaged.
            ConfigError: if no such library is installed.
        """
        said = self._stored.of_split(split)
        columns: dict[str, Sequence[Any]] = {
            "face": said.ids.tolist(),
            "label": [None if label == UNLABELLED else said.classes[label] for label in said.labels.tolist()],
            "expression": [said.classes[one] for one in said.predicted.tolist()],
        }
        names = as_columns(said.classes, columns)
        by_class = {name: said.probabilities[:, i].tolist() for i, name in enumerate(names)}
        return data_frame(columns | by_class, library)

    @property
    def _stored(self) -> StoredPredictions:
        fits = [self.fit] if self.fit else []
        return StoredPredictions(self.root, self.records, np.asarray(self.weights), fits)

    def of_seeds(self, wanted: Sequence[str]) -> "Row":
        """The row with some of its seeds only."""
        kept = [(r, w) for r, w in zip(self.records, self.weights, strict=True) if r.seed in wanted]
        whole = sum(weight for _, weight in kept)
        return replace(
            self, records=tuple(record for record, _ in kept), weights=tuple(weight / whole for _, weight in kept)
        )


def trained(row: StoredRow, root: Path) -> Row:
    """A row that was trained."""
    alike = (1 / len(row.records),) * len(row.records)
    return Row(**vars(row), root=root, weights=alike)


def ensemble(of: Composed, root: Path) -> Row:
    """An ensemble: the mean, over the seeds, of the mean of its members."""
    records = [record for records in of.by_seed.values() for record in records]
    weights = [weight / len(of.by_seed) for weights in of.weights.values() for weight in weights]
    backbones, ways = (
        " + ".join(dict.fromkeys(getattr(row, key) for row in of.rows)) for key in ("backbone", "evaluation")
    )
    return Row(of.name, of.name, backbones, ways, None, tuple(records), root, tuple(weights), of.says, of.fit, of.notes)

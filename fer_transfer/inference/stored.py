"""Predictions of rows that lie in a store, averaged as a model averages its members: how good it is, and its temperature."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.ensemble import averaged
from fer_transfer.evaluation.metrics import macro_recall
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import wilson_interval
from fer_transfer.evaluation.temperature import Temperature, fitted
from fer_transfer.inference.provenance import SplitScore
from fer_transfer.stages.calibrated import kept_temperature
from fer_transfer.stages.lineage import Prepared
from fer_transfer.stages.record import Record
from fer_transfer.stages.scored import Together, scored_together
from fer_transfer.upkeep.ensembles import Fit

_LEVEL = 0.95


class StoredPredictions:
    """What some rows say of the faces that all of them were scored on, averaged as the model averages.

    Args:
        root: the store.
        records: of the rows.
        weights: of each in the mean, summing to 1.
        fits: what weights of ensembles were fitted on, where they have no score.
    """

    def __init__(
        self, root: Path, records: Sequence[Record], weights: NDArray[np.float64], fits: Sequence[Fit] = ()
    ) -> None:
        self.root, self.records, self.weights, self.fits = root, records, weights, fits

    def scores(self) -> tuple[SplitScore, ...]:
        """On every labelled split that all were scored on, and that no weights were fitted on.

        Raises:
            StoreError: if predictions are missing or damaged.
        """
        scored = (
            (together, mean)
            for together, mean in self._labelled()
            if not any(fit.shares(self._prepared(together), together[0].split) for fit in self.fits)
        )
        return tuple(self._score(together, mean) for together, mean in scored)

    def temperature(self) -> Temperature | None:
        """Fitted on the split that the last stage of every row was selected on, or None where there is no such split.

        Of one network the one that is kept beside its weights; of a mean of several, or where none is kept, it is fitted here.

        Raises:
            StoreError: if predictions are missing or damaged.
        """
        chosen = [record.selection for record in self.records]
        for together, mean in self._labelled():
            if all((of.faces, of.split) in selection for of, selection in zip(together, chosen, strict=True)):
                first = together[0]
                alone = len(self.records) == 1
                kept = kept_temperature(self.root, self.records[0], first.faces, first.split) if alone else None
                return kept or fitted(mean, self._named(together))
        return None

    def of_split(self, name: str) -> Predictions:
        """The mean for the found faces of ``release/split``.

        Raises:
            StoreError: if the rows were not all scored there, or predictions are missing or damaged.
        """
        known: dict[str, Together] = {}
        for together in scored_together(self.records):
            known.setdefault(self._named(together), together)
        mean = self._mean(known[name]) if name in known else None
        if mean is None:
            raise StoreError(
                f"Expected a split that was scored, one of {', '.join(known) or 'none'}, but got {name!r}."
            )
        return mean

    def _labelled(self) -> Iterator[tuple[Together, Predictions]]:
        """What each says, and the mean over the rows for the found faces, where all were scored and labels are known."""
        for together in scored_together(self.records):
            mean = self._mean(together)
            if mean is not None and len(mean) and mean.labelled:
                yield together, mean

    def _mean(self, together: Together) -> Predictions | None:
        """Of the found faces; None where rows were scored on other parts of the split (``recipe.at_most``)."""
        read = [Predictions.read(self.root / of.file, of.sha256) for of in together]
        try:
            return averaged(read, self.weights.tolist()).only_found()
        except ValueError:
            return None

    def _prepared(self, together: Together) -> Prepared:
        return self.records[0].faces[together[0].faces].prepared

    def _named(self, together: Together) -> str:
        return f"{self._prepared(together).release}/{together[0].split}"

    def _score(self, together: Together, mean: Predictions) -> SplitScore:
        matrix = mean.matrix
        correct, count = int(np.trace(matrix)), len(mean)
        prepared, split = self._prepared(together), together[0].split
        selected = any(record.lineage.selected_on(prepared, split) for record in self.records)
        low, high = wilson_interval(correct, count, _LEVEL)
        return SplitScore(self._named(together), correct, count, low, high, macro_recall(matrix), selected)

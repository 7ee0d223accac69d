"""The temperatures of rows, as predict uses them: kept beside the weights, or fitted on the same predictions."""

from pathlib import Path

from fer_transfer.evaluation.temperature import Temperature, fitted
from fer_transfer.reports.results import Row
from fer_transfer.stages.calibrated import kept_temperature


def temperature_of(row: Row, store: Path) -> Temperature | None:
    """The temperature of one row at one seed; None for an ensemble, and where no selection split was scored.

    Args:
        row: finished.
        store: where its stages are.
    """
    if row.ensemble:
        return None
    for of in row.record.predictions:
        name = f"{row.record.faces[of.faces].release}/{of.split}"
        if (of.faces, of.split) in row.record.selection and of.faces in row.faces.values() and name in row.predictions:
            found = row.predictions[name].only_found()
            if len(found) and found.labelled:
                return kept_temperature(store, row.record, of.faces, of.split) or fitted(found, name)
    return None

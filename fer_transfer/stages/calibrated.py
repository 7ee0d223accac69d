"""The temperature of a stage's probabilities: fitted on its selection split when it is predicted, and kept beside its weights.

``temperature.json`` in the stage's folder, or ``temperature.ten_crops.json``, says what it was fitted on, by digest. Of other
predictions, or damaged, it counts for nothing: whoever needs one fits it, and the next fer-train writes it again. It changes no
expression, so no accuracy, no key and no record.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from fer_transfer.evaluation.temperature import RANGE, Temperature
from fer_transfer.files.document import DocumentError, read_document, write_document
from fer_transfer.stages.record import Record
from fer_transfer.stages.store import StageFolder


def write_temperature(path: Path, fitted_on: Mapping[str, str], temperature: Temperature) -> None:
    """Write a temperature.

    Args:
        path: ``StageFolder.temperature``.
        fitted_on: what predictions: ``key`` of the stage, ``faces``, ``split``, ``by`` which evaluation, digest of the ``csv``.
        temperature: fitted on these.

    Raises:
        OSError: if it cannot be written.
    """
    write_document(path, {**fitted_on, "temperature": asdict(temperature)})


def read_temperature(path: Path, fitted_on: Mapping[str, str]) -> Temperature | None:
    """Read a temperature; None where there is none that was fitted on just this."""
    try:
        content = read_document(path)
        if {name: content.get(name) for name in fitted_on} != fitted_on:
            return None
        kept = Temperature(**content["temperature"])
        return kept if RANGE[0] <= kept.value <= RANGE[1] else None
    except (OSError, DocumentError, KeyError, TypeError):
        return None


def kept_temperature(root: Path, record: Record, faces: str, split: str) -> Temperature | None:
    """The temperature that lies beside a row's weights, if it was fitted on these predictions of the row; else None.

    Args:
        root: the store.
        record: of the row.
        faces: digest of the selection split's faces.
        split: the selection split.
    """
    key = record.lineage.stages[-1].key
    for scored in record.predictions:
        if (scored.faces, scored.split) == (faces, split):
            told = {"key": key, "faces": faces, "split": split, "by": record.evaluation, "csv": scored.sha256}
            return read_temperature(StageFolder(root / key).temperature(record.evaluation), told)
    return None

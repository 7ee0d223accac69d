"""The predictions that lie in a stage's folder: pairs of a CSV and the document that says of what it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fer_transfer.files.digest import file_digest
from fer_transfer.files.document import DocumentError, read_document
from fer_transfer.upkeep.contents import Kept, listed

if TYPE_CHECKING:
    from fer_transfer.evaluation.predictions import Predictions

_TOLD = {"key", "faces", "split", "by", "csv"}

#: What is told where there is something to tell: of caveats, and of what a network that sees geometry looked at.
_MORE = {"caveat", "geometry"}


@dataclass(frozen=True)
class PredictionsFile:
    """Predictions of a split, there or not as they were written.

    Attributes:
        csv: the file; its document stands beside it.
        stage: whose they are.
    """

    csv: Path
    stage: Kept

    @property
    def document(self) -> Path:
        """Says of what the CSV is."""
        return self.csv.with_suffix(".json")

    @property
    def release(self) -> str:
        """The release's name: what the file's has before the rest, which the document tells; "" if it has another rest."""
        told = self.told or {"split": "", "faces": "", "by": ""}
        rest = self.stage.folder.predictions("", told["split"], told["faces"], told["by"]).name
        return self.csv.name.removesuffix(rest) if self.csv.name.endswith(rest) else ""

    @cached_property
    def told(self) -> Mapping[str, str] | None:
        """What the document says, or None where it is missing or damaged."""
        try:
            told = read_document(self.document)
        except (OSError, DocumentError):
            return None
        whole = set(told) - _MORE == _TOLD and all(isinstance(value, str) for value in told.values())
        return told if whole else None

    @cached_property
    def sha256(self) -> str | None:
        """Of the CSV as it is, or None where it cannot be read."""
        try:
            return file_digest([self.csv])
        except OSError:
            return None

    def wrong(self) -> str | None:
        """Why these are not the stage's predictions as they were written; None: they are."""
        told = self.told
        if told is None:
            return f"Expected in {self.document} of what {self.csv.name} is, but it is missing or damaged."
        if told["key"] != self.stage.key:
            return f"Expected predictions of stage {self.stage.key} in {self.csv}, but they are of {told['key']}."
        if not self.release:
            return f"Expected {self.csv} to be named after what it is of, {told['split']} of faces {told['faces'][:8]}."
        if self.sha256 is None:
            return f"Expected predictions in {self.csv}, but they cannot be read."
        if self.sha256 != told["csv"]:
            return f"Expected in {self.csv} the bytes of digest {told['csv'][:12]}, but got {self.sha256[:12]}."
        return None

    def read(self) -> "Predictions":
        """Read and check them.

        Raises:
            StoreError: if they are not what was written.
        """
        from fer_transfer.evaluation.predictions import Predictions  # numpy, which only scores need

        return Predictions.read(self.csv, (self.told or {}).get("csv", "nothing is told"))


def predictions_of(stage: Kept) -> list[PredictionsFile]:
    """Every pair in a stage's folder, also where one of the two is missing.

    Raises:
        StoreError: if the folder cannot be listed.
    """
    paths = [path for path in listed(stage.folder.path / "predictions") if not path.name.startswith(".")]
    csvs = dict.fromkeys(path.with_suffix(".csv") for path in paths if path.suffix in (".csv", ".json"))
    return [PredictionsFile(csv, stage) for csv in csvs]

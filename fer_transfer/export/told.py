"""All that is known of an export, for those who write it down: the record in the ONNX file, the card, the command."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fer_transfer.export.checking import Checked
from fer_transfer.export.onnx_file import OPSET
from fer_transfer.export.quantised import Loss
from fer_transfer.inference.cutting import Cutting
from fer_transfer.inference.provenance import Provenance
from fer_transfer.inference.stage_model import StageModel


@dataclass(frozen=True)
class Told:
    """What is known.

    Attributes:
        about: what made the model and how good it is.
        cutting: how pictures become its faces.
        labels: of the probabilities, in order.
        networks: whose probabilities are averaged.
        places: where the weights of each lie in the folder: "" or "network-1/".
        checked: against PyTorch.
        loss: of int8, where it was asked for.
        versions: of what made it.
    """

    about: Provenance
    cutting: Cutting
    labels: tuple[str, ...]
    networks: tuple[StageModel, ...]
    places: tuple[str, ...]
    checked: Checked
    loss: Loss | None
    versions: Mapping[str, str]

    def record(self, about: Provenance | None = None) -> dict[str, Any]:
        """Plain data, as it travels in an ONNX file.

        Args:
            about: in place of the float network's own.
        """
        settings = self.cutting.settings
        return {
            **self.versions,
            "opset": OPSET,
            "labels": list(self.labels),
            "about": (about or self.about).to_json(),
            "cutting": {"said": self.cutting.said, "settings": None if settings is None else dict(settings)},
            "lineages": [network.lineage.to_json() for network in self.networks],
            "checked": asdict(self.checked),
            "int8": None if self.loss is None else asdict(self.loss),
        }

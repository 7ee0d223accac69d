"""Whether an exported network computes what the trained one does: the same faces through PyTorch and through ONNX Runtime."""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import WeightsError
from fer_transfer.evaluation.temperature import tempered
from fer_transfer.export.at_hand import FacesAtHand
from fer_transfer.export.network import networks_of
from fer_transfer.export.onnx_file import outputs_of
from fer_transfer.inference.predictor import Predictor

#: Largest difference of a probability that an export may have.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Checked:
    """What a check came to.

    Attributes:
        faces: on which faces.
        difference: largest absolute one of a probability, calibrated or not.
        by: versions of what computed it.
    """

    faces: str
    difference: float
    by: str

    def line(self) -> str:
        """For a reader."""
        return (
            f"checked against PyTorch on {self.faces}: no probability differs by more than {self.difference:.1e} "
            f"({TOLERANCE:.0e} is allowed; {self.by})"
        )


def checked(predictor: Predictor, session: Any, faces: FacesAtHand) -> Checked:
    """Compare.

    Args:
        predictor: the model, in PyTorch.
        session: ONNX Runtime's, of the exported graph.
        faces: to look at.

    Raises:
        WeightsError: if a probability differs by more than is allowed.
    """
    expected = in_float32(predictor, faces.pixels)
    calibrated, logits = outputs_of(session, faces.pixels)
    temperature = predictor.about.temperature
    differences = (
        calibrated - (expected if temperature is None else tempered(expected, temperature.value)),
        np.exp(logits.astype(np.float64)) - expected,
    )
    largest = max(float(np.abs(of).max()) for of in differences)
    if not largest <= TOLERANCE:  # nor a nan
        raise WeightsError(
            f"Expected the exported network to give PyTorch's probabilities to {TOLERANCE:.0e}, but on {faces.said} one differs "
            f"by {largest:.1e}. Nothing was written: ONNX Runtime {version('onnxruntime')} computes a layer otherwise."
        )
    return Checked(
        faces.said, largest, f"ONNX Runtime {version('onnxruntime')}, torch {version('torch')}, both on the CPU"
    )


def in_float32(predictor: Predictor, faces: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What PyTorch gives, uncalibrated, float64 [N, classes]: also of networks that were trained under bfloat16 autocast."""
    networks = [network for network, _ in networks_of(predictor.model)]
    before = [network.bf16 for network in networks]
    try:
        for network in networks:
            network.bf16 = False
        return predictor.model.probabilities(faces)
    finally:
        for network, bf16 in zip(networks, before, strict=True):
            network.bf16 = bf16

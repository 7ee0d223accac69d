"""An exported graph in int8, and what that costs: accuracy and probabilities on faces of the release."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fer_transfer.errors import ConfigError, WeightsError
from fer_transfer.evaluation.statistics import mcnemar_exact
from fer_transfer.export.at_hand import FacesAtHand
from fer_transfer.export.onnx_file import INPUT, NETWORKS, outputs_of

_LAYERS = ("Conv", "Gemm", "MatMul")
_BATCH = 16


@dataclass(frozen=True)
class Loss:
    """What int8 costs.

    Attributes:
        calibrated_on: faces that the ranges of the activations are from.
        measured_on: faces that it was measured on.
        count: of the latter.
        right, right_int8: of the latter, by the float network and by this.
        changed: faces that get another expression.
        mean, largest: absolute difference of a probability.
        p: of McNemar's exact test of the faces that only one of both has right, two-sided.
        size, size_int8: of the graphs, in bytes.
    """

    calibrated_on: str
    measured_on: str
    count: int
    right: int
    right_int8: int
    changed: int
    mean: float
    largest: float
    p: float
    size: int
    size_int8: int

    def line(self) -> str:
        """For a reader."""
        accuracies = f"{100 * self.right / self.count:.1f} % to {100 * self.right_int8 / self.count:.1f} %"
        return (
            f"int8, measured on {self.measured_on}: accuracy {accuracies} ({self.right} to {self.right_int8} of {self.count}; "
            f"exact McNemar p = {self.p:.2g}), {self.changed} faces get another expression; a probability differs by "
            f"{self.mean:.4f} in the mean, by {self.largest:.3f} at most; "
            f"{self.size / 1e6:.2f} to {self.size_int8 / 1e6:.2f} MB; ranges from {self.calibrated_on}"
        )


def quantised(graph: bytes, calibration: FacesAtHand, folder: Path) -> bytes:
    """The graph with int8 weights, by channel, and uint8 activations in convolutions and matrix products.

    Resampling of the faces stays in float32, for it is part of the picture, not of the network.

    Args:
        graph: of ``graph_of``.
        calibration: faces that the ranges of activations are taken from.
        folder: where ONNX Runtime may put what it needs.

    Raises:
        ConfigError: if ONNX Runtime's quantisation is not installed.
        WeightsError: if it refuses the graph.
    """
    try:
        import onnx
        from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
    except ImportError as error:
        raise ConfigError(f"Expected {error.name} for int8. Install it: pip install 'fer_transfer[export]'.") from None
    model, path = onnx.load_from_string(graph), folder / ".int8"
    of_faces = [node.name for node in model.graph.node if not node.name.startswith(NETWORKS)]
    logging.disable(logging.WARNING)  # it advises to prepare the graph, which torch's exporter has done
    try:
        quantize_static(
            model, path, _Reader(calibration), op_types_to_quantize=list(_LAYERS), nodes_to_exclude=of_faces,
            per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )  # fmt: skip
        return path.read_bytes()
    except Exception as error:  # of many kinds
        raise WeightsError(
            f"ONNX Runtime cannot write this network in int8 ({type(error).__name__}: {error})."
        ) from None
    finally:
        logging.disable(logging.NOTSET)
        path.unlink(missing_ok=True)


def loss_of(session: Any, session_int8: Any, faces: FacesAtHand, calibrated_on: str, sizes: tuple[int, int]) -> Loss:
    """Measure both networks on labelled faces."""
    one, other = (outputs_of(of, faces.pixels)[0].astype(np.float64) for of in (session, session_int8))
    right, right_int8 = (of.argmax(axis=1) == faces.labels for of in (one, other))
    changed = int((one.argmax(axis=1) != other.argmax(axis=1)).sum())
    apart = np.abs(one - other)
    p = mcnemar_exact(int((right & ~right_int8).sum()), int((right_int8 & ~right).sum()))
    return Loss(
        calibrated_on, faces.said, len(faces.labels), int(right.sum()), int(right_int8.sum()), changed,
        float(apart.mean()), float(apart.max()), p, *sizes,
    )  # fmt: skip


class _Reader:
    """Batches of faces, as ONNX Runtime's calibration reads them."""

    def __init__(self, faces: FacesAtHand) -> None:
        self._batches: Iterator[Any] = (
            {INPUT: faces.pixels[start : start + _BATCH]} for start in range(0, len(faces.pixels), _BATCH)
        )

    def get_next(self) -> Any:
        """The next batch, or None."""
        return next(self._batches, None)

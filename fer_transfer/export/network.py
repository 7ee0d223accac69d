"""A model as one torch module, uint8 faces in and probabilities out, and as the graph of an ONNX file."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from fer_transfer.errors import ConfigError, WeightsError
from fer_transfer.evaluation.temperature import LEAST
from fer_transfer.export.onnx_file import INPUT, OPSET, OUTPUTS
from fer_transfer.inference.model import Ensemble, FaceModel, sees_pixels
from fer_transfer.inference.stage_model import StageModel
from fer_transfer.training import scoring

_SIDE = 48  # of the faces that the graph is traced with; it holds for any


class WholeModel(nn.Module):
    """Networks with their inputs, their mean and its temperature.

    Args:
        networks: each with its weight in the mean; the weights sum to 1.
        temperature: that the mean's logits are divided by.
    """

    def __init__(self, networks: Sequence[tuple[StageModel, float]], temperature: float = 1.0) -> None:
        super().__init__()
        self.members = [(of.network, of.transform, of.evaluation, weight) for of, weight in networks]
        self.networks = nn.ModuleList([of.network for of, _ in networks])  # so that the exporter sees their modes
        self.temperature = temperature

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate faces by the lines that training and its predictions go through.

        Args:
            faces: uint8 [N, H, W], grey, or [N, H, W, 3], RGB, 0..255.

        Returns:
            float32 [N, classes] probabilities, calibrated, rows sum to 1; and the logits before the temperature, which are
            the logarithms of the mean of the networks' probabilities.
        """
        parts = [
            weight * scoring.probabilities(network, transform, (faces,), by)
            for network, transform, by, weight in self.members
        ]
        mean = torch.stack(parts).sum(dim=0) if len(parts) > 1 else parts[0]
        logits = mean.clamp_min(LEAST).log()
        return (logits / self.temperature).softmax(dim=1), logits


def networks_of(model: FaceModel, weight: float = 1.0) -> Iterator[tuple[StageModel, float]]:
    """The networks of a model, each with its weight in the mean of all.

    Raises:
        ConfigError: if it is made of something else than the weights of stages.
    """
    if isinstance(model, Ensemble):
        for member, share in zip(model.members, model.weights.tolist(), strict=True):
            yield from networks_of(member, weight * share)
    elif isinstance(model, StageModel) and not sees_pixels(model):
        raise ConfigError(
            f"Expected networks that see pixels, which exported ones are given, but {model.name} sees geometry. Leave it out."
        )
    elif isinstance(model, StageModel):
        yield model, weight
    else:
        raise ConfigError(
            f"Expected rows or stages of a store, whose weights can be exported, but got {model.name} "
            f"({type(model).__name__})."
        )


def graph_of(model: WholeModel, folder: Path, colour: bool = False) -> bytes:
    """The graph of an ONNX file: uint8 [faces, height, width] in, both outputs of ``WholeModel`` out, all three sizes open.

    Args:
        model: what to write.
        folder: where torch may put what it needs.
        colour: whether it takes faces in colour, uint8 [faces, height, width, 3], RGB.

    Raises:
        WeightsError: if torch cannot write the network, or it is over the 2 GiB of an ONNX file.
    """
    example = torch.zeros(2, _SIDE, _SIDE, *([3] if colour else []), dtype=torch.uint8)
    axes = {INPUT: {0: "faces", 1: "height", 2: "width"}, **{name: {0: "faces"} for name in OUTPUTS}}
    path = folder / ".graph"
    try:
        # torch's exporter by tracing: that by torch.export wants onnxscript, which wants still more, and gives no other numbers.
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter(
                "ignore"
            )  # tracing remarks on every size that is looked at; what comes out is checked
            torch.onnx.export(
                model.eval(), (example,), path, dynamo=False, opset_version=OPSET, input_names=[INPUT],
                output_names=list(OUTPUTS), dynamic_axes=axes,
            )  # fmt: skip
        return path.read_bytes()
    except Exception as error:  # of the exporter's kinds, and whatever a network raises while it is traced
        first = next(iter(str(error).splitlines()), "")
        raise WeightsError(
            f"Cannot write this network as ONNX (opset {OPSET}): {type(error).__name__}: {first[:200]} "
            "A network over 2 GiB does not fit a file: export one seed. Otherwise torch's exporter does not know a layer of it."
        ) from None
    finally:
        path.unlink(missing_ok=True)

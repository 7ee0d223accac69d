"""The weights that a stage left, as a model of faces: all that is needed stands in their file."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fer_transfer.errors import ConfigError
from fer_transfer.inference.model import CutFaces
from fer_transfer.stages.trained import trained
from fer_transfer.training import scoring

#: Faces that a network sees at once: enough to fill it, few enough for the memory of a laptop.
_BATCH = 64


class StageModel:
    """A trained network with the input of its weights.

    Args:
        path: ``weights.safetensors`` of a stage.
        evaluation: ``centre`` crop, or the mean over ``ten_crops``.
        device: ``auto`` (a CUDA device, else the CPU), ``cpu``, ``cuda`` or ``mps``.
        name: a few words for a reader; None: the backbone's name.

    Attributes:
        path: of the weights.
        lineage: what the weights were made from.
        kwargs: arguments of the network's constructor.
        network: timm's, in evaluation mode.
        preprocessing: what its weights expect.
        transform: from uint8 faces to its input.
        bf16: whether it computes under bfloat16 autocast, as it was trained.

    Raises:
        WeightsError: if the file is missing, damaged, or not of a stage.
        ConfigError: if an option is unknown.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        evaluation: str = "centre",
        device: str = "auto",
        name: str | None = None,
    ) -> None:
        if evaluation not in ("centre", "ten_crops"):
            raise ConfigError(f"Expected evaluation to be centre or ten_crops, but got {evaluation!r}.")
        self.device, self.evaluation = _device(device), evaluation
        self.path, made = Path(path), trained(path)
        self.lineage, self.kwargs, self.preprocessing = made.lineage, made.kwargs, made.preprocessing
        recipe = self.lineage.stages[-1].recipe
        self.name = name or str(recipe["backbone"]["name"])
        self.network, self.transform = made.network.to(self.device), made.transform.to(self.device)
        self.bf16 = recipe.get("precision") == "bf16-mixed"

    @property
    def labels(self) -> tuple[str, ...]:
        """The label set of the stage."""
        return self.lineage.stages[-1].classes

    @property
    def sees(self) -> str:
        """What it looks at of a face: ``pixels``, or ``geometry`` in their place (``inference.model.seen_by``)."""
        return str(getattr(self.transform, "sees", "pixels"))

    def probabilities(self, faces: CutFaces) -> NDArray[np.float64]:
        """See ``FaceModel.probabilities``."""
        outputs = [of.double().numpy() for of in self._batches(scoring.probabilities, faces)]
        return np.concatenate([np.zeros((0, len(self.labels))), *outputs])

    def features(self, faces: CutFaces) -> NDArray[np.float32]:
        """See ``FaceModel.features``."""
        width = int(getattr(self.network, "head_hidden_size", 0) or getattr(self.network, "num_features", 0))
        outputs = [of.numpy() for of in self._batches(scoring.features, faces)]
        return np.concatenate(outputs) if outputs else np.zeros((0, width), np.float32)

    def attributions(self, faces: CutFaces, targets: NDArray[np.int64], method: str) -> NDArray[np.float32]:
        """See ``saliency.Differentiable``; of the centre crop, in single precision."""
        from fer_transfer.inference import attribution  # captum, an extra

        by = {"integrated_gradients": attribution.integrated_gradients, "grad_cam": attribution.grad_cam}[method]
        return by(self.network, self.transform, faces, targets)

    @torch.inference_mode()
    def _batches(self, compute: Callable[..., Tensor], faces: CutFaces) -> Iterator[Tensor]:
        for start in range(0, len(faces), _BATCH):
            some = np.array(faces[start : start + _BATCH], order="C")  # torch warns of read-only ones
            pixels = torch.from_numpy(some).to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                output = compute(self.network, self.transform, (pixels,), self.evaluation)
            yield output.cpu()


def _device(word: str) -> torch.device:
    known = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if word == "auto":
        return torch.device("cuda" if known["cuda"] else "cpu")
    if not known.get(word):
        raise ConfigError(
            f"Expected device to be one of auto, {', '.join(k for k in known if known[k])} here, but got {word!r}."
        )
    return torch.device(word)

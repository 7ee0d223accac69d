"""Which pixels of a face spoke for an expression: maps of any model of faces, by a method of choice."""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import ConfigError
from fer_transfer.inference.methods import METHODS, checked_method
from fer_transfer.inference.model import CutFaces, Ensemble, FaceModel

#: float32 [N, H, W], in the pixels of the faces.
Maps = NDArray[np.float32]


@runtime_checkable
class Differentiable(Protocol):
    """A model that can say by its gradients what spoke for a class."""

    def attributions(self, faces: CutFaces, targets: NDArray[np.int64], method: str) -> Maps:
        """By ``integrated_gradients`` or ``grad_cam`` (``attribution``), of classes int64 [N]."""


def saliency_maps(
    model: FaceModel, faces: CutFaces, method: str = METHODS[0], targets: NDArray[np.int64] | None = None
) -> Maps:
    """What spoke for an expression, pixel by pixel.

    Args:
        model: any for ``occlusion``; networks of PyTorch, or several of them, for the others.
        faces: uint8 [N, H, W], grey, or [N, H, W, 3], RGB, cut already.
        method: one of ``METHODS``.
        targets: int64 [N], the class to explain of each face, in the order of the labels; None: the one that the model says.

    Returns:
        float32 [N, H, W], 0..1: 1 where most spoke for it, 0 where nothing did or what is there spoke against it.

    Raises:
        ConfigError: if the method is unknown, captum is not installed, the model cannot be explained by it, or targets are no
            classes of so many faces.
    """
    method = checked_method(method)
    chosen = model.probabilities(faces).argmax(axis=1) if targets is None else np.asarray(targets)
    within = chosen.dtype.kind in "iu" and chosen.shape == (len(faces),)
    if not within or not ((chosen >= 0) & (chosen < len(model.labels))).all():
        raise ConfigError(
            f"Expected a class from 0 to {len(model.labels) - 1} for each of {len(faces)} faces, but got {targets!r}."
        )
    if not len(faces):
        return np.zeros(faces.shape[:3], np.float32)
    # Imported here: who asks for no map does not wait for captum.
    from fer_transfer.inference.attribution import occlusion, scaled

    chosen = chosen.astype(np.int64)
    return scaled(
        occlusion(model.probabilities, faces, chosen)
        if method == "occlusion"
        else _attributions(model, faces, chosen, method)
    )


def _attributions(model: FaceModel, faces: CutFaces, targets: NDArray[np.int64], method: str) -> Maps:
    """Of a network; of several the mean of theirs, weighted as their probabilities are."""
    if isinstance(model, Ensemble):
        each = [_attributions(member, faces, targets, method) for member in model.members]
        return np.asarray(np.tensordot(model.weights, np.stack(each), axes=1), np.float32)
    if not isinstance(model, Differentiable):
        raise ConfigError(
            f"{model.name} gives no gradients, which {method} needs. Take occlusion, which any model can."
        )
    return model.attributions(faces, targets, method)

"""Captum's attributions for faces that are cut already: how much each pixel spoke for an expression.

Resizing and cropping are part of what is explained, so that attributions stand in the pixels of the prepared face.
"""

from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from numpy.typing import NDArray
from torch import Tensor, nn

from fer_transfer.backbones.spatial import spatial_layer
from fer_transfer.data.augment import BatchTransform

Faces = NDArray[np.uint8]
Maps = NDArray[np.float32]
Targets = NDArray[np.int64]

_BATCH = 32  # faces at a time
_STEPS = 16  # of the path of integrated gradients
_NOTHING = 0.08  # of the side: the deviation of the blur that stands for a face without features
_GRAIN = 1 / 64  # of the side: the deviation of the blur of what is found by single pixels
_PATCH = 0.2  # of the side: what occlusion hides at a time, in steps of half of it


def integrated_gradients(network: nn.Module, transform: BatchTransform, faces: Faces, targets: Targets) -> Maps:
    """Integrated gradients of the log probability, from the blurred face to the face (Sundararajan et al. 2017).

    A blurred face has a brightness but no features; from a black one, what is bright would count as a feature.

    Args:
        network: gives logits, in evaluation mode.
        transform: from faces to its input; the centre crop is taken.
        faces: uint8 [N, H, W], grey, or [N, H, W, 3], RGB.
        targets: int64 [N], the class explained.

    Returns:
        float32 [N, H, W], of colours the sum over the channels, in nats: before a little smoothing, they sum to what the face
        has over the blurred one.
    """

    def log_probability(pixels: Tensor) -> Tensor:
        return network(transform((pixels,), random=False)).float().log_softmax(dim=1)  # type: ignore[no-any-return]

    explained = IntegratedGradients(log_probability)

    def explain(some: Faces, target: Targets) -> Tensor:
        start, end = (_tensor(pixels, network).float() for pixels in (_blurred(some, _NOTHING), some))
        target_ = _tensor(target, network)
        return explained.attribute(end, start, target=target_, n_steps=_STEPS, internal_batch_size=2 * _BATCH)  # type: ignore[no-any-return]

    found = _by_batch(explain, faces, targets)
    return _blurred(found.sum(axis=3) if found.ndim == 4 else found, _GRAIN)


def grad_cam(network: nn.Module, transform: BatchTransform, faces: Faces, targets: Targets) -> Maps:
    """Grad-CAM (Selvaraju et al. 2017) of the last layer with several places; arguments as of ``integrated_gradients``.

    Returns:
        float32 [N, H, W], 0..1, the largest value of a face 1; 0 outside the centre crop.

    Raises:
        ConfigError: if the network has no such layer.
    """
    layer = spatial_layer(network, _input(network, transform, faces[:4].copy()))

    def explain(some: Faces, target: Targets) -> Tensor:
        crops = _input(network, transform, some).requires_grad_()
        with layer.tapped() as tap:
            coarse = LayerGradCam(network, tap).attribute(
                crops, target=_tensor(target, network), relu_attributions=True
            )
        return _placed(coarse.detach(), transform, some.shape[1:3])

    return scaled(_by_batch(explain, faces, targets))


def occlusion(probabilities: Callable[[Faces], NDArray[np.float64]], faces: Faces, targets: Targets) -> Maps:
    """What a patch of the face is worth: the log probability less that of the face with the patch blurred (Zeiler 2014).

    Args:
        probabilities: of a model that gives nothing else; as it evaluates, ten crops included.
        faces: uint8 [N, H, W], grey, or [N, H, W, 3], RGB.
        targets: int64 [N], the class explained.

    Returns:
        float32 [N, H, W], in nats, the mean of the patches that hold a pixel.
    """

    def log_probability(pixels: Tensor) -> Tensor:
        given = probabilities(pixels.round().to(torch.uint8).numpy())
        return torch.from_numpy(given).clamp_min(1e-9).log().float()

    explained = Occlusion(log_probability)
    patch = tuple(max(2, round(_PATCH * side)) for side in faces.shape[1:3])
    steps = tuple(side // 2 for side in patch)
    channels = faces.shape[3:]  # a patch hides all of them

    def explain(some: Faces, target: Targets) -> Tensor:
        return explained.attribute(  # type: ignore[no-any-return]
            torch.from_numpy(some).float(),
            sliding_window_shapes=patch + channels,
            strides=steps + channels,
            baselines=torch.from_numpy(_blurred(some, _NOTHING)).round(),
            target=torch.from_numpy(target),
            perturbations_per_eval=max(1, 2 * _BATCH // len(some)),
        )

    found = _by_batch(explain, faces, targets)
    return found[..., 0] if channels else found


def scaled(maps: Maps) -> Maps:
    """What speaks for the class alone, 0..1, the largest value of each face 1; zeros where nothing does.

    >>> scaled(np.array([[[2.0, -1.0]], [[0.0, -1.0]]], np.float32)).tolist()
    [[[1.0, 0.0]], [[0.0, 0.0]]]
    """
    positive = np.maximum(maps, 0)
    largest = positive.max(axis=(1, 2), keepdims=True, initial=0)
    return np.asarray(positive / np.where(largest > 0, largest, 1), np.float32)


def _by_batch(explain: Callable[[Faces, Targets], Tensor], faces: Faces, targets: Targets) -> Maps:
    def parts() -> Iterator[Maps]:
        for start in range(0, len(faces), _BATCH):
            part = slice(start, start + _BATCH)
            yield explain(faces[part].copy(), targets[part]).float().cpu().numpy()  # torch wants what can be written

    return np.concatenate(list(parts()))


def _tensor(values: NDArray[Any], network: nn.Module) -> Tensor:
    return torch.from_numpy(values).to(next(network.parameters()).device)


def _input(network: nn.Module, transform: BatchTransform, faces: Faces) -> Tensor:
    return transform((_tensor(faces, network),), random=False)  # type: ignore[no-any-return]


def _placed(coarse: Tensor, transform: BatchTransform, size: tuple[int, ...]) -> Tensor:
    """A coarse map of the centre crop, [N, 1, h, w], in the pixels of the face: [N, H, W]."""
    crop, margin = transform.crop, (transform.resize - transform.crop) // 2
    rest = transform.resize - transform.crop - margin
    fine = F.interpolate(coarse.float(), (crop, crop), mode="bilinear", align_corners=False)
    whole = F.pad(fine, (margin, rest, margin, rest))
    return F.interpolate(whole, size, mode="bilinear", align_corners=False)[:, 0]


def _blurred(pixels: NDArray[Any], share: float) -> Maps:
    """Faces or maps, blurred by a gaussian of a share of their side."""
    sigma = share * max(pixels.shape[1:3])
    blurred = [cv2.GaussianBlur(one.astype(np.float32), (0, 0), sigma) for one in pixels]
    return np.asarray(blurred, np.float32).reshape(pixels.shape)

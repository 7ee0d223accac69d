"""Gives folded batch normalisation its statistics back.

Weights made for deployment often come with batch normalisation folded into the convolutions: mean 0, variance 1, gain 1
are stored. Trained as they are, the layers then normalise by the batch what was never meant to be normalised, and with
frozen statistics they are missing where a learning rate of 0.01 needs them.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

#: Layers that normalise by the batch and store its statistics, and those derived of them (timm's).
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


def unfold(network: nn.Module, batch: Tensor) -> int:
    """Set every folded BatchNorm2d to the statistics of a batch, gain and bias so that the network computes the same.

    Args:
        network: changed in place; evaluated layer by layer with unchanged outputs.
        batch: float [N, C, H, W], a few hundred training faces as the network sees them.

    Returns:
        Number of layers changed: those with stored mean 0 and variance 1.

    >>> norm = nn.BatchNorm2d(1)
    >>> unfold(norm, torch.tensor([0.0, 2.0]).view(2, 1, 1, 1)), norm.running_mean.item(), round(norm.bias.item(), 3)
    (1, 1.0, 1.0)
    """
    hooks = []
    changed: list[nn.BatchNorm2d] = []

    def restore(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None and layer.running_var is not None
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
        variance = variance.clamp_min(1e-4)  # a dead channel has none; its gain then stays small, not zero
        old_scale = layer.weight / torch.sqrt(layer.running_var + layer.eps)
        layer.bias.add_(old_scale * (mean - layer.running_mean))
        layer.weight.copy_(old_scale * torch.sqrt(variance + layer.eps))
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)
        changed.append(layer)

    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d) and _is_folded(layer):
            hooks.append(layer.register_forward_pre_hook(restore))
    training = network.training
    network.eval()
    with torch.no_grad():
        network(batch)
    network.train(training)
    for hook in hooks:
        hook.remove()
    return len(changed)


def folded(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the layers whose batch normalisation is folded away in a file of weights.

    >>> norm = nn.BatchNorm2d(2).state_dict(prefix="bn1.")
    >>> folded(norm), folded(norm | {"bn1.running_mean": torch.ones(2)})
    (['bn1'], [])
    """
    layers = [name.removesuffix(".running_mean") for name in tensors if name.endswith(".running_mean")]
    affine = [layer for layer in layers if f"{layer}.weight" in tensors and f"{layer}.running_var" in tensors]
    return [layer for layer in affine if _is_identity(*(tensors[f"{layer}.running_{s}"] for s in ("mean", "var")))]


def _is_folded(layer: nn.BatchNorm2d) -> bool:
    mean, variance = layer.running_mean, layer.running_var
    return mean is not None and variance is not None and layer.affine and _is_identity(mean, variance)


def _is_identity(mean: Tensor, variance: Tensor) -> bool:
    return bool((mean == 0).all() and (variance == 1).all())

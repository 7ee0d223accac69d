"""Mixes the faces of a batch, by torchvision's MixUp and CutMix."""

import torch
from torch import Tensor

from fer_transfer.training.mixing import Mixing


class Mixer:
    """Mixes each face of a batch with the one before it; torch's random numbers on the CPU say whether, how and by how much.

    Args:
        mixing: the recipe's.
        classes: of the targets.
    """

    def __init__(self, mixing: Mixing, classes: int) -> None:
        from torchvision.transforms import v2  # half a second, for recipes that mix alone

        ways = ((v2.MixUp, mixing.mixup), (v2.CutMix, mixing.cutmix))
        self._ways = [way(alpha=alpha, num_classes=classes) for way, alpha in ways if alpha > 0]
        self._share = mixing.share

    def __call__(self, pixels: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch, or leave it.

        Args:
            pixels: float32 [N, C, H, W], the network's input.
            target: int64 [N], or float32 [N, classes].

        Returns:
            The same shapes; of a mixed batch the target is float32 [N, classes].
        """
        if float(torch.rand(())) >= self._share:
            return pixels, target
        way = self._ways[int(torch.randint(len(self._ways), ()))]
        mixed: tuple[Tensor, Tensor] = way(pixels, target)
        return mixed

"""What a recipe says of an input that grows: read and checked before torch is imported; ``data.augment`` makes it."""

import math
from dataclasses import dataclass

from fer_transfer.errors import ConfigError

#: Sides of smaller inputs are multiples of this.
_STEP = 8


@dataclass
class Progressive:
    """Smaller faces in the first epochs: cheaper, and coarse things first (Tan & Le, EfficientNetV2, ICML 2021, section 4).

    The last epochs see the whole size, by which statistics of batch normalisation are stored (Touvron et al., Fixing the
    train-test resolution discrepancy, NeurIPS 2019). What is watched and predicted always has it.

    Attributes:
        start: side of the first epoch's input as a share of the whole, above 0; 1: whole from the first epoch on.
        until: share of the epochs over which it grows, from epoch to epoch alike, 0..1; the last epoch is always whole.
    """

    start: float = 1.0
    until: float = 0.75

    def __post_init__(self) -> None:
        if not 0 < self.start <= 1:
            raise ConfigError(f"Expected recipe.progressive.start to be above 0, to 1, but got {self.start}.")
        if not 0 <= self.until <= 1:
            raise ConfigError(f"Expected recipe.progressive.until to be 0 to 1, but got {self.until}.")

    @property
    def grows(self) -> bool:
        """Whether any epoch is smaller."""
        return self.start < 1

    def first_whole(self, epochs: int) -> int:
        """The first epoch, from 0, whose input is whole."""
        return min(math.ceil(self.until * epochs), epochs - 1)

    def side(self, epoch: int, epochs: int, whole: int) -> int:
        """Side in pixels of the input in an epoch, from 0: a multiple of 8, or the whole.

        >>> [Progressive(start=0.5, until=0.5).side(epoch, 8, 64) for epoch in range(8)]
        [32, 40, 48, 56, 64, 64, 64, 64]
        """
        growing = self.first_whole(epochs)
        if not self.grows or epoch >= growing:
            return whole
        share = self.start + (1 - self.start) * epoch / growing
        return min(whole, max(_STEP, _STEP * round(share * whole / _STEP)))

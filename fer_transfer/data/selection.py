"""What a recipe says of a share to select on: read and checked before torch is imported."""

import math
from dataclasses import dataclass

from fer_transfer.errors import ConfigError


@dataclass
class Selection:
    """A share of every split that is trained on is held out, and selected on instead of ``data.selection``.

    So the best epoch, the temperature of probabilities and the weights of ensembles need no split that is reported. Subjects (or
    movies) and equal pictures stay together, expressions keep their proportions (``faces.held_out``).

    Attributes:
        share: of the faces of each split; 0: none, ``data.selection`` is selected on.
        seed: which faces; apart from the recipe's, so that rows that differ in that seed are selected on the same faces.
    """

    share: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.share) or not (self.share == 0 or 0.001 <= self.share <= 0.9):
            raise ConfigError(f"Expected recipe.selection.share to be 0, or 0.001 to 0.9, but got {self.share}.")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"Expected recipe.selection.seed to be 0 to 2**32 - 1, but got {self.seed}.")

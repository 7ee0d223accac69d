"""What a recipe says of mixing faces: read and checked before torch is imported; ``training.mixer`` mixes them."""

from dataclasses import dataclass

from fer_transfer.errors import ConfigError


@dataclass
class Mixing:
    """Batches in which every face is mixed with another, and its target alike; 0 mixes nothing.

    Attributes:
        mixup: alpha of Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018: pictures are added, by shares drawn
            of Beta(alpha, alpha). There 0.1 to 0.4.
        cutmix: alpha of Yun et al., CutMix, ICCV 2019: a rectangle is taken from the other picture. There 1.
        share: of the batches that are mixed, 0..1; where both are above 0, half of these by each.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    share: float = 1.0

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            if not 0 <= (value := getattr(self, name)) <= 10:
                raise ConfigError(f"Expected recipe.mixing.{name} to be 0 to 10, but got {value}.")
        if not 0 < self.share <= 1:
            raise ConfigError(f"Expected recipe.mixing.share to be above 0, to 1, but got {self.share}.")

    @property
    def mixes(self) -> bool:
        """Whether anything is mixed."""
        return self.mixup > 0 or self.cutmix > 0

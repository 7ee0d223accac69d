"""What a recipe says of averages of weights: read and checked before torch is imported; ``stages.averaged`` computes them."""

from dataclasses import dataclass

from fer_transfer.errors import ConfigError


@dataclass
class Averaging:
    """Which weights a stage keeps: those of the last step, or an average over steps or epochs, stored statistics included.

    What is averaged is what is watched on the selection splits, and what is kept and handed on. 0 averages nothing.

    Attributes:
        ema: decay of an exponential moving average over the steps (Polyak & Juditsky 1992; such as 0.999). After n steps
            it is at most (1 + n) / (10 + n), as in TensorFlow's ``ExponentialMovingAverage``: a short stage does not keep its
            initial weights.
        swa: share of the epochs, the last ones, whose ends are averaged alike (Izmailov et al., Averaging Weights Leads to
            Wider Optima, UAI 2018; there a quarter with a constant or cyclic rate). Until then it trains and is watched as it is.
    """

    ema: float = 0.0
    swa: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.ema < 1:
            raise ConfigError(f"Expected recipe.averaging.ema to be 0, or below 1 such as 0.999, but got {self.ema}.")
        if not 0 <= self.swa <= 1:
            raise ConfigError(f"Expected recipe.averaging.swa to be 0 to 1, a share of the epochs, but got {self.swa}.")
        if self.ema and self.swa:
            raise ConfigError(
                f"Expected recipe.averaging.ema or swa, but got ema={self.ema:g} and swa={self.swa:g}. Keep one average."
            )

    @property
    def averages(self) -> bool:
        """Whether anything is averaged."""
        return self.ema > 0 or self.swa > 0

    def refuse_best(self, keep: str, stage: str) -> None:
        """Refuse to choose among epochs that are averaged.

        Args:
            keep: the recipe's.
            stage: its name, for the message.

        Raises:
            ConfigError: with ``swa`` and ``keep=best``.
        """
        if self.swa and keep == "best":
            raise ConfigError(
                f"Expected recipe.keep=last with recipe.averaging.swa={self.swa:g} in stage {stage!r}, but got best: the average "
                "of the last epochs is kept, there is none to choose. Give recipe.keep=last, or recipe.averaging.swa=0."
            )

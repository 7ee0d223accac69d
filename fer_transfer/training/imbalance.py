"""What a recipe does about rare expressions: read and checked before torch is imported; ``training.loss`` computes it."""

from dataclasses import dataclass

from fer_transfer.errors import ConfigError

SAMPLINGS = ("all", "balanced")


@dataclass
class Imbalance:
    """Presets stand in ``conf/imbalance``. Whatever is left at ``all`` or 0 changes nothing.

    Attributes:
        sampling: ``all``: every face once an epoch; ``balanced``: as many faces an epoch, drawn with replacement, every
            expression as likely as any other; with soft labels an expression is drawn so, and then a face by its share of it.
        effective_number: beta of Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019: expression
            c, of n_c faces, weighs (1 - beta) / (1 - beta^n_c) in the loss, and the weights are scaled to a mean of 1 over the
            expressions. Towards 1 these are inversely proportional to n_c. The paper: 0.9, 0.99, 0.999, 0.9999.
        focal: gamma of Lin et al., Focal Loss for Dense Object Detection, ICCV 2017: what a face adds to the loss is multiplied
            by (1 - p)^gamma, p the probability of its expression by softmax. The paper: 2.
        logit_adjustment: tau of Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, equation 10: while training,
            tau times the logarithm of an expression's share of the training faces is added to its logit; predictions are
            made without. The paper: 1.
    """

    sampling: str = "all"
    effective_number: float = 0.0
    focal: float = 0.0
    logit_adjustment: float = 0.0

    def __post_init__(self) -> None:
        if self.sampling not in SAMPLINGS:
            raise ConfigError(
                f"Expected recipe.imbalance.sampling to be one of {SAMPLINGS}, but got {self.sampling!r}."
            )
        if not 0 <= self.effective_number < 1:
            raise ConfigError(
                f"Expected recipe.imbalance.effective_number to be 0, or below 1 such as 0.999, but got {self.effective_number}."
            )
        for name in ("focal", "logit_adjustment"):
            if not 0 <= (value := getattr(self, name)) <= 10:
                raise ConfigError(f"Expected recipe.imbalance.{name} to be 0 to 10, but got {value}.")

    def refuse_twice(self, class_weights: str, stage: str) -> None:
        """Refuse what would correct for the same imbalance twice, or has no reason behind it together.

        Args:
            class_weights: the recipe's.
            stage: its name, for the message.

        Raises:
            ConfigError: naming both.
        """
        by_class = {
            "class_weights=balanced": class_weights == "balanced",
            "imbalance.sampling=balanced": self.sampling == "balanced",
            f"imbalance.effective_number={self.effective_number:g}": self.effective_number > 0,
            f"imbalance.logit_adjustment={self.logit_adjustment:g}": self.logit_adjustment > 0,
        }
        chosen = [name for name, is_on in by_class.items() if is_on]
        if len(chosen) > 1:
            both = " and recipe.".join(chosen)
            raise ConfigError(
                f"Expected one correction for how often expressions occur in stage {stage!r}, but got recipe.{both}: each makes "
                "up for the same shares, so together they would favour rare expressions over frequent ones. Keep one."
            )
        if self.focal and self.logit_adjustment:
            raise ConfigError(
                f"Expected recipe.imbalance.focal or logit_adjustment in stage {stage!r}, but got both: logits are adjusted so "
                "that the minimum of cross-entropy gives the balanced error, which that of the focal loss does not. Keep one."
            )

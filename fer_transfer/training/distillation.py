"""What a recipe says of learning from networks of the store: checked before torch is imported; ``training.teacher`` teaches."""

from dataclasses import dataclass, field

from fer_transfer.errors import ConfigError


@dataclass
class Distillation:
    """A stage that learns from what finished networks say of its faces, beside their labels.

    Hinton et al., Distilling the Knowledge in a Neural Network, 2015. The teachers see every batch as the stage does, after crop,
    mirror, distortion and mixture, and say what they see: the same view for both is what works (Beyer et al., Knowledge
    distillation: A good teacher is patient and consistent, CVPR 2022). What they say of the faces as they are could be kept once,
    but fits no crop and no mixture. So it costs a forward pass of each teacher a step.

    Attributes:
        teacher: stages of the store by key, or rows by name, of which all seeds that are there teach. The mean of their
            probabilities is learned from. Names stand for keys: these are part of the stage's own, and of its lineage.
        temperature: by which logits of both sides are divided, at least 1: the higher, the more the small probabilities tell.
        share: of the loss that is the teachers', 0..1; the rest is that of the labels.
    """

    teacher: list[str] = field(default_factory=list)
    temperature: float = 2.0
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.temperature <= 100:
            raise ConfigError(f"Expected recipe.distillation.temperature to be 1 to 100, but got {self.temperature}.")
        if not 0 < self.share <= 1:
            raise ConfigError(f"Expected recipe.distillation.share to be above 0, to 1, but got {self.share}.")

"""What a recipe cannot have together, each with its reason; what the parts of a recipe refuse by themselves stands with them."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fer_transfer.errors import ConfigError

if TYPE_CHECKING:
    from fer_transfer.training.recipe import Recipe


def refuse_conflicts(recipe: "Recipe", stage: str) -> None:
    """Refuse what would be trained, but would not be what it says.

    Args:
        recipe: of the stage; every part of it is right by itself.
        stage: its name, for the message.

    Raises:
        ConfigError: with what is mixed, why that cannot be, and what to give instead.
    """
    for reason in _conflicts(recipe):
        raise ConfigError(f"The recipe of stage {stage!r} mixes what cannot be mixed: {reason}")


def _conflicts(recipe: "Recipe") -> Iterator[str]:
    averaging, progressive = recipe.averaging, recipe.progressive
    if averaging.averages and recipe.batch_norm == "frozen":
        yield (
            f"recipe.averaging (ema={averaging.ema:g}, swa={averaging.swa:g}) with recipe.batch_norm=frozen. Frozen statistics "
            "are those of the initial weights, and nothing fits them to the average. Give batch_norm=train, or no averaging."
        )
    first_averaged = recipe.epochs - math.ceil(averaging.swa * recipe.epochs)
    if averaging.swa and progressive.grows and first_averaged < progressive.first_whole(recipe.epochs):
        yield (
            f"recipe.averaging.swa={averaging.swa:g} averages from epoch {first_averaged + 1} on, but by "
            f"recipe.progressive.until={progressive.until:g} the input is smaller before epoch "
            f"{progressive.first_whole(recipe.epochs) + 1}: weights of several sizes would be averaged. Lower one of the two."
        )
    if recipe.sharpness and (solver := str(recipe.optimizer.get("_target_"))).endswith(".LBFGS"):
        yield (
            f"recipe.sharpness={recipe.sharpness:g} with {solver}. Its line search needs the gradient of the very loss, and a "
            "sharpness-aware step gives that of another point. Give another optimizer, or recipe.sharpness=0."
        )
    if recipe.distillation.teacher and recipe.distillation.share == 1 and (unused := list(_of_labels(recipe))):
        yield (
            f"recipe.distillation.share=1 leaves the labels out, but recipe.{' and recipe.'.join(unused)} would change their "
            "loss. Lower the share, or take it out."
        )


def _of_labels(recipe: "Recipe") -> Iterator[str]:
    """Settings of the loss of labels that differ from plain cross-entropy."""
    if recipe.label_smoothing:
        yield f"label_smoothing={recipe.label_smoothing:g}"
    if recipe.class_weights != "none":
        yield f"class_weights={recipe.class_weights}"
    for name in ("effective_number", "focal", "logit_adjustment"):
        if value := getattr(recipe.imbalance, name):
            yield f"imbalance.{name}={value:g}"

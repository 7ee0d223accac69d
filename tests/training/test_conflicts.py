"""Recipes that mix what cannot be mixed are refused with the reason, before anything is trained; what goes together is not."""

import pytest

from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages.plan import plan_from

TEACHER = "recipe.distillation.teacher=[a]"


def recipe(*words):
    return plan_from(compose("train", ["plan=emotiw", *words])).last.recipe


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["recipe.averaging.ema=0.9", "recipe.batch_norm=frozen"], "nothing fits them to the average"),
        (["recipe.averaging.swa=0.5", "recipe.batch_norm=frozen"], "nothing fits them to the average"),
        (["modern=[swa,progressive]", "recipe.averaging.swa=0.5"], "averages from epoch 16 on, .* smaller before epoch 24"),
        ([TEACHER, "recipe.distillation.share=1", "modern=smoothing"], r"labels out, but recipe\.label_smoothing=0\.1"),
        ([TEACHER, "recipe.distillation.share=1", "imbalance=focal"], r"but recipe\.imbalance\.focal=2 would change"),
        (["experiment=geometry", "modern=sam"], "line search needs the gradient of the very loss"),
        (["recipe.distillation.temperature=0.5"], "temperature to be 1 to 100"),
        (["recipe.distillation.share=0"], "share to be above 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_mixed_is_refused_with_the_reason(words, reason):
    with pytest.raises(ConfigError, match=reason) as told:
        recipe(*words)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "words",
    [
        ["modern=[ema,mixup,cutmix,affine,light,erasing,smoothing,votes,clean,balanced,layer_decay,sam,progressive]"],
        ["modern=[swa,progressive]", "recipe.averaging.swa=0.2"],
        [TEACHER, "recipe.distillation.share=1", "modern=[mixup,balanced]"],
        ["recipe.mixing.mixup=0.2", "recipe.class_weights=balanced"],
        ["recipe.mixing.cutmix=1", "imbalance=focal"],
        ["recipe.batch_norm=frozen", "recipe.distillation.share=1"],
    ],
)
def test_what_goes_together_is_not_refused(words):
    assert recipe(*words)

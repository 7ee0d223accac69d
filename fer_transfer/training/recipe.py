"""The recipe: everything that can change the trained weights of a stage, typed, with nothing else in it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fer_transfer.backbones.recipe import BackboneRecipe
from fer_transfer.config import check_target, locate, nearest, typed
from fer_transfer.data.distortion import Distortion
from fer_transfer.data.labelling import Labelling
from fer_transfer.data.selection import Selection
from fer_transfer.errors import ConfigError
from fer_transfer.training.averaging import Averaging
from fer_transfer.training.imbalance import Imbalance
from fer_transfer.training.mixing import Mixing

_PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")

#: Parameters that the code passes to a configured object itself.
_SUPPLIED = {
    "data": ("labelling", "faces", "batch_size", "seed", "sampling"),
    "augment": ("preprocessing",),
    "optimizer": ("params",),
    "scheduler": ("epoch", "epochs"),
}


@dataclass
class Recipe:
    """One stage's training. Defaults live in ``conf/recipe/default.yaml``, not here.

    Attributes:
        backbone: network, initial weights and their preprocessing.
        data: target and arguments of the DataModule: splits to train on and to select on, by release.
        labelling: what faces are taken to show, which are left out.
        augment: target and arguments of the batch transform.
        optimizer: target and arguments; ``params`` is supplied.
        scheduler: target and arguments of a function of (epoch, epochs) that multiplies the learning rate.
        epochs: passes over the training faces.
        batch_size: faces a step.
        precision: Lightning's name: 32-true, bf16-mixed, 16-mixed.
        keep: ``last`` epoch, or the ``best`` on the selection splits.
        evaluation: predictions from the ``centre`` crop, or the mean of ``ten_crops``. The one value that cannot change
            the trained weights, for the selection splits are always watched by the centre crop: not part of the key.
        head: ``keep`` the parent's head, or ``reset`` to fresh weights; without a parent the head is always fresh. After a stage
            with another label set it is fresh too, or, with ``shared``, has the rows of the classes that both have, by name.
        head_multiplier: of the head's learning rate.
        frozen: patterns of parameter names that are not trained; batch normalisation whose gain and bias are among them
            normalises with its stored statistics.
        layer_decay: of the learning rate from each layer to the one below, down from the head: 1: one rate for the backbone.
        batch_norm: ``train``; ``frozen``: normalise with the stored statistics; ``unfold``: as ``train``, after giving
            initial weights whose batch normalisation was folded away their statistics back (``batch_norm.unfold``).
        class_weights: ``none``, or ``balanced``: inversely proportional to the training counts.
        label_smoothing: 0..1.
        gradient_clip: largest gradient norm, or null.
        sharpness: radius of sharpness-aware minimisation (``training.ascent``); 0: none.
        skip_weights: name patterns in which a child may differ from its parent.
        imbalance: what is done about rare expressions.
        distortion: of training faces after crop and mirror.
        mixing: of the faces of a batch.
        averaging: of weights, over steps or epochs.
        selection: a share of what is trained on to select on instead.
        at_most: faces of a split that are trained on, watched and scored, spread evenly over it; null: all.
        seed: of the fresh weights, the order of faces, crops, mirrors and dropout.
    """

    backbone: BackboneRecipe
    data: dict[str, Any]
    augment: dict[str, Any]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    epochs: int
    batch_size: int
    precision: str
    keep: str
    evaluation: str
    head: str
    head_multiplier: float
    batch_norm: str
    class_weights: str
    label_smoothing: float
    gradient_clip: float | None
    at_most: int | None
    seed: int
    labelling: Labelling = field(default_factory=Labelling)
    layer_decay: float = 1.0
    sharpness: float = 0.0
    selection: Selection = field(default_factory=Selection)
    imbalance: Imbalance = field(default_factory=Imbalance)
    distortion: Distortion = field(default_factory=Distortion)
    mixing: Mixing = field(default_factory=Mixing)
    averaging: Averaging = field(default_factory=Averaging)
    frozen: list[str] = field(default_factory=list)
    skip_weights: list[str] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """The words of the faces that are trained and selected on, in the order in which they are named."""
        selected = self.data["selection"] if self.selection.share == 0 else {}
        return list(dict.fromkeys([*self.data["train"], *selected]))

    @property
    def sees(self) -> str:
        """What its batches are made of, in the words of ``Faces.seen``: what the class of ``augment`` says; else pixels.

        Raises:
            ConfigError: if there is no such class.
        """
        return str(getattr(locate(self.augment.get("_target_")), "sees", "pixels"))


_CHOICES = {
    "precision": _PRECISIONS,
    "keep": ("last", "best"),
    "evaluation": ("centre", "ten_crops"),
    "head": ("keep", "reset", "shared"),
    "batch_norm": ("train", "frozen", "unfold"),
    "class_weights": ("none", "balanced"),
}


_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda v: v >= 1, "at least 1"),
    "batch_size": (lambda v: v >= 2, "at least 2"),  # a batch of one breaks batch normalisation
    "seed": (lambda v: 0 <= v < 2**32, "0 to 2**32 - 1"),
    "head_multiplier": (lambda v: v >= 0, "at least 0"),
    "layer_decay": (lambda v: 0 < v <= 1, "above 0, to 1"),
    "label_smoothing": (lambda v: 0 <= v <= 1, "0 to 1"),
    "sharpness": (lambda v: 0 <= v <= 10, "0 to 10"),
    "gradient_clip": (lambda v: v is None or v > 0, "null or above 0"),
    "at_most": (lambda v: v is None or v >= 2, "null or at least 2"),
}


def recipe_from(content: Mapping[str, Any], stage: str) -> Recipe:
    """Check and type a composed recipe; what its targets take is left to ``check_targets``, for it needs torch.

    Rows of a sweep that differ in their seeds alone are checked once: they share all else of their recipes.

    Raises:
        ConfigError: on a misspelt or missing key, a wrong type, or a value outside its range.
    """
    seed = content.get("seed")
    if type(seed) is not int or not _RANGES["seed"][0](seed):
        return _recipe_from(content, stage)
    name = json.dumps([stage, {**content, "seed": 0}], sort_keys=True, default=repr)
    if name not in _checked:
        _checked[name] = _recipe_from({**content, "seed": 0}, stage)
    return replace(_checked[name], seed=seed)


_checked: dict[str, Recipe] = {}
_fitting: set[str] = set()


def check_targets(recipe: Recipe, stage: str) -> None:
    """Check what a recipe configures against the signatures behind it, once for all rows of a sweep that share it.

    Raises:
        ConfigError: if one is not there or may not be named, or its arguments do not fit.
    """
    name = json.dumps([stage, *(getattr(recipe, key) for key in _SUPPLIED)], sort_keys=True, default=repr)
    if name not in _fitting:
        for key, supplied in _SUPPLIED.items():
            check_target(f"{stage}.{key}", getattr(recipe, key), supplied)
        _fitting.add(name)


def _recipe_from(content: Mapping[str, Any], stage: str) -> Recipe:
    recipe = typed(Recipe, content, f"The recipe of stage {stage!r}")
    for key, allowed in _CHOICES.items():
        if getattr(recipe, key) not in allowed:
            raise ConfigError(
                f"Expected {key} of stage {stage!r} to be one of {allowed}, but got {getattr(recipe, key)!r}."
                f"{nearest(getattr(recipe, key), allowed)}"
            )
    for key, (accepts, expected) in _RANGES.items():
        if not accepts(getattr(recipe, key)):
            raise ConfigError(f"Expected {key} of stage {stage!r} to be {expected}, but got {getattr(recipe, key)}.")
    recipe.imbalance.refuse_twice(recipe.class_weights, stage)
    recipe.averaging.refuse_best(recipe.keep, stage)
    for part in ("train", "selection"):
        _check_splits(recipe.data.get(part), f"data.{part} of stage {stage!r}")
    if type(recipe.optimizer.get("lr")) not in (int, float):
        raise ConfigError(f"Expected a number for optimizer.lr of stage {stage!r}, but got {recipe.optimizer}.")
    return recipe


def _check_splits(splits: Any, where: str) -> None:
    """What is trained and selected on is lists of splits by release."""
    lists = splits.values() if isinstance(splits, Mapping) else [None]
    if not all(
        isinstance(of_release, list) and all(isinstance(split, str) for split in of_release) for of_release in lists
    ):
        raise ConfigError(
            f"Expected {where} to be lists of splits by release, such as {{emotiw: [Train]}}, but got {splits!r}."
        )

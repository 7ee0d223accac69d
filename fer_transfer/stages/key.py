"""The key of a stage: what it is, as a hash. Equal keys mean the same weights; a difference anywhere means another key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fer_transfer.files.digest import digest
from fer_transfer.stages.lineage import FacesUsed, classes_of

if TYPE_CHECKING:  # it imports torch, which looking into a store does not wait for
    from fer_transfer.training.recipe import Recipe

#: Part of every key. Raise it when a change of code changes what a recipe trains.
STORE_VERSION = 2

#: Fields that came to the recipe when there were stores already, each with the value that changes nothing; of a part with
#: several settings those that decide whether it does anything. A field that changes nothing is left out of whatever is hashed, so
#: that the stages and tables of those stores keep their names.
_IDLE: Mapping[str, Any] = {
    "at_most": None,
    "selection": {"share": 0},
    "imbalance": {"sampling": "all", "effective_number": 0, "focal": 0, "logit_adjustment": 0},
    "distortion": {"rotate": 0, "zoom": 0, "shift": 0, "light": 0, "erase": 0},
    "mixing": {"mixup": 0, "cutmix": 0},
    "averaging": {"ema": 0, "swa": 0},
    "layer_decay": 1,
    "sharpness": 0,
}

#: What draws the fresh weights and the order of faces, builds the network, and takes the steps. A release of one of them may
#: change what a recipe trains, a patch of it should not.
_DECIDING = ("torch", "timm", "pytorch-lightning", "numpy")


def deciding_versions() -> dict[str, str]:
    """Major and minor version of every library that decides what a recipe trains."""
    return {name: _minor(name, version) for name in _DECIDING}


@cache
def _minor(name: str, look_up: Callable[[str], str]) -> str:
    return ".".join(look_up(name).split("+")[0].split(".")[:2])


def without_idle(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as plain data, less the fields added since that change nothing with the value they have."""
    return {key: value for key, value in recipe.items() if key not in _IDLE or not _is_idle(value, _IDLE[key])}


def _is_idle(value: Any, idle: Any) -> bool:
    if isinstance(value, Mapping) and isinstance(idle, Mapping):
        return all(value.get(name, of) == of for name, of in idle.items())
    return bool(value == idle)


def recipe_of_weights(recipe: "Recipe", network: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as plain data, less what cannot change the weights, and less what the lineage says by digest.

    The path of the initial weights (their identity stands beside), the words under which the command knew its faces (their
    digests stand beside), how predictions are made.

    Args:
        recipe: of the stage.
        network: its input and constructor arguments, from wherever they came (``Backbone.record``).
    """
    # One level deep: asdict() copies every part of every row of a sweep.
    content = {key: dict(vars(value)) if is_dataclass(value) else value for key, value in vars(recipe).items()}
    content = without_idle(content)
    content["backbone"] = {key: value for key, value in vars(recipe.backbone).items() if key != "weights"}
    content["backbone"]["network"] = dict(network)
    content.pop("evaluation")
    content["data"] = {key: value for key, value in content["data"].items() if key not in ("train", "selection")}
    return content


def code_of_keys(classes: Sequence[str]) -> dict[str, Any]:
    """What decides a key besides recipe, start and faces: kept with the stage, so that its key can be explained."""
    return {"expressions": list(classes), "versions": deciding_versions(), "store": STORE_VERSION}


def stage_key(
    recipe: Mapping[str, Any], start: str, faces: Sequence[FacesUsed], code: Mapping[str, Any] | None = None
) -> str:
    """The key of a stage.

    Args:
        recipe: as ``recipe_of_weights`` gives it.
        start: the parent's key, or the identity of the initial weights (``Backbone.identity``).
        faces: what the stage trains and selects on, in order: the order of a union is the order of its faces.
        code: as ``code_of_keys`` gave it when the stage was trained; None: as it is now.
    """
    return digest(
        {
            "recipe": recipe,
            "start": start,
            "faces": [[used.seen, sorted(used.trained_on), sorted(used.selected_on)] for used in faces],
            **(code_of_keys(classes_of(faces)) if code is None else code),
        }
    )

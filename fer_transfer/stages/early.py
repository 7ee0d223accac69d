"""What is wrong with a plan as far as it can be told before torch is imported, which takes seconds: most mistakes."""

from pathlib import Path

from fer_transfer.backbones.known import check_name
from fer_transfer.backbones.recipe import BackboneRecipe
from fer_transfer.errors import WeightsError
from fer_transfer.files.nearby import near_path
from fer_transfer.stages.inputs import open_inputs
from fer_transfer.stages.plan import Plan
from fer_transfer.stages.runtime import Runtime
from fer_transfer.study import Study


def look(plan: Plan, runtime: Runtime, study: Study) -> None:
    """Open the faces, and look whether there are such networks and such files of weights.

    Raises:
        ConfigError, FacesError, WeightsError: whichever is wrong. What is not looked at here, or can only be told with torch,
            is found out before anything is trained all the same.
    """
    open_inputs(plan, runtime, study, _unsaid)
    for stage in plan.stages:
        _look_at(stage.recipe.backbone)


def _look_at(backbone: BackboneRecipe) -> None:
    check_name(backbone.name, "recipe.backbone.name")
    if backbone.weights not in ("none", "hub") and not Path(backbone.weights).exists():
        near = near_path(backbone.weights)
        raise WeightsError(
            f"Expected a weights file at {backbone.weights}, but there is nothing.{near} Give its path in "
            "recipe.backbone.weights, or recipe.backbone.weights=none to start from random weights."
        )


def _unsaid(_: str) -> None:
    """What is to be said is said when the plan is run."""

"""Plans: named stages linked by ``init_from``, a small acyclic graph that ends in one stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fer_transfer.config import conf_dir, plain
from fer_transfer.errors import ConfigError
from fer_transfer.files.digest import digest
from fer_transfer.training.recipe import Recipe, recipe_from

_GROUPS = ("optimizer", "scheduler", "augment", "backbone")


@dataclass(frozen=True)
class Stage:
    """One fit: its recipe, and the stage whose weights it starts from (None: the backbone's initial weights)."""

    name: str
    recipe: Recipe
    init_from: str | None


@dataclass(frozen=True)
class Plan:
    """Stages in an order in which each follows its parent; the last one's predictions are the row's.

    Attributes:
        name: the plan's.
        stages: its stages.
        common: what all plans of a sweep share, seeds and paths of weights apart: the recipe, and what is different by stage
            name. Rows of one table have it in common.
    """

    name: str
    stages: tuple[Stage, ...]
    common: str

    @property
    def last(self) -> Stage:
        """The stage that no other starts from."""
        return self.stages[-1]


def plan_from(config: DictConfig) -> Plan:
    """Read the plan of a composed configuration.

    A stage's recipe is ``recipe``, over it ``stages.<name>`` (what every stage of that name has different, in whichever
    plan), over that ``plan.stages.<name>``.

    Raises:
        ConfigError: on an unknown parent, a cycle, several ends, or a recipe that does not check.
    """
    stages = config.plan.stages or {}
    parents = {str(name): node.get("init_from") for name, node in stages.items()}
    order = _order(config.plan.name, parents)
    by_name = plain(config.stages) or {}
    if unknown := sorted(set(by_name) - set(parents) - _known_stages()):
        raise ConfigError(
            f"Expected stages.<name> to name stages of some plan ({', '.join(sorted(_known_stages()))}), but got "
            f"{', '.join(unknown)}."
        )
    made = []
    for name in order:
        common = _merged(config.recipe, by_name.get(name) or {})
        made.append(Stage(name, recipe_from(_merged(common, stages[name]), name), parents[name]))
    return Plan(config.plan.name, tuple(made), digest([_seedless(plain(config.recipe)), _by_stage(by_name)]))


def _by_stage(differences: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _seedless(own) for name, own in differences.items() if own}


def _seedless(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Less the seed and the path of the weights, which stand by their identity beside it."""
    content = {key: value for key, value in recipe.items() if key != "seed"}
    if isinstance(backbone := content.get("backbone"), dict):
        content["backbone"] = {key: value for key, value in backbone.items() if key != "weights"}
    return content


def _known_stages() -> set[str]:
    """Names of the stages of all plans in ``conf/plan``."""
    plans = [OmegaConf.load(path) for path in (conf_dir() / "plan").glob("*.yaml")]
    return {str(name) for plan in plans for name in plan.stages}


def _merged(recipe: Any, differences: Any) -> dict[str, Any]:
    """Differences over a recipe; another ``_target_`` replaces its group instead of mixing with it."""
    common, own = dict(plain(recipe)), dict(plain(differences))
    own.pop("init_from", None)
    for group in _GROUPS:
        theirs, ours = own.get(group), common.get(group)
        if (
            isinstance(theirs, dict)
            and isinstance(ours, dict)
            and theirs.get("_target_", ours.get("_target_")) != ours.get("_target_")
        ):
            common.pop(group)
    merged = OmegaConf.to_container(OmegaConf.merge(common, own))
    assert isinstance(merged, dict)
    return {str(key): value for key, value in merged.items()}


def _order(plan: str, parents: Mapping[str, Any]) -> list[str]:
    """Names, parents first.

    >>> _order("p", {"b": "a", "a": None})
    ['a', 'b']
    """
    if not parents:
        raise ConfigError(f"Expected plan {plan!r} to have at least one stage, but got none.")
    for name, parent in parents.items():
        if parent is not None and parent not in parents:
            raise ConfigError(
                f"Stage {name!r} of plan {plan!r} starts from {parent!r}, but the plan has {', '.join(parents)}."
            )
    order: list[str] = []
    while len(order) < len(parents):
        ready = [n for n, p in parents.items() if n not in order and (p is None or p in order)]
        if not ready:
            cycle = [n for n in parents if n not in order]
            raise ConfigError(f"The stages {', '.join(cycle)} of plan {plan!r} start from each other: a cycle.")
        order += ready
    ends = [n for n in order if n not in parents.values()]
    if len(ends) != 1:
        raise ConfigError(f"Expected plan {plan!r} to end in one stage, but it ends in {', '.join(ends)}.")
    return [n for n in order if n != ends[0]] + ends

"""Plans: named stages linked by ``init_from``, a small acyclic graph that ends in one stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fer_transfer.config import config_folders, nearest, plain
from fer_transfer.errors import ConfigError
from fer_transfer.files.digest import digest
from fer_transfer.stages.key import without_idle
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


def plan_from(config: Mapping[str, Any] | DictConfig) -> Plan:
    """Read the plan of a composed configuration.

    A stage's recipe is ``recipe``, over it ``stages.<name>`` (what every stage of that name has different, in whichever
    plan), over that ``plan.stages.<name>``.

    Raises:
        ConfigError: on an unknown parent, a cycle, several ends, or a recipe that does not check.
    """
    name, stages = _read(config["plan"])
    by_name = plain(config["stages"]) or {}
    _check_names({"stages": by_name, "plan.stages": stages})
    known = _known_stages() | set(stages)
    if unknown := sorted(set(by_name) - known):
        raise ConfigError(
            f"Expected stages.<name> to name stages of some plan ({', '.join(sorted(known))}), but got "
            f"{', '.join(unknown)}.{nearest(unknown[0], known)}"
        )
    parents = {stage: node.get("init_from") for stage, node in stages.items()}
    recipe = plain(config["recipe"])
    contents = {
        stage: _merged(_merged(recipe, by_name.get(stage) or {}), stages[stage]) for stage in _order(name, parents)
    }
    made = tuple(Stage(s, recipe_from(content, s), parents[s]) for s, content in contents.items())
    for stage, content in contents.items():
        given, common = (of["backbone"].get("weights") for of in (content, recipe))
        if parents[stage] is not None and given != common:
            raise ConfigError(
                f"Stage {stage!r} starts from stage {parents[stage]!r}, so its backbone.weights={given} would not be used. "
                f"Take it out, or start the stage from these weights: plan.stages.{stage}.init_from=null."
            )
    differences = {stage: _different(own or {}, _seedless(recipe)) for stage, own in by_name.items()}
    own = {stage: of_stage for stage, of_stage in differences.items() if of_stage}
    return Plan(name, made, digest([without_idle(_seedless(recipe)), own]))


def _different(own: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """What is different from the common recipe, seeds and paths of weights apart; without what says the same again."""
    kept = {}
    for key, value in _seedless(own).items():
        theirs = common.get(key)
        if isinstance(value, Mapping) and isinstance(theirs, Mapping):
            value = {name: of for name, of in value.items() if name not in theirs or theirs[name] != of}
            if not value:
                continue
        elif key in common and value == theirs:
            continue
        kept[key] = value
    return kept


def _seedless(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Less the seed and the path of the weights, which stand by their identity beside it."""
    content = {key: value for key, value in recipe.items() if key != "seed"}
    if isinstance(backbone := content.get("backbone"), dict):
        content["backbone"] = {key: value for key, value in backbone.items() if key != "weights"}
    return content


def _read(plan: Mapping[str, Any] | DictConfig) -> tuple[str, dict[str, Any]]:
    """Name and stages of a plan, as plain data."""
    name, stages = plan.get("name"), plain(plan.get("stages")) or {}
    if not isinstance(name, str) or not name:
        raise ConfigError(f"Expected plan.name to be a name, but got {name!r}. Rows and tables call the plan by it.")
    return name, {str(stage): {} if node is None else node for stage, node in stages.items()}


def _check_names(mappings: Mapping[str, Mapping[str, Any]]) -> None:
    """Whatever stands under the name of a stage is a mapping, and what makes a plan stands in the plan."""
    for path, stages in mappings.items():
        for name, node in stages.items():
            if not isinstance(node, Mapping) and node is not None:
                raise ConfigError(
                    f"Expected {path}.{name} to hold settings of a stage, such as {path}.{name}.epochs, but got {node!r}."
                )
            if path == "stages" and (own := [key for key in ("data", "init_from") if key in (node or ())]):
                raise ConfigError(
                    f"Expected {own[0]} of stage {name!r} in the plan, plan.stages.{name}.{own[0]}, but got "
                    f"stages.{name}.{own[0]}, which every plan replaces."
                )


def _known_stages() -> set[str]:
    """Names of the stages of all plans where Hydra searches: ``conf/``, and folders of the user's own."""
    files = sorted(file for folder in config_folders() for file in (folder / "plan").glob("*.yaml"))
    return set(_stages_in(tuple((file, file.stat().st_mtime_ns) for file in files)))


@cache
def _stages_in(files: tuple[tuple[Path, int], ...]) -> frozenset[str]:
    """Read once for all rows of a sweep."""
    names: set[str] = set()
    for path, _ in files:
        try:
            plan = OmegaConf.load(path)
            names |= {str(name) for name in OmegaConf.select(plan, "stages") or ()}
        except Exception as error:  # of YAML's or OmegaConf's kinds
            raise ConfigError(f"Expected a plan in {path}, but got: {' '.join(str(error).split())}.") from None
    return frozenset(names)


def _merged(recipe: Mapping[str, Any], differences: Mapping[str, Any]) -> dict[str, Any]:
    """Differences over a recipe; another ``_target_`` replaces its group instead of mixing with it."""
    common, own = dict(recipe), dict(differences)
    own.pop("init_from", None)
    for group in _GROUPS:
        theirs, ours = own.get(group), common.get(group)
        if (
            isinstance(theirs, dict)
            and isinstance(ours, dict)
            and theirs.get("_target_", ours.get("_target_")) != ours.get("_target_")
        ):
            common.pop(group)
    return _over(common, own)


def _over(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings into mappings; anything else is replaced. As OmegaConf merges plain data, in a hundredth of its time.

    >>> _over({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [3]}, "e": None})
    {'a': {'b': 1, 'c': [3]}, 'd': 2, 'e': None}
    """
    merged = {str(key): value for key, value in common.items()}
    for key, value in own.items():
        theirs = merged.get(str(key))
        both = isinstance(value, Mapping) and isinstance(theirs, Mapping)
        merged[str(key)] = _over(theirs, value) if both else value  # type: ignore[arg-type]
    return merged


def _order(plan: str, parents: Mapping[str, Any]) -> list[str]:
    """Names, parents first.

    >>> _order("p", {"b": "a", "a": None})
    ['a', 'b']
    """
    if not parents:
        raise ConfigError(f"Expected plan {plan!r} to have at least one stage, but got none.")
    for name, parent in parents.items():
        if parent is not None and parent not in list(parents):
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

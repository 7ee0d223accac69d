"""The rows of a sweep: every combination of the overrides, composed.

Hydra composes a configuration in 0.1 s. Rows that name the same groups and set the same keys differ in these keys' values
alone: the first of them is composed by Hydra, the others are its copies with their own values put in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from fer_transfer.config import plain, typed
from fer_transfer.errors import FerTransferError
from fer_transfer.stages.plan import plan_from
from fer_transfer.study import study_from

Compose = Callable[[list[str]], DictConfig]

_PARTS = ("hydra", "logger")  # of which a plan of work needs nothing


@dataclass(frozen=True)
class Row:
    """One job of a multirun, as Hydra counts them: a plan with its settings.

    Attributes:
        overrides: that make it.
        settings: composed and resolved, plain data.
        name: the overrides in which it differs from others of its sweep; its plan, where there are none.
    """

    name: str
    overrides: tuple[str, ...]
    settings: Mapping[str, Any]


def rows_of(overrides: Sequence[Sequence[str]], compose: Compose, parser: OverridesParser) -> Iterator[Row]:
    """Compose every row.

    Args:
        overrides: of each row.
        compose: by Hydra.
        parser: of overrides; knows the groups.
    """
    parse = cache(lambda text: parser.parse_override(text))
    is_group = cache(lambda key: parser.config_loader is not None and parser.config_loader.get_group_options(key) != [])
    composed: dict[tuple[Any, ...], Any] = {}
    common = set[str]().union(*overrides).intersection(*overrides)
    for given in overrides:
        parsed = [parse(text) for text in given]
        shape = tuple(_shape(override, is_group) for override in parsed)
        if shape not in composed:
            config = compose(list(given))
            kept = OmegaConf.masked_copy(config, [str(key) for key in config if key not in _PARTS])
            composed[shape] = OmegaConf.to_container(kept, resolve=False)
        settings = composed[shape]
        for override, of_shape in zip(parsed, shape, strict=True):
            if of_shape[0] == _VALUE:
                settings = _with(settings, override.key_or_group.split("."), override.value())
        resolved = _resolved(settings)
        own = " ".join(text for text in given if text not in common)
        yield Row(own or f"plan={resolved['plan'].get('name')}", tuple(given), resolved)


def wrong_lines(wrong: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with rows, by their names, each thing once."""
    for reason in dict.fromkeys(wrong.values()):
        first, *more = [name for name, why in wrong.items() if why == reason]
        yield f"{first}{f' and {len(more)} more rows' if more else ''}: {reason}"


def hopeless(rows: Sequence[Row]) -> dict[str, str]:
    """What is wrong with the rows, by their names, as far as it is told without torch; empty as soon as one may run."""
    from fer_transfer.stages.early import look
    from fer_transfer.stages.runtime import Runtime

    wrong = {}
    for row in rows:
        try:
            runtime = typed(Runtime, row.settings["runtime"], "The runtime")
            look(plan_from(row.settings), runtime, study_from(row.settings["study"]))
        except FerTransferError as error:
            wrong[row.name] = str(error)
        else:
            return {}
    return wrong


_VALUE, _LITERAL = "value", "literal"


def _shape(override: Override, is_group: Callable[[str], bool]) -> tuple[str, ...]:
    """What an override has in common with others that compose alike, or all of it."""
    value = None if override.is_delete() else override.value()
    single = not override.is_delete() and isinstance(value, bool | int | float | str) and "${" not in str(value)
    key = override.key_or_group
    if (
        not single
        or override.package is not None
        or is_group(key)
        or "_target_" in key
        or key.partition(".")[0] in _PARTS
    ):
        return (_LITERAL, str(override.input_line))
    return (_VALUE, str(override.type), key)


def _with(tree: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """A copy with another value at a path; what is not on the path is shared."""
    first, *rest = path
    return {**tree, first: _with(tree[first], rest, value) if rest else value}


def _resolved(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    if not _interpolates(settings):
        return settings
    resolved = plain(OmegaConf.create(dict(settings)))
    assert isinstance(resolved, dict)
    return resolved


def _interpolates(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_interpolates, value.values()))
    if isinstance(value, list):
        return any(map(_interpolates, value))
    return isinstance(value, str) and ("${" in value or value == "???")

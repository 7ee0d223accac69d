"""Where ``conf/`` is, how it is composed, and how a composed configuration is checked against what it configures."""

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from fer_transfer.errors import ConfigError

T = TypeVar("T")

_PACKAGE = Path(__file__).resolve().parent


def conf_dir() -> Path:
    """The absolute path of ``conf/``: beside the package in a checkout, inside it in a wheel."""
    inside = _PACKAGE / "conf"
    return inside if inside.exists() else _PACKAGE.parent / "conf"


def compose(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose a root configuration as the commands do, for notebooks and tests.

    >>> compose("train", ["plan=fer28_emotiw", "recipe.epochs=3"]).recipe.epochs
    3
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra_compose(config_name, list(overrides), return_hydra_config=False)


def plain(node: Any) -> Any:
    """Resolve a configuration node into plain dicts and lists.

    Raises:
        ConfigError: if a required value (``???``) is missing or an interpolation cannot be resolved.
    """
    from omegaconf.errors import OmegaConfBaseException

    if not OmegaConf.is_config(node):
        return node
    try:
        return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        first = str(error).splitlines()[0].rstrip(".")  # the rest is OmegaConf's own types
        raise ConfigError(
            f"The configuration is incomplete: {first} (at {error.full_key}). Give the value on the command line."
        ) from None


def locate(target: str) -> Any:
    """The object that a ``_target_`` names.

    Raises:
        ConfigError: if it does not exist.
    """
    module, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"Expected _target_ to name something importable, but got {target!r}: {error}.") from None


def targets(node: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping with a ``_target_`` in a plain configuration, with its dotted path."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield path or ".", node
        for key, value in node.items():
            yield from targets(value, f"{path}.{key}" if path else str(key))


def check_target(path: str, node: Mapping[str, Any], supplied: Sequence[str] = ()) -> None:
    """Check one ``_target_`` mapping against the signature it configures.

    Args:
        path: dotted path in the configuration, for the message.
        node: the mapping.
        supplied: parameters that the code passes itself.

    Raises:
        ConfigError: naming keys that are no parameters, or required parameters that are missing.
    """
    parameters = inspect.signature(locate(node["_target_"])).parameters
    keys = {key for key in node if key not in ("_target_", "_partial_")}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = sorted(keys - set(parameters)) if not open_ended else []
    required = {
        n for n, p in parameters.items() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    missing = sorted(required - keys - set(supplied)) if not node.get("_partial_") else []
    if unknown or missing:
        raise ConfigError(
            f"{path} does not fit {node['_target_']}: unknown {unknown or 'none'}, missing {missing or 'none'}. "
            f"Its parameters are {', '.join(parameters)}."
        )


def bind(path: str, node: Mapping[str, Any], supplied: Sequence[str] = ()) -> Callable[..., Any]:
    """What a plain ``_target_`` mapping names, with its arguments bound; the code gives the supplied ones when it calls.

    Args:
        path: dotted path in the configuration, for messages.
        node: the mapping; mappings with a ``_target_`` inside it are built first.
        supplied: parameters that the code passes itself.

    Raises:
        ConfigError: if a mapping does not fit what it configures.
    """
    check_target(path, node, supplied)
    arguments = {key: build(f"{path}.{key}", value) for key, value in node.items() if key != "_target_"}
    return partial(locate(node["_target_"]), **arguments)


def build(path: str, node: Any, **supplied: Any) -> Any:
    """Make what a plain ``_target_`` mapping describes, as ``bind`` does; other data is returned as it is.

    >>> build("x", {"_target_": "fractions.Fraction", "numerator": 3, "denominator": 6})
    Fraction(1, 2)
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        return node
    return bind(path, node, tuple(supplied))(**supplied)


def typed(schema: type[T], content: Mapping[str, Any], what: str) -> T:
    """Plain data as an instance of a dataclass, its values converted to the declared types.

    Raises:
        ConfigError: naming a key that the dataclass does not have, a value of a wrong type, or one it refuses itself.
    """
    from omegaconf.errors import OmegaConfBaseException

    try:
        made = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), dict(content)))
    except (OmegaConfBaseException, ConfigError) as error:
        key = getattr(error, "full_key", None)
        first = (f"{key}: " if key else "") + str(error).splitlines()[0]
        raise ConfigError(f"{what} is wrong: {first} (fer-train --cfg job shows it).") from None
    assert isinstance(made, schema)
    return made

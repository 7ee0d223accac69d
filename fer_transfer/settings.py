"""The settings of a command: composed as Hydra does, and checked: those that ``conf/`` declares, and no others.

Every root and every group is a mapping whose keys the shipped files spell out; where a group names a ``_target_``, the
signature behind it says what it takes. A composed configuration with another key, from the command line or from a file of
the user's own, holds a mistake that would otherwise be ignored.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from fer_transfer.config import allowing, check_allowed, conf_dir, nearest, targets
from fer_transfer.errors import ConfigError

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl


def compose(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose a root configuration as the commands do: for Python, notebooks and tests, and within a command.

    Raises:
        ConfigError: if it has a setting that there is not.

    >>> compose("train", ["plan=fer28_emotiw", "recipe.epochs=3"]).recipe.epochs
    3
    """
    config = _load(config_name, overrides)
    with open_dict(config):
        del config["hydra"]
    check_settings(config, config_name)
    return config


def check_settings(config: DictConfig, root: str) -> None:
    """Check the settings of a composed configuration, without importing what it configures.

    Args:
        config: composed.
        root: name of the root configuration that ships with the command: ``train``, ``prepare``, ``report``, ``weights``.

    Raises:
        ConfigError: naming a key that there is not and the nearest that there is, a part that was taken out, a list where a
            mapping belongs, or a ``_target_`` that is not allowed.
    """
    given = OmegaConf.to_container(config, resolve=False)
    assert isinstance(given, dict)
    given.pop("hydra", None)
    for group, known in declared(root).items():
        _check_group(group, known, _at(given, group))
    with allowing(given.get("allow", ())):
        for path, node in targets(given):
            target = node["_target_"]
            if target is not None and not _interpolated(target):
                check_allowed(target, f"{path}._target_")


@cache
def declared(root: str) -> dict[str, dict[str, Any]]:
    """The mappings that ``conf/`` declares for a command, by dotted path ("": the root), with their default content."""
    from hydra.types import RunMode

    config = OmegaConf.to_container(_load(root, []), resolve=False)
    assert isinstance(config, dict)
    del config["hydra"]
    defaults = _loader().compute_defaults_list(root, [], RunMode.RUN).defaults
    packages = sorted({default.package or "" for default in defaults})
    return {package: _at(config, package) for package in packages if package.partition(".")[0] != "hydra"}


def _loader() -> "ConfigLoaderImpl":
    """Hydra's own, not what a running command composes with: ``hydra.compose`` is of one command at a time."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path

    from fer_transfer.conf_files import ConfFiles

    loader = ConfigLoaderImpl(create_config_search_path(str(conf_dir())))
    loader.repository = ConfFiles(loader.config_search_path)
    return loader


def _load(root: str, overrides: Sequence[str]) -> DictConfig:
    from hydra.types import RunMode

    return _loader().load_configuration(root, list(overrides), RunMode.RUN, from_shell=False)


def _check_group(group: str, known: Mapping[str, Any], given: Any) -> None:
    """Compare a group with what is declared, unless its own ``_target_`` says what it takes."""
    if not isinstance(given, Mapping) or isinstance(given.get("_target_"), str):
        return  # what is no mapping was met in the group above
    if unknown := [str(key) for key in given if key not in known]:
        raise ConfigError(
            f"There is no setting {_dotted(group, unknown[0])}.{nearest(unknown[0], known, group)} Expected one of "
            f"{', '.join(known)}{f' in {group}' if group else ''}."
        )
    for key, default in known.items():
        path = _dotted(group, key)
        if key in given:
            _check_kind(path, default, given[key])
        elif not group or key == "_target_":  # elsewhere there are defaults, or what reads the group misses it
            raise ConfigError(f"Expected {path}, but it was taken out (~{path}, or null for a group). Leave it in.")


def _check_kind(path: str, default: Any, given: Any) -> None:
    """A mapping stays one, a list too, and a single value does not become either; what reads it knows whether null will do."""
    kind, found = _kind(default), _kind(given)
    either = (given is None and kind == "a single value") or (
        default is None and (found != "a mapping" or "." in path or "_target_" in given)
    )
    if kind != found and not either and not _interpolated(given):
        raise ConfigError(f"Expected {path} to be {kind}, but got {given!r}.")


def _kind(value: Any) -> str:
    return "a mapping" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else "a single value"


def _interpolated(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def _at(tree: Any, path: str) -> Any:
    """The node at a dotted path of plain data, or None."""
    for key in path.split(".") if path else ():
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree


def _dotted(group: str, key: Any) -> str:
    return f"{group}.{key}" if group else str(key)

"""Hydra's config loader as the commands use it: what is wrong is told in one line, before anything is instantiated.

Hydra itself instantiates callbacks, launchers and log handlers that a configuration names as soon as it is composed, so a
file of somebody else's could run anything. Here only ``conf/``, installed packages and the command line may say such things.
"""

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import hydra._internal.hydra as hydra_app
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.errors import HydraException, OverrideParseException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig

from fer_transfer.conf_files import ConfFiles
from fer_transfer.config import conf_dir, nearest
from fer_transfer.errors import ConfigError, FerTransferError
from fer_transfer.ranks import last_words, ranks
from fer_transfer.reference import reference
from fer_transfer.settings import check_settings, declared
from fer_transfer.sweeps.launching import check_launcher

#: Keys that a file outside ``conf/`` may not hold: Hydra's own settings, and what else may be imported.
_COMMAND_LINE_ONLY = ("hydra", "allow")


class Loader(ConfigLoaderImpl):
    """Composes as Hydra does and checks the result; ends the process where it does not compose or check.

    Args:
        root: name of the command's root configuration.
        config_search_path: where configurations are searched.
    """

    def __init__(self, root: str, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = ConfFiles(config_search_path)
        self.root = root

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose and check."""
        try:
            if run_mode == RunMode.MULTIRUN and ranks().processes > 1:
                raise ConfigError(
                    f"Expected one plan for the {ranks().processes} processes that torchrun started, but got a sweep (-m). Leave "
                    "-m out and start torchrun once a plan, or sweep without torchrun: one device a job."
                )
            given = [opened(override, self.root) for override in overrides]
            config = super().load_configuration(config_name, given, run_mode, from_shell, validate_sweep_overrides)
            if run_mode == RunMode.RUN:  # of a multirun every job is composed and checked before the first starts
                check_settings(config, self.root)
            elif run_mode == RunMode.MULTIRUN:
                check_launcher(config.hydra.launcher)
        except Exception as error:  # of Hydra's, OmegaConf's and YAML's kinds, ValueError and TypeError
            if not validate_sweep_overrides or os.environ.get("HYDRA_FULL_ERROR") == "1":
                raise  # Hydra's first look at the mode of the run: it goes on, and composes again
            last_words(f"error: {_in_one_line(error, overrides, self.root)}")
            sys.exit(1)
        return config

    def _load_single_config(self, default: ResultDefault, repo: Any) -> ConfigResult:
        with warnings.catch_warnings():
            # A preset of ours has the name of its launcher's own entry: the types of that one are checked, as is meant.
            warnings.filterwarnings("ignore", "(?s).*is validated against ConfigStore schema with the same name")
            loaded = super()._load_single_config(default, repo)
        of_others = loaded.path.startswith("file://") and loaded.path != f"file://{conf_dir()}"
        if of_others and (found := [key for key in _COMMAND_LINE_ONLY if key in loaded.config]):
            raise ConfigError(
                f"Expected {found[0]} on the command line only, but {default.config_path}.yaml in "
                f"{loaded.path.removeprefix('file://')} sets it. Take it out of the file."
            )
        return loaded


@contextmanager
def checked_by(root: str) -> Iterator[None]:
    """Let Hydra compose with ``Loader``; it has no place for this of its own."""
    app: Any = hydra_app
    before = app.ConfigLoaderImpl
    app.ConfigLoaderImpl = partial(Loader, root)
    try:
        yield
    finally:
        app.ConfigLoaderImpl = before


def opened(override: str, root: str) -> str:
    """An override of what takes any name, being empty by default (``stages``, ``kwargs``), with the ++ that Hydra asks for."""
    key, equals, _ = override.partition("=")
    if not equals or not re.fullmatch(r"[\w.]+", key):
        return override
    groups = declared(root)
    for group, content in groups.items():
        for name, default in content.items():
            path = f"{group}.{name}" if group else name
            if default == {} and (key == path or key.startswith(f"{path}.")):
                return f"++{override}"
    return override


def _elsewhere(given: str, root: str) -> str:
    """A question about what is no setting where it was looked for: a group misspelt, or a setting without its group."""
    known = reference(root)
    if "." not in given and (near := nearest(given, [group.name for group in known.groups])):
        return near
    paths = sorted({setting.path for setting in known.everything() if setting.path.endswith(f".{given}")})
    return f" Did you mean {' or '.join(map(repr, paths))}?" if 0 < len(paths) < 4 else ""


def _in_one_line(error: Exception, overrides: list[str], root: str) -> str:
    """What does not compose, with the nearest setting where one is misspelt."""
    if isinstance(error, FerTransferError):
        return str(error)
    if isinstance(error, OverrideParseException):
        return f"Expected KEY=VALUE, but cannot read {error.override!r}. Quote special characters: 'KEY=\"VALUE\"'."
    text = str(error).partition("Config search path:")[0]
    if key := re.match(r"Could not override '([^']+)'", text):
        group, _, name = key[1].rpartition(".")
        known = declared(root).get(group, {})
        if name not in known:
            near = nearest(name, known, group) or _elsewhere(key[1], root)
            if group == "runtime.faces" and "runtime" in declared(root):
                near = f"{near} Of another release: ++{key[1]}=FOLDER."
            return f"There is no setting {key[1]}.{near or f' fer-{root} --settings shows all.'}"
    elif missing := re.search(r"Could not find '([^']+)'\s+Available options in '([^']+)':(.*)", text, re.DOTALL):
        group, options = missing[2], missing[3].split()
        name = missing[1].removeprefix(f"{group}/")
        return f"There is no {group} {name!r}.{nearest(name, options)} There are {', '.join(options)}."
    elif error.__cause__ is not None:
        text = f"{text}: {str(error.__cause__).splitlines()[0]}".removeprefix(": ")
    text = " ".join(text.split())
    given = " ".join(override for override in overrides if not override.startswith("hydra.mode="))
    return text if isinstance(error, HydraException) else f"{text} (in {given})"

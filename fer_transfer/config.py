"""Where ``conf/`` is, how it is composed, and how a composed configuration is checked against what it configures."""

import difflib
import importlib
import inspect
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf

from fer_transfer.errors import ConfigError, FerTransferError

T = TypeVar("T")


def other_folds(count: int, left_out: int) -> list[str]:
    """``${other_folds:5,2}`` in ``conf/``: the folds that a plan trains on.

    Raises:
        ValueError: if there is no such fold.

    >>> other_folds(4, 1)
    ['fold0', 'fold2', 'fold3']
    """
    if not 0 <= left_out < count or count < 2:
        raise ValueError(f"fold={left_out}, but folds={count}, so there are fold0 to fold{count - 1}")
    return [f"fold{number}" for number in range(count) if number != left_out]


OmegaConf.register_new_resolver("other_folds", other_folds, replace=True)

_PACKAGE = Path(__file__).resolve().parent

#: What a ``_target_`` may name unless the user allows more: what this package means to be configured, and optimisers.
#: Not all of fer_transfer and timm: among their functions are some that write or load any file they are given.
_TARGETS = (
    *(f"fer_transfer.{room}.*" for room in ("data", "detection", "releases", "synthetic", "tracking", "training")),
    "fer_transfer.files.limits.*",
    "torch.optim.*",
    "timm.optim.*",
)
_allowed: ContextVar[tuple[str, ...]] = ContextVar("allowed", default=())


def conf_dir() -> Path:
    """The absolute path of ``conf/``: beside the package in a checkout, inside it in a wheel."""
    inside = _PACKAGE / "conf"
    return inside if inside.exists() else _PACKAGE.parent / "conf"


def config_folders() -> list[Path]:
    """Where configurations are searched: folders of the user's own (``--config-dir``) first, ``conf/`` last."""
    from hydra.core.hydra_config import HydraConfig

    sources = HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else []
    own = [Path(source.path) for source in sources if source.schema == "file"]
    return [*dict.fromkeys(folder for folder in own if folder != conf_dir()), conf_dir()]


def typed_words(overrides: Sequence[str] | None = None, command: str = "fer-train") -> str:
    """A command as it is typed.

    Args:
        overrides: of the row; None: those of the command that runs, or an empty text where there is none.
        command: its name.
    """
    from hydra.core.hydra_config import HydraConfig

    if overrides is None:
        if not HydraConfig.initialized():
            return ""
        overrides = HydraConfig.get().overrides.task
    return shlex.join([command, *config_words(), *overrides])


def config_words(file: str = "") -> list[str]:
    """``--config-dir FOLDER`` where the command that runs was given a folder of one's own (that has a file)."""
    own = [str(folder) for folder in config_folders() if folder != conf_dir() and (folder / file).exists()]
    return ["--config-dir", own[0]] if own else []


def override(key: str, value: object) -> str:
    """``KEY=VALUE`` as Hydra reads it: in quotes where its grammar would take the value for anything but this text.

    For a shell ``shlex.quote`` it, or ``shlex.join`` it with the other words.

    >>> print(override("store", "runs/one"), override("store", "a,b"), override("plan", "null"))
    store=runs/one store="a,b" plan="null"
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Quote, QuotedString
    from hydra.errors import HydraException

    text, read = str(value), None
    with suppress(HydraException):
        read = OverridesParser.create().parse_override(f"{key}={text}").value()
    if read == text and "${" not in text:
        return f"{key}={text}"
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)  # no interpolation of OmegaConf's
    return f"{key}={QuotedString(literal, Quote.double).with_quotes()}"


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


def path_given(settings: Mapping[str, Any], key: str) -> Path:
    """The path under a key of plain settings.

    Raises:
        ConfigError: if it is empty or null.
    """
    if settings.get(key) in (None, ""):
        raise ConfigError(f"Expected a path for {key}, but got {settings.get(key)!r}. Give {key}=PATH.")
    return Path(str(settings[key])).expanduser()


def text_given(settings: Mapping[str, Any], key: str) -> str | None:
    """The text under a key of plain settings, or None.

    Raises:
        ConfigError: if it is a mapping or a list.
    """
    given = settings.get(key)
    if isinstance(given, Mapping | list):
        raise ConfigError(f"Expected {key} to be text or null, but got {given!r}. Quote it: {key}=\"'TEXT'\".")
    return None if given is None else str(given)


def nearest(word: str, known: Iterable[str], group: str = "") -> str:
    """A question to add to a message about a word that is not known; nothing where none is like it.

    Args:
        word: as it was given.
        known: what there is.
        group: dotted path of the group that all of these are in, as one has to write it.

    >>> nearest("plna", ["plan", "recipe"]), nearest("epoch", ["epochs"], "recipe")
    (" Did you mean 'plan'?", " Did you mean 'recipe.epochs'?")
    """
    found = nearest_name(word, known)
    whole = f"{group}.{found}" if group else found
    return f" Did you mean {whole!r}?" if found else ""


def nearest_name(word: str, known: Iterable[str]) -> str | None:
    """The name that is most like a word, whatever its case; None where none is like it.

    >>> nearest_name("ResNet81", ["resnet18", "vgg16"])
    'resnet18'
    """
    by_folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), list(by_folded), 1)
    return by_folded[found[0]] if found else None


@contextmanager
def allowing(patterns: Iterable[str]) -> Iterator[None]:
    """Let a ``_target_`` also name what these patterns (fnmatch) match. For what the user says, never for what a file says.

    Raises:
        ConfigError: if they are not a list of strings.
    """
    if isinstance(patterns, str) or not all(isinstance(pattern, str) for pattern in patterns):
        raise ConfigError(
            f"Expected a list of patterns for allow, such as allow=['mypackage.*'], but got {patterns!r}."
        )
    token = _allowed.set(tuple(patterns))
    try:
        yield
    finally:
        _allowed.reset(token)


def check_allowed(target: Any, path: str = "_target_") -> None:
    """Refuse a ``_target_`` that may not be imported, before it is.

    Raises:
        ConfigError: if it is no dotted name, or matches no pattern.
    """
    if not isinstance(target, str):
        raise ConfigError(f"Expected {path} to name a class or function (package.module.name), but got {target!r}.")
    patterns = (*_TARGETS, *_allowed.get())
    if not any(fnmatchcase(target, pattern) for pattern in patterns):
        raise ConfigError(
            f"Expected {path} to name something in {', '.join(patterns)}, but got {target!r}. If you trust it, add "
            f"\"allow=['{target.partition('.')[0]}.*']\" to the command."
        )


def locate(target: Any) -> Any:
    """The class or function that a ``_target_`` names.

    Raises:
        ConfigError: if it does not exist, is something else, or neither the name nor the place of its definition is allowed.
    """
    check_allowed(target)
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"Expected _target_ to name something importable, but got {target!r}: {error}.") from None
    if not (inspect.isclass(found) or inspect.isfunction(found)):
        raise ConfigError(f"Expected _target_ to name a class or function, but {target!r} is a {type(found).__name__}.")
    # A module also holds what it imported itself: only what is defined in an allowed place is meant.
    check_allowed(f"{found.__module__}.{found.__qualname__}", f"_target_ {target!r}, by its definition,")
    return found


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
        ConfigError: naming keys that are no parameters, required parameters that are missing, or a switch that is neither
            true nor false.
    """
    if special := [key for key in node if str(key).startswith("_") and key != "_target_"]:
        raise ConfigError(
            f"{path} has {', '.join(special)}: of Hydra's own keys only _target_ is known here. Take it out."
        )
    check_allowed(node["_target_"], f"{path}._target_")
    found = locate(node["_target_"])
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError) as error:  # of what is written in C
        raise ConfigError(f"Expected {path}._target_ to have a signature, but {error}.") from None
    keys = {key for key in node if key != "_target_"}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = sorted(keys - set(parameters)) if not open_ended else []
    required = {
        n for n, p in parameters.items() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    missing = sorted(required - keys - set(supplied))
    if unknown or missing:
        raise ConfigError(
            f"{path} does not fit {node['_target_']}: unknown {unknown or 'none'}, missing {missing or 'none'}. "
            f"Its parameters are {', '.join(parameters)}.{nearest(unknown[0], parameters) if unknown else ''}"
        )
    for key in keys & set(parameters):  # any word but an empty one would do as true
        if parameters[key].annotation is bool and not isinstance(node[key], bool):
            raise ConfigError(f"Expected {path}.{key} to be true or false, but got {node[key]!r}.")


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

    Raises:
        ConfigError: as ``bind``, or if what is made refuses a value (TypeError, ValueError).

    >>> with allowing(["fractions.*"]):
    ...     build("x", {"_target_": "fractions.Fraction", "numerator": 3, "denominator": 6})
    Fraction(1, 2)
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        return node
    make = bind(path, node, tuple(supplied))
    try:
        return make(**supplied)
    except FerTransferError:
        raise
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in node.items() if key != "_target_")
        raise ConfigError(f"{path}: {node['_target_']} refuses {given}: {error}.") from error


def typed(schema: type[T], content: Mapping[str, Any], what: str) -> T:
    """Plain data as an instance of a dataclass, its values converted to the declared types.

    Raises:
        ConfigError: naming a key that the dataclass does not have, a value of a wrong type, or one it refuses itself.
    """
    from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

    try:
        made = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), dict(content)))
    except (OmegaConfBaseException, ConfigError) as error:
        key = getattr(error, "full_key", None)
        first = (f"{key}: " if key else "") + str(error).splitlines()[0].rstrip(".")
        near = ""
        if "is not a ListConfig" in first:
            first = f"{key} is a list, [A,B]"
        if isinstance(error, ConfigKeyError) and is_dataclass(error.object_type):
            near = nearest(str(error.key), (field.name for field in fields(error.object_type)))
        raise ConfigError(
            f"{what} is wrong: {first}.{near} The same command with --cfg job shows what it was given."
        ) from None
    assert isinstance(made, schema)
    return made

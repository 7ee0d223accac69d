"""Whether timm or this package knows a name, found in sources: importing timm takes seconds, a misspelt name need not wait."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

from fer_transfer.config import nearest
from fer_transfer.errors import ConfigError

_REGISTERED = re.compile(r"^@register_model.*\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)
_OF_BEFORE = re.compile(r"^register_model_deprecations\(__name__, \{(.*?)^\}\)", re.MULTILINE | re.DOTALL)
_OWN = Path(__file__).parent
_OLD_NAME = re.compile(r"^    ['\"]([\w.]+)['\"] *:", re.MULTILINE)


def check_name(name: str, option: str) -> None:
    """Refuse the name of a network that there is none of. A name with a place (``hf-hub:...``) is left to timm.

    Args:
        name: a timm model name, with or without a tag.
        option: where it was given, for the message.

    Raises:
        ConfigError: with the nearest name that there is.
    """
    bare = name.partition(".")[0]
    ours = [path for path in _OWN.glob("*.py") if bare in _names(path)]
    if ":" in name or ours or _registered_here(name, bare):
        return
    files = list(_sources())
    if not files:
        return  # timm will say it
    likely = sorted(files, key=lambda path: not bare.startswith(path.stem[:4]))
    if not any({name, bare} & _names(path) for path in likely):
        known = {known for path in (*files, *_OWN.glob("*.py")) for known in _names(path)}
        raise ConfigError(
            f"Expected a name from timm.list_models() for {option}, but got {name!r}.{nearest(bare, known)}"
        )


def _registered_here(name: str, bare: str) -> bool:
    """Whether timm is imported and says so: a network may have been registered by this process."""
    registry = sys.modules.get("timm.models._registry")
    return registry is not None and (registry.is_model(bare) or registry.is_model(name))


def _sources() -> Iterator[Path]:
    spec = PathFinder.find_spec("timm")
    for folder in spec.submodule_search_locations or () if spec else ():
        yield from sorted((Path(folder) / "models").glob("*.py"))


@cache
def _names(path: Path) -> frozenset[str]:
    """Names that a module of timm registers, those of before among them."""
    text = path.read_text(encoding="utf-8")
    of_before = (name for found in _OF_BEFORE.findall(text) for name in _OLD_NAME.findall(found))
    return frozenset([*_REGISTERED.findall(text), *of_before])

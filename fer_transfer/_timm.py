"""Lets timm be imported without wandb: it only asks whether wandb is there, and the answer takes as long as torch.

timm's training script logs to wandb where it can be imported; nothing here uses that. The question is answered with no, for
timm alone: whoever else imports wandb gets it.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

_ASKS = "timm.utils.summary"


class _NotForTimm(importlib.abc.MetaPathFinder):
    """Says that there is no wandb while timm's module that asks for it is being imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "wandb" and getattr(getattr(sys.modules.get(_ASKS), "__spec__", None), "_initializing", False):
            raise ImportError(f"{_ASKS} goes without wandb here")
        return None


def install() -> None:
    """Put the answer in place, once. Costs nothing until timm is imported."""
    if not any(isinstance(finder, _NotForTimm) for finder in sys.meta_path):
        sys.meta_path.insert(0, _NotForTimm())

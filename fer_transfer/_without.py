"""Lets a library be imported without others that it only asks after, where these take as long to import as torch.

timm's training script logs to wandb where it is there, and torchmetrics, which Lightning imports, draws with matplotlib and has
metrics of sound and pictures that need scipy's signals and torchvision; none of it is used here. While such a library is being
imported it is told that the others are absent; whoever else imports them gets them.
"""

import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
from collections.abc import Collection, Iterable, Sequence
from types import ModuleType


class _Without(importlib.abc.MetaPathFinder):
    """Says, while one module is being imported, that packages are absent: to imports, and to who asks for their versions."""

    def __init__(self, asking: str, absent: Collection[str]) -> None:
        self.asking, self._absent = asking, frozenset(absent)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if self._withheld(fullname.partition(".")[0]):
            raise ModuleNotFoundError(f"{self.asking} goes without {fullname} here", name=fullname)
        return None

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        """Of ``importlib.metadata``."""
        if context is not None and self._withheld(context.name):
            raise importlib.metadata.PackageNotFoundError(context.name)
        return ()

    def _withheld(self, package: str | None) -> bool:
        """Not what is imported already: Python answers from there, and nothing would be saved."""
        being_imported = getattr(getattr(sys.modules.get(self.asking), "__spec__", None), "_initializing", False)
        return bool(being_imported) and package in self._absent - sys.modules.keys()


def install(asking: str, *absent: str) -> None:
    """Put the answer in place, once. Costs nothing until the module is imported.

    Args:
        asking: the module that asks.
        absent: packages that it shall go without.
    """
    if not any(isinstance(finder, _Without) and finder.asking == asking for finder in sys.meta_path):
        sys.meta_path.insert(0, _Without(asking, absent))

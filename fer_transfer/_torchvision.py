"""Lets torchvision be imported beside a build of torch that its compiled library was not made for.

The registry's torchvision is linked against CUDA. Beside a CPU build of torch its library cannot be loaded, and the
import of the pure Python part then fails because two operator schemas are missing ("operator torchvision::nms does
not exist"); timm, torchmetrics and Lightning fail with it. Declaring the schemas is enough: transforms and models
work, ``ops.nms`` and ``torchvision.io`` do not and are not used here. On matching builds this does nothing.
"""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_SCHEMAS = ("nms", "qnms")
_kept_alive: list[Any] = []


class _BeforeTorchvision(importlib.abc.MetaPathFinder):
    """Runs once, just before torchvision is first imported, then steps aside."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin and not _library_loads(Path(spec.origin).parent):
            _declare_schemas()
        return spec


def _library_loads(folder: Path) -> bool:
    import torch

    try:
        for library in folder.glob("_C*.so"):
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return True


def _declare_schemas() -> None:
    from torch.library import Library

    library = Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _SCHEMAS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    _kept_alive.append(library)


def install() -> None:
    """Put the hook in place unless torchvision is already there. Costs nothing until torchvision is imported."""
    if "torchvision" not in sys.modules and not any(isinstance(f, _BeforeTorchvision) for f in sys.meta_path):
        sys.meta_path.insert(0, _BeforeTorchvision())

"""Digests: of files, and of plain data whatever its spelling."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_transfer.files.regular import open_regular

if TYPE_CHECKING:
    from hashlib import _Hash

    Sha256 = _Hash  # a type that has no public name


def file_digest(paths: Iterable[Path], begun: "Sha256 | None" = None) -> str:
    """SHA-256 over the bytes of the files, in the order given, hexadecimal.

    Args:
        paths: of the files.
        begun: of what comes before them; it is left as it is.

    Raises:
        OSError: if one cannot be read, or is no regular file.
    """
    digest = hashlib.sha256() if begun is None else begun.copy()
    for path in paths:
        with open_regular(path) as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def canonical(value: Any) -> Any:
    """Plain data in one spelling: 1 and 1.0 are the same number, tuples are lists, mappings have string keys.

    >>> canonical({"lr": 1.0, "crops": (1, 2.5)})
    {'lr': 1, 'crops': [1, 2.5]}
    """
    if isinstance(value, Mapping):
        return {str(key): canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def digest(value: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of plain data, whatever the order of its keys."""
    text = json.dumps(canonical(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]

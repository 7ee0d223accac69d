"""Digests of files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def file_digest(paths: Iterable[Path]) -> str:
    """SHA-256 over the bytes of the files, in the order given, hexadecimal."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()

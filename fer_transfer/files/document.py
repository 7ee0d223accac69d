"""JSON files that carry a digest of themselves: what is read is what was written, or is named as damaged."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_transfer.files.regular import open_regular
from fer_transfer.files.whole import written_whole

#: Bytes of a document that are read at most; none that is written comes near.
LARGEST = 64 << 20

#: Under this name the digest stands in the file.
_SEAL = "sha256"


class DocumentError(ValueError):
    """A document is not what was written; the message says what was expected and found, not where."""


def seal_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of plain data, less the digest that it may carry, whatever the order of its keys; hexadecimal."""
    own = {key: value for key, value in content.items() if key != _SEAL}
    return hashlib.sha256(json.dumps(own, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_document(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain data as JSON with its digest, aside and renamed; makes the folder.

    Raises:
        OSError: if it cannot be written; nothing is left behind then.
    """
    plain = json.loads(json.dumps(content))  # as it will be read: tuples are lists, keys are text
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as aside:
        aside.write_text(json.dumps(plain | {_SEAL: seal_of(plain)}, indent=1), encoding="utf-8")


def read_document(path: Path) -> dict[str, Any]:
    """Read what ``write_document`` wrote.

    Raises:
        FileNotFoundError: if there is none.
        DocumentError: if it is no such document, was changed, or cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "one.json"
    ...     write_document(path, {"a": 1})
    ...     before = read_document(path)
    ...     _ = path.write_text(path.read_text().replace("1,", "2,"))
    ...     read_document(path)
    Traceback (most recent call last):
    fer_transfer.files.document.DocumentError: expected content of digest 015abd7f5cc5, but its own is 7e8059f49558
    """
    try:
        content = _json(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise DocumentError(f"expected JSON, but got {type(error).__name__}: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get(_SEAL), str):
        raise DocumentError(f"expected a mapping with its digest under {_SEAL!r}, but got {type(content).__name__}")
    if content[_SEAL] != (own := seal_of(content)):
        raise DocumentError(f"expected content of digest {content[_SEAL][:12]}, but its own is {own[:12]}")
    del content[_SEAL]
    return content


def without_digest(path: Path) -> dict[str, Any]:
    """Content of a JSON file that carries no digest, as files did before there was one; empty if it is no such mapping."""
    try:
        content = _json(path)
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) and _SEAL not in content else {}


def _json(path: Path) -> Any:
    """JSON of a regular file: a FIFO is not waited for, and what has no end is not read."""
    with open_regular(path) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"over {LARGEST >> 20} MiB")
    return json.loads(data.decode("utf-8"), parse_constant=_no_number)


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")

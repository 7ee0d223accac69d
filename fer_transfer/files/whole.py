"""Files that are written aside and renamed, so that nobody meets half a file."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to: it takes its place at the end, and is gone after an error.

    The name is this writer's alone: threads share a process's number, and computers share a folder.

    Raises:
        OSError: if it cannot take the place.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.txt"
    ...     with written_whole(path) as aside:
    ...         _ = aside.write_text("abc")
    ...     path.read_text(), len(list(Path(folder).iterdir()))
    ('abc', 1)
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)

"""What a path that does not exist may have meant."""

import os
from pathlib import Path

from fer_transfer.config import nearest_name


def near_path(path: str | os.PathLike[str]) -> str:
    """A question to add to a message about a path that is not there: the nearest name beside it; nothing where none is like it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "fer2013.csv").write_text("")
    ...     near_path(f"{folder}/fer2031.csv").replace(folder, "data")
    " Did you mean 'data/fer2013.csv'?"
    """
    path = Path(path)
    for parent in path.parents:
        if parent.is_dir():
            missing, *rest = path.relative_to(parent).parts
            found = nearest_name(missing, _names(parent))
            return f" Did you mean {str(parent / found / Path(*rest))!r}?" if found else ""
    return ""


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))[:10_000]
    except OSError:
        return []

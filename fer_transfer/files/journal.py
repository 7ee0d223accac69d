"""What an interrupted ``fer-prepare`` has done already: one small file beside the folder that is being made."""

import json
import sqlite3
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from fer_transfer.errors import FacesError

#: Seconds of work that an interruption may cost.
_EVERY = 1.0


class Journal:
    """Finished pieces of work by name, kept on disk until the whole is finished.

    An SQLite file: what was committed survives a crash at any moment.

    Args:
        path: of the file; made if it is not there.
        settings: plain JSON; what was done with other settings is thrown away.

    Raises:
        FacesError: if it cannot be read or written, or another process is at work on it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as tmp:
    ...     with Journal(Path(tmp) / "done", {"size": 3}) as journal:
    ...         journal.put("a", b"abc")
    ...     with Journal(Path(tmp) / "done", {"size": 3}) as journal:
    ...         journal.get("a"), journal.get("b"), len(journal)
    ...     with Journal(Path(tmp) / "done", {"size": 4}) as journal:
    ...         len(journal)
    (b'abc', None, 1)
    0
    """

    def __init__(self, path: Path, settings: Any) -> None:
        self.path = path
        self._committed = time.monotonic()
        text = json.dumps(settings, sort_keys=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=0.5)
            self._open(text)
        except (OSError, sqlite3.Error) as error:
            self._fail(error)

    def _open(self, settings: str) -> None:
        execute = self._base.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")  # a second process is told at once
        execute("BEGIN EXCLUSIVE")
        execute("CREATE TABLE IF NOT EXISTS settings (text TEXT)")
        execute("CREATE TABLE IF NOT EXISTS done (name BLOB PRIMARY KEY, result BLOB)")
        if execute("SELECT text FROM settings").fetchall() != [(settings,)]:
            execute("DELETE FROM done")
            execute("DELETE FROM settings")
            execute("INSERT INTO settings VALUES (?)", (settings,))
        self._base.commit()

    def __len__(self) -> int:
        return int(self._base.execute("SELECT count(*) FROM done").fetchone()[0])

    def __contains__(self, name: str) -> bool:
        return self._base.execute("SELECT 1 FROM done WHERE name = ?", (_key(name),)).fetchone() is not None

    def get(self, name: str) -> bytes | None:
        """What was put under this name, or None."""
        try:
            row = self._base.execute("SELECT result FROM done WHERE name = ?", (_key(name),)).fetchone()
        except sqlite3.Error as error:
            self._fail(error)
        return None if row is None else bytes(row[0])

    def put(self, name: str, result: bytes) -> None:
        """Keep a finished piece; it is on disk within a second of work, and when the journal is closed."""
        try:
            self._base.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (_key(name), result))
            if time.monotonic() - self._committed > _EVERY:
                self._base.commit()
                self._committed = time.monotonic()
        except sqlite3.Error as error:
            self._fail(error)

    def remove(self) -> None:
        """Delete the file; the whole is finished."""
        self._base.close()
        self.path.unlink(missing_ok=True)
        self.path.with_name(self.path.name + "-journal").unlink(missing_ok=True)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not self.path.exists():
                return  # removed
            self._base.commit()
            empty = not len(self)
            self._base.close()
            if empty:
                self.remove()
        except sqlite3.Error as failure:
            self._fail(failure)

    def _fail(self, error: Exception) -> NoReturn:
        busy = "locked" in str(error)
        advice = (
            "Another fer-prepare is at work on the same folder: wait for it, or choose another (out=)."
            if busy
            else "Free space or choose another folder (out=); if the file is damaged, remove it."
        )
        raise FacesError(f"Cannot keep what is done in {self.path}: {error}. {advice}") from None


def _key(name: str) -> bytes:
    """A name as bytes: SQLite's text is UTF-8, which not every file name is."""
    return name.encode("utf-8", "surrogatepass")

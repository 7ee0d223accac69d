"""What is done of a folder of faces that is not complete yet: journals beside it, of all frames or of a shard of them.

::

    faces/.emotiw.parts/
        1-of-1.npy .told .lock      all frames (files.journal): of one process, or what shards are joined to
        3-of-16.npy .told .lock     the third of sixteen shards

Each is of one release and one choice of settings; those of another are never joined to it.
"""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fer_transfer.errors import ConfigError, FacesError
from fer_transfer.files.journal import Journal, journals, peek, remove


@dataclass(frozen=True)
class Shard:
    """The ``number``-th of ``of`` parts of the frames: neighbours in the release, as many as in the others, or one more.

    >>> [list(Shard(number, 3).rows(7)) for number in (1, 2, 3)]
    [[0, 1], [2, 3], [4, 5, 6]]
    """

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def rows(self, count: int) -> range:
        """Its places among so many frames."""
        return range((self.number - 1) * count // self.of, self.number * count // self.of)

    @property
    def file(self) -> str:
        """Name of its journal."""
        return f"{self.number}-of-{self.of}"


#: All frames.
WHOLE = Shard(1, 1)


def shard_from(text: object) -> Shard:
    """The shard that is meant by ``3/16``.

    Raises:
        ConfigError: if it is none.

    >>> str(shard_from("3/16"))
    '3/16'
    """
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", str(text))
    number, of = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= of:
        raise ConfigError(f"Expected shard=NUMBER/ALL, such as shard=3/16 or shard=16/16, but got {text!r}.")
    return Shard(number, of)


class Parts:
    """The journals of one folder of faces.

    Args:
        folder: the folder of faces, there or not.
        name: the release's name.
        settings: what the faces are made with, as plain JSON.
        shape: of all their pixels: number of frames, height, width, and 3 in colour.
        again: the command that prepares them, for messages.
    """

    def __init__(self, folder: Path, name: str, settings: dict[str, Any], shape: tuple[int, ...], again: str) -> None:
        self.path, self.again = parts_of(folder), again
        self._of = {"name": name, "settings": settings}
        self._shape = shape

    def open(self, shard: Shard) -> Journal:
        """The journal of a shard, which this process is at work on from now.

        Raises:
            FacesError: if another process is, if it cannot be written, or if there are shards of another number of them.
        """
        others = [other for other in self._there() if other.of != shard.of] if shard != WHOLE else []
        if others:
            raise FacesError(
                f"Expected shards of {shard.of} in {self.path}, but those there are of {others[0].of} "
                f"({_some(others)}). Go on with those (shard=NUMBER/{others[0].of}), or remove {self.path} to begin anew."
            )
        return Journal(self.path / shard.file, self._settings(shard), (len(self._rows(shard)), *self._shape[1:]))

    def whole(self) -> Journal:
        """The journal of all frames, to which the shards that are there are joined; they are deleted then.

        Raises:
            FacesError: if there are shards, but not all of them, made with these settings from the release as it is.
        """
        shards = self._there()
        if len({shard.of for shard in shards}) > 1:
            raise FacesError(
                f"Expected shards of one number in {self.path}, but got {_some(shards)}. Remove the files of the others."
            )
        journal = self.open(WHOLE)
        try:
            if shards:
                self._refuse_missing(shards[0].of, len(journal))
            for shard in shards:
                self._join(shard, journal)
        except BaseException:
            journal.close()
            raise
        return journal

    def missing(self, of: int, first: int = 0) -> dict[Shard, str]:
        """Shards that are to do, and why; those of frames before the first that is needed are not."""
        every = (Shard(number, of) for number in range(1, of + 1))
        needed = [shard for shard in every if self._rows(shard).stop > first and self._rows(shard)]
        return {shard: why for shard in needed if (why := self._lacks(shard))}

    def _rows(self, shard: Shard) -> range:
        return shard.rows(self._shape[0])

    def _there(self) -> list[Shard]:
        found = (re.fullmatch(r"(\d+)-of-(\d+)", path.name) for path in journals(self.path))
        shards = [Shard(int(match[1]), int(match[2])) for match in found if match]
        return sorted({*shards} - {WHOLE}, key=lambda shard: (shard.of, shard.number))

    def _settings(self, shard: Shard) -> dict[str, Any]:
        return {**self._of, "frames": self._shape[0], "shard": str(shard)}

    def _lacks(self, shard: Shard) -> str:
        """Why a shard cannot be joined yet, or nothing."""
        try:
            settings, done = peek(self.path / shard.file)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        if settings is None:
            return "not there"
        if settings != self._settings(shard):
            return _difference(settings, self._settings(shard))
        count = len(self._rows(shard))
        return "" if done >= count else f"{done} of {count} frames"

    def _refuse_missing(self, of: int, first: int) -> None:
        missing = self.missing(of, first)
        if not missing:
            return
        told = [f"{shard} ({why})" for shard, why in missing.items()]
        raise FacesError(
            f"Expected all {of} shards in {self.path}, but {len(missing)} are missing: {', '.join(told[:3])}"
            f"{', ...' if len(told) > 3 else ''}. Make each, then repeat this command: "
            f"{self.again} shard={next(iter(missing))}. Or remove {self.path}, to do without shards."
        )

    def _join(self, shard: Shard, whole: Journal) -> None:
        rows = self._rows(shard)
        with self.open(shard) as part:
            for row in rows[max(0, len(whole) - rows.start) :]:
                if (named := part.at(row - rows.start)) is None:
                    part.cut(row - rows.start)
                    break
                whole.put(*named)
            else:
                whole.sync()  # before the only other copy goes
                part.remove()
                return
        self._refuse_missing(shard.of, len(whole))


def parts_of(folder: Path) -> Path:
    """Where the journals of a folder of faces lie."""
    return folder.with_name(f".{folder.name}.parts")


def remove_parts(folder: Path, name: str, settings: dict[str, Any]) -> None:
    """Delete the journals of faces that are complete; those of others stay."""
    path = parts_of(folder)
    for journal in journals(path):
        of, _ = peek(journal)
        if isinstance(of, dict) and (of.get("name"), of.get("settings")) == (name, settings):
            remove(journal)
    with contextlib.suppress(OSError):  # not there, or others in it
        path.rmdir()


def _difference(there: Any, asked: dict[str, Any]) -> str:
    """In a few words, what a journal was made with instead of what is asked."""
    both = [settings.get("settings") if isinstance(settings, dict) else None for settings in (there, asked)]
    one, other = (settings if isinstance(settings, dict) else {} for settings in both)
    differ = [key for key in {**other, **one} if one.get(key) != other.get(key)]
    if differ in (["sources"], []):
        return "made from the release before it changed"
    return f"made with other settings: {', '.join(differ[:3])}"


def _some(shards: list[Shard]) -> str:
    return ", ".join(map(str, shards[:3])) + (", ..." if len(shards) > 3 else "")

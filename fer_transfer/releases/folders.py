"""Pictures of your own: in folders named after classes, or listed in a CSV.

========  ==============================================================================================================
What      Whatever pictures you have, one label each; frames whose face is found, or faces already (``release.aligned``)
Made by   You, or whoever gave them to you: say it in ``release.note``, which stands beside every number
Licence   Theirs; prepared faces are copies of the pictures. ``release.may_be_shown=true`` lets reports and trackers have them
To get    From their owners
Size      Any number of pictures; none is stated, so none is compared
Classes   The name of a picture's folder, or the CSV's column label, as an expression is spelt (Happy, happiness); what other
          names are is said by ``release.classes``. A name that is unknown is refused, or left out (``release.leave_out``)
Splits    Folders named Train, Val and Test (train_set, ...) or fold0, fold1, ... above or below the classes, or the column split;
          otherwise made, each subject in one: ``release.shares`` or ``release.folds`` (``releases.dividing`` states the rule)
Forms     ``Train/Happy/1.jpg``, ``Happy/1.jpg``, ``Happy/anna/1.jpg``, at any depth of a folder, .zip or .tar.*; or a CSV with
          the columns path and label, perhaps split and subject, paths relative to ``release.path``. ``release.subject`` is a
          regular expression that finds the subject in a path
Faults    Not known beforehand. Refused, with counts: a subject in two splits, two names for one class, an empty class folder,
          pictures of a pixel or two, paths of the CSV that are missing, twice, absolute or outside. Told: lost and unreadable
          faces, duplicates
Sources   None
========  ==============================================================================================================
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from fer_transfer.detection.pipeline import FacePipeline
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.files.archive import Archive
from fer_transfer.files.names import shown
from fer_transfer.files.packed import Packed
from fer_transfer.releases.list_file import read_list
from fer_transfer.releases.listed import ListedRelease
from fer_transfer.releases.listing import Listed, first_three
from fer_transfer.releases.sfew_layout import is_picture, split_words

_FOLD = re.compile(r"fold[ _-]?(\d+)", re.IGNORECASE)


class FoldersRelease(ListedRelease):
    """Pictures in class folders, or listed in a CSV.

    Args:
        path: a folder or an archive.
        pipeline: how frames become faces.
        csv: the list, a file; or its path in the folder or archive. None: folders name the classes.
        subject: regular expression that finds the subject in a picture's path, its first group if it has one.
        name: the word that plans use for the faces.
        **options: those of every ``ListedRelease``.
    """

    title = "folders"

    def __init__(
        self,
        path: str,
        pipeline: FacePipeline,
        csv: str | None = None,
        subject: str | None = None,
        name: str = "folders",
        **options: Any,
    ) -> None:
        super().__init__(path, pipeline, name, **options)
        self.csv = None if csv is None else str(csv)
        self.subject = None if subject is None else _pattern(str(subject))

    @property
    def sources(self) -> list[Path]:
        """The folder or archive, and the list where it lies elsewhere."""
        return [self.path, *([Path(self.csv).expanduser()] if self.csv and self._lies_elsewhere else [])]

    @property
    def _lies_elsewhere(self) -> bool:
        return self.csv is not None and Path(self.csv).expanduser().is_file()

    def settings(self) -> dict[str, Any]:
        """What was chosen; another choice means preparing again."""
        csv = None if self.csv is None else Path(self.csv).name
        return {**super().settings(), "csv": csv, "subject": self.subject and self.subject.pattern}

    def _listed(self, archive: Archive) -> Sequence[Listed]:
        listed = self._in_folders(archive) if self.csv is None else self._in_list(archive, self.csv)
        if self.subject is None:
            return listed
        if any(picture.subject for picture in listed):
            raise ConfigError("Expected subjects from the CSV or by release.subject, but got both. Leave one out.")
        return _with_subjects(listed, self.subject)

    def _in_list(self, archive: Archive, csv: str) -> Sequence[Listed]:
        if self._lies_elsewhere:
            return read_list(Path(csv).expanduser(), None, archive)
        return read_list(Path(csv), csv, archive)

    def _in_folders(self, archive: Archive) -> Sequence[Listed]:
        folders = {name.rpartition("/")[0] for name in archive.names if is_picture(name)}
        if not folders:
            raise ReleaseError(
                f"Expected pictures in folders named after classes in {shown(str(self.path))}, but there are none; "
                f"{len(archive.names)} files. Check release.path."
            )
        beside = {
            PurePosixPath(path).parts[:depth]
            for path in folders
            for depth, folder in enumerate(PurePosixPath(path).parts)
            if self._names_class(folder)
        }
        told = {path: (self._class_of(path, beside), _split(path)) for path in folders}
        listed = Packed(Listed(name, *told[name.rpartition("/")[0]]) for name in archive.names if is_picture(name))
        if not all(name for name, _ in told.values()):
            without = [picture.path for picture in listed if not picture.name]
            raise ReleaseError(
                f"Expected each picture of {shown(str(self.path))} in a folder named after its class, but {len(without)} of "
                f"{len(listed)} in none ({first_three(without)}). Move them, or list them in a CSV (release.csv)."
            )
        self._refuse_empty_folders(archive, folders, beside)
        return listed

    def _names_class(self, folder: str) -> bool:
        return self.classes.knows(folder) or self.classes.leaves_out(folder)

    def _class_of(self, path: str, beside: set[tuple[str, ...]]) -> str:
        """The folder that names the class: the innermost that is known, else one beside such, else that of the pictures."""
        folders = PurePosixPath(path).parts
        known = [folder for folder in folders if self._names_class(folder)]
        near = [folder for depth, folder in enumerate(folders) if tuple(folders[:depth]) in beside]
        other = [folder for folder in folders if not _split_of(folder)]
        return (known or near or other or [""])[-1]

    def _refuse_empty_folders(self, archive: Archive, pictured: set[str], beside: set[tuple[str, ...]]) -> None:
        """Refuse folders beside those of classes that hold no picture, or, named otherwise, nothing."""
        full, filled = _above(pictured), _above({name.rpartition("/")[0] for name in archive.names})
        classes = (
            parts for folder in archive.folders if (parts := PurePosixPath(folder).parts) and parts[:-1] in beside
        )
        near = ((parts, full if self._names_class(parts[-1]) else filled) for parts in classes)
        if empty := sorted("/".join(parts) for parts, known in near if parts not in known and not _split_of(parts[-1])):
            raise ReleaseError(
                f"Expected pictures in every class folder of {shown(str(self.path))}, but none in {len(empty)} "
                f"({first_three(empty)}). Fill or remove them."
            )


def _above(folders: set[str]) -> set[tuple[str, ...]]:
    """The parts of these folders' paths, and of all folders above them."""
    return {PurePosixPath(path).parts[:depth] for path in folders for depth in range(path.count("/") + 2)}


def _split(path: str) -> str:
    """The split that the innermost folder which names one names; empty where none does."""
    return next((split for folder in reversed(PurePosixPath(path).parts) if (split := _split_of(folder))), "")


def _split_of(folder: str) -> str:
    if fold := _FOLD.fullmatch(folder):
        return f"fold{int(fold[1])}"
    splits = set(split_words(folder))
    return splits.pop() if len(splits) == 1 else ""


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ConfigError(
            f"Expected release.subject to be a regular expression, but {text!r} is none: {error}."
        ) from None


def _with_subjects(listed: Sequence[Listed], pattern: re.Pattern[str]) -> Sequence[Listed]:
    if without := [picture.path for picture in listed if not pattern.search(picture.path)]:
        raise ReleaseError(
            f"Expected release.subject={pattern.pattern!r} to find the subject of every picture, but it finds none in "
            f"{len(without)} of {len(listed)} ({first_three(without)}). Change it."
        )
    return Packed(
        Listed(p.path, p.name, p.split, (match[1] if pattern.groups else match[0]) or "")
        for p in listed
        if (match := pattern.search(p.path))
    )

"""What the names below an SFEW folder tell: split, class, movie, and whether a picture is a frame or an aligned face.

The data set itself is described in ``releases.sfew``.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fer_transfer.detection.crop import Box
from fer_transfer.errors import ReleaseError
from fer_transfer.files.names import shown
from fer_transfer.files.packed import Packed
from fer_transfer.labels import UNLABELLED, LabelSet

#: The owners' names, in their order.
SPLITS = ("Train", "Val", "Test")

_SPLIT_WORDS = {"train": "Train", "training": "Train", "val": "Val", "validation": "Val", "test": "Test"}
_PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_MOVIE = re.compile(r"(.+)_\d+_\d+")


class Picture(NamedTuple):
    """One picture of the release: its path inside, unique id, split, label (or UNLABELLED), and movie or person or None."""

    path: str
    id: str
    split: str
    label: int
    aligned: bool
    movie: str | None
    box: Box | None = None  # of the face, in a picture that is not searched


@dataclass(frozen=True)
class Layout:
    """The pictures to be used, all frames or all aligned faces.

    Attributes:
        pictures: in the order Train, Val, Test, and in each as in the release.
        aligned: whether they are the organisers' aligned faces.
        both: whether the release holds the other kind too.
        ignored: number of other files by extension.
    """

    pictures: Packed[Picture]
    aligned: bool
    both: bool
    ignored: dict[str, int] = field(default_factory=dict)

    def movies(self) -> dict[str, int]:
        """Number of movies by split, counted where file names tell the movie."""
        return {split: len(found) for split in SPLITS if (found := self._movies(split))}

    def movies_in_two_splits(self) -> dict[str, list[str]]:
        """Movies that stand in two splits, by pair of splits ("Train and Val"), sorted."""
        pairs = {f"{a} and {b}": sorted(self._movies(a) & self._movies(b)) for a, b in combinations(SPLITS, 2)}
        return {pair: movies for pair, movies in pairs.items() if movies}

    def _movies(self, split: str) -> set[str]:
        return {picture.movie for picture in self.pictures if picture.split == split and picture.movie}


def is_picture(name: str) -> bool:
    """Whether a file has the name of a picture.

    >>> is_picture("a/B.PNG"), is_picture("notes.txt")
    (True, False)
    """
    return name.lower().endswith(_PICTURES)


def movie_of(name: str) -> str | None:
    """The movie that a frame's file name tells (``Movie_timecode_frame.png``), or None.

    >>> movie_of("Airheads_000519240_00000005.png"), movie_of("George_W_Bush_0015.jpg")
    ('Airheads', None)
    """
    match = _MOVIE.fullmatch(name.rpartition("/")[2].rpartition(".")[0])
    return match[1] if match else None


def read_layout(path: Path, names: Sequence[str], aligned: str, labels: LabelSet) -> Layout:
    """Read the names of a release.

    Args:
        path: folder or archive, for messages.
        names: relative POSIX paths of its files.
        aligned: ``true``, ``false`` or ``auto``: which kind to use where both are there.
        labels: what class folders are named after.

    Raises:
        ReleaseError: if Train or Val is empty, a class folder is none of the label set, or the kind asked for is not there.
    """
    ignored, pictures = [], []
    for name in names:
        picture = _read_name(name, path, labels) if is_picture(name) else None
        if picture:
            pictures.append(picture)
        else:
            ignored.append(name)
    _refuse_empty_splits(path, pictures, names)
    use = _choose(path, pictures, aligned)
    chosen = [p for split in SPLITS for p in pictures if p.split == split and p.aligned == use]
    seen = Counter(picture.id for picture in chosen)
    unique = Packed(p if seen[p.id] == 1 else p._replace(id=shown(p.path)) for p in chosen)
    return Layout(unique, use, len(chosen) < len(pictures), ignored_by_kind(ignored))


def ignored_by_kind(names: Iterable[str]) -> dict[str, int]:
    """How many files there are of each extension, sorted; for those that are no pictures of a release.

    >>> ignored_by_kind(["a/x.txt", "readme"])
    {'.txt': 1, 'none': 1}
    """
    return dict(sorted(Counter(PurePosixPath(name).suffix.lower() or "none" for name in names).items()))


def read_any_layout(path: Path, names: Sequence[str], split: str, labels: LabelSet) -> Layout:
    """Read the names of any folder of pictures: all are frames, labels and splits are taken where folders give them.

    Args:
        path: folder or archive, for messages.
        names: relative POSIX paths of its files.
        split: of pictures below no folder named after one.
        labels: what class folders are named after.

    Raises:
        ReleaseError: if there are no pictures.
    """
    of_folder = lru_cache(1024)(partial(_of_folder, labels))
    pictures = Packed(
        Picture(name, shown(name), own or split, label, False, movie_of(shown(name)))
        for name in filter(is_picture, names)
        for own, label in [of_folder(name.rpartition("/")[0])]
    )
    if not pictures:
        raise ReleaseError(
            f"Expected pictures ({', '.join(_PICTURES)}) in {path}, but there are none; {len(names)} files, "
            f"first {', '.join(map(shown, names[:3])) or 'none'}. Check release.path."
        )
    return Layout(pictures, False, False, ignored_by_kind(name for name in names if not is_picture(name)))


def _of_folder(labels: LabelSet, path: str) -> tuple[str, int]:
    """Split (empty: none) and label that the names of the folders of a path tell."""
    folders = PurePosixPath(path).parts
    splits = [split for folder in folders for split in split_words(folder)]
    label = next((labels.index(f) for f in reversed(folders) if labels.knows(f)), UNLABELLED)
    return splits[-1] if splits else "", label


def split_words(folder: str) -> list[str]:
    """The splits that words in a folder's name tell.

    >>> split_words("Final_SFEW_2_Train"), split_words("Happy")
    (['Train'], [])
    """
    return [_SPLIT_WORDS[word] for word in _words(folder) if word in _SPLIT_WORDS]


def _words(folder: str) -> list[str]:
    return re.findall(r"[a-z]+", folder.lower())


def _read_name(name: str, path: Path, labels: LabelSet) -> Picture | None:
    """A picture's record, or None if it lies below no split."""
    folders = PurePosixPath(name).parts[:-1]
    base = shown(PurePosixPath(name).name)
    split = aligned = None
    classes: list[str] = []
    for folder in folders:
        splits = set(split_words(folder))
        is_aligned = "aligned" in _words(folder)
        aligned = aligned or is_aligned
        if len(splits) == 1:  # the innermost counts: a folder above may be called "test_data"
            classes = classes if splits == {split} else []
            split = splits.pop()
        elif split and not is_aligned:
            classes.append(folder)
    if split is None:
        return None
    label = _label(classes, name, split, path, labels)
    return Picture(name, base, split, label, bool(aligned), movie_of(base))


def _label(classes: list[str], name: str, split: str, path: Path, labels: LabelSet) -> int:
    if split == "Test" and not (classes and labels.knows(classes[-1])):
        return UNLABELLED
    if not classes:
        raise ReleaseError(
            f"Expected a class folder below {split}, but {path} holds {shown(name)} without one. "
            f"Move it to {split}/<Class>/, where <Class> is one of {', '.join(labels.classes)}."
        )
    label = labels.index(classes[-1], f"{path}: {shown(name)}")
    different = [folder for folder in classes[:-1] if labels.knows(folder) and labels.index(folder) != label]
    if different:
        raise ReleaseError(
            f"Expected one class for each picture, but {path}: {shown(name)} lies in both {different[0]} and {classes[-1]}. "
            "Move it to the right folder."
        )
    return label


def _refuse_empty_splits(path: Path, pictures: list[Picture], names: Sequence[str]) -> None:
    empty = [split for split in ("Train", "Val") if not any(picture.split == split for picture in pictures)]
    if not empty:
        return
    inner = [name for name in names if name.lower().endswith((".zip", ".rar", ".7z", ".tar", ".gz"))]
    hint = f" It holds archives ({', '.join(map(shown, inner[:3]))}): unpack them there first." if inner else ""
    raise ReleaseError(
        f"Expected pictures in Train/<Class>/ and Val/<Class>/ below {path}, but {' and '.join(empty)} "
        f"{'has' if len(empty) == 1 else 'have'} none; {len(names)} files, first {', '.join(map(shown, names[:3])) or 'none'}."
        f"{hint} Give the folder or archive above both."
    )


def _choose(path: Path, pictures: list[Picture], aligned: str) -> bool:
    """Whether to use the aligned faces: one kind for all splits, since a network sees the difference."""
    splits = [split for split in SPLITS if any(picture.split == split for picture in pictures)]
    whole = {
        kind: all(any(p.split == split and p.aligned == kind for p in pictures) for split in splits)
        for kind in (False, True)
    }
    wanted = {"true": [True], "false": [False]}.get(aligned, [False, True])
    for kind in wanted:
        if whole[kind]:
            return kind
    held = [
        f"{split}: {sum(p.split == split and not p.aligned for p in pictures)} frames, "
        f"{sum(p.split == split and p.aligned for p in pictures)} aligned"
        for split in splits
    ]
    kinds = " or ".join("aligned faces" if kind else "frames" for kind in wanted)
    raise ReleaseError(
        f"Expected {kinds} in every split of {path}, but got {'; '.join(held)}. "
        "Choose with release.aligned=true|false|auto, or add what is missing."
    )

"""A release as a list: which picture bears which class, split and subject; checked as a whole before anything is written."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fer_transfer.config import nearest
from fer_transfer.detection.crop import Box
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.files.names import shown
from fer_transfer.files.packed import Packed
from fer_transfer.labels import SEVEN, UNLABELLED, LabelSet


class Listed(NamedTuple):
    """A picture as its release lists it.

    Attributes:
        path: inside the release.
        name: of its class, as the release spells it; empty where its label is withheld.
        split: the owners' name; empty where there is none.
        subject: whose face it is, a person or a movie; empty where the release does not tell.
        face: which of the faces in this picture, where there may be several; empty: the picture is of one.
        box: (x, y, width, height) of this face in pixels, where the release tells.
    """

    path: str
    name: str
    split: str = ""
    subject: str = ""
    face: str = ""
    box: Box | None = None

    @property
    def id(self) -> str:
        """Unique in the release: its path, and which face."""
        return f"{self.path}#{self.face}" if self.face else self.path


def first_three(paths: Iterable[str]) -> str:
    """The first three, and whether there are more: "a.png, b.png, c.png, ...".

    >>> first_three(["a", "b"])
    'a, b'
    """
    paths = list(paths)
    return ", ".join([*map(shown, paths[:3]), *(["..."] if len(paths) > 3 else [])])


def by_kind(wrong: Mapping[str, Sequence[str]]) -> str:
    """How many of what is wrong: "2 not there (a.png, b.png); 1 twice (c.png)"; empty where nothing is."""
    return "; ".join(f"{len(names)} {what} ({first_three(names)})" for what, names in wrong.items() if names)


def by_key(pairs: Iterable[tuple[str, str]]) -> str:
    """Paths by what is wrong with them, of ten things at most: "contempt 5: a.png, ...; sleepy 1: b.png"."""
    paths: dict[str, list[str]] = {}
    for key, path in pairs:
        paths.setdefault(key, []).append(path)
    told = [f"{shown(key)} {len(of)}: {first_three(of)}" for key, of in list(paths.items())[:10]]
    return "; ".join([*told, *([f"{len(paths) - 10} others"] if len(paths) > 10 else [])])


def names_given(names: Sequence[str], option: str) -> list[str]:
    """Names as an option of a release gives them, in a list.

    Raises:
        ConfigError: if it is none.
    """
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ConfigError(f"Expected release.{option}=[NAME, ...], but got {names!r}.")
    return [str(name) for name in names]


def refuse_absent(option: str, absent: Sequence[str], counts: Mapping[str, int]) -> None:
    """Refuse names that an option gives and the release has not.

    Raises:
        ConfigError: naming them, and how many pictures the release has of which.
    """
    if absent:
        found = ", ".join(f"{shown(name)} {count}" for name, count in counts.items()) or "none"
        raise ConfigError(
            f"Expected release.{option} to name classes of the release, but it holds no {', '.join(absent)}; "
            f"it holds {found}.{nearest(absent[0], counts)}"
        )


def left_out_line(counts: Mapping[str, int]) -> list[str]:
    """Classes that were left out, and their pictures, as a line for the terminal; none without any."""
    return [f"left out: {', '.join(f'{shown(name)} {count}' for name, count in counts.items())}"] if counts else []


@dataclass(frozen=True)
class ClassMap:
    """From a release's names of classes to those of a label set.

    Attributes:
        classes: class by name, for names that are none themselves and where two names are one class.
        leave_out: names of the classes that are left out, in any case.
        labels: the label set.
        lacks: its classes that the release has no picture of; of the seven expressions any may be missing.

    Raises:
        ConfigError: if a value of classes is no class, a name stands in both, or lacks names no class.
    """

    classes: Mapping[str, str]
    leave_out: Sequence[str]
    labels: LabelSet = SEVEN
    lacks: Sequence[str] = ()

    def __post_init__(self) -> None:
        if odd := {name: value for name, value in self.classes.items() if not self.labels.knows(value)}:
            raise ConfigError(f"Expected release.classes to give {', '.join(self.labels.classes)}, but got {odd}.")
        if odd_lacks := [name for name in self.lacks if name not in self.labels.classes]:
            named = ", ".join(self.labels.classes)
            raise ConfigError(f"Expected release.lacks to name classes of {named}, but got {', '.join(odd_lacks)}.")
        if both := [name for name in self.classes if self.leaves_out(name)]:
            raise ConfigError(f"Expected {both[0]!r} in release.classes or in release.leave_out, but it is in both.")

    @property
    def chosen(self) -> dict[str, Any]:
        """What is left out, for the settings of faces; nothing where nothing is, as faces of before there was a choice say."""
        return {"leave_out": list(self.leave_out)} if self.leave_out else {}

    @property
    def caveats(self) -> list[str]:
        """What must stand beside numbers of faces without the classes that are left out."""
        return [f"without {', '.join(self.leave_out)}"] if self.leave_out else []

    def leaves_out(self, name: str) -> bool:
        """Whether pictures of a class are left out."""
        return name.casefold() in map(str.casefold, self.leave_out)

    def knows(self, name: str) -> bool:
        """Whether a name is that of a class, or stands for one."""
        return name in self.classes or self.labels.knows(name)

    def label(self, name: str) -> int:
        """The label of a name that is known, or UNLABELLED of none."""
        return self.labels.index(self.classes.get(name, name)) if name else UNLABELLED

    def kept(self, listed: Sequence[Listed], where: str) -> Packed[Listed]:
        """The pictures whose classes are not left out, once every name is checked.

        Raises:
            ReleaseError: if a name is none of a class's, two names are one class and nothing says so, or a class has no picture.
            ConfigError: if ``classes`` or ``leave_out`` name classes that no picture has.
        """
        counts = Counter(picture.name for picture in listed if picture.name)
        self._refuse_absent(counts)
        if names := [name for name in counts if not self.leaves_out(name) and not self.knows(name)]:
            unknown = [picture for picture in listed if picture.name in names]
            named = shown(",".join([*names[:10], *(["..."] if len(names) > 10 else [])]))
            others = by_key((picture.name, picture.path) for picture in unknown)
            raise ReleaseError(
                f"Expected classes of {', '.join(self.labels.classes)} in {where}, but got {len(unknown)} of "
                f"{len(listed)} pictures of others ({others}). Leave them out, release.leave_out=[{named}]; say what they "
                "are, release.classes={NAME: CLASS}; or give a label set that has them: labels=eight, or your own."
            )
        left = {name for name in counts if self.leaves_out(name)}
        kept = Packed(picture for picture in listed if picture.name not in left)
        self._refuse_two_names(kept, where)
        self._refuse_empty(kept, listed, where)
        return kept

    def _refuse_absent(self, counts: Counter[str]) -> None:
        here = {name.casefold() for name in counts}
        refuse_absent("leave_out", [name for name in self.leave_out if name.casefold() not in here], counts)
        refuse_absent("classes", [name for name in self.classes if name not in counts], counts)

    def _refuse_two_names(self, kept: Sequence[Listed], where: str) -> None:
        names: dict[int, list[str]] = {}
        for name in dict.fromkeys(picture.name for picture in kept if picture.name):
            names.setdefault(self.label(name), []).append(name)
        for label, several in names.items():
            if len(several) > 1 and not all(name in self.classes or self.labels.says(name) for name in several):
                said = ", ".join(f"{shown(name)}: {self.labels.classes[label]}" for name in several)
                pictures = by_key((p.name, p.path) for p in kept if p.name in several)
                raise ReleaseError(
                    f"Expected one name for {self.labels.classes[label]} in {where}, but there are {len(several)} ({pictures}). "
                    f"If they are one class say so of each, release.classes='{{{said}}}', or leave some out."
                )

    def _refuse_empty(self, kept: Sequence[Listed], listed: Sequence[Listed], where: str) -> None:
        """Refuse classes without a picture, which a network would have an output for and never see."""
        if self.labels == SEVEN:  # which of these there are is told
            return
        counts = Counter(self.labels.classes[self.label(picture.name)] for picture in kept if picture.name)
        empty = [name for name in self.labels.classes if not counts[name] and name not in self.lacks]
        left = Counter(picture.name for picture in listed if self.leaves_out(picture.name))
        if empty and counts:
            have = ", ".join(f"{shown(name)} {count}" for name, count in counts.items())
            out = ", ".join(f"{shown(name)} {count}" for name, count in left.items())
            raise ReleaseError(
                f"Expected pictures of every class in {where}, but of {len(empty)} of {len(self.labels.classes)} there are none: "
                f"{first_three(empty)} (there are {have}"
                f"{f'; release.leave_out leaves out {out}' if out else ''}). Add some, say what is one of them "
                f"(release.classes={{NAME: CLASS}}), or that there are none: release.lacks=[{','.join(empty)}]."
            )
        if odd := [name for name in self.lacks if counts[name]]:
            raise ConfigError(
                f"Expected no pictures of {', '.join(odd)} in {where} (release.lacks), but there are {counts[odd[0]]} of "
                f"{odd[0]}. Take them out of release.lacks."
            )


def refuse_shared_subjects(listed: Sequence[Listed], where: str) -> None:
    """Refuse subjects that stand in two splits.

    Raises:
        ReleaseError: naming them.
    """
    first_split: dict[str, str] = {}
    shared = {
        picture.subject: dict[str, str]()
        for picture in listed
        if picture.subject and first_split.setdefault(picture.subject, picture.split) != picture.split
    }
    if shared:
        for picture in listed:
            if picture.subject in shared:
                shared[picture.subject].setdefault(picture.split, picture.path)
        told = [(subject, shared[subject]) for subject in first_split if subject in shared]
        first = "; ".join(
            f"{shown(subject)} in {', '.join(f'{split} ({shown(path)})' for split, path in of.items())}"
            for subject, of in told[:3]
        )
        raise ReleaseError(
            f"Expected each subject in one split of {where}, but got {len(shared)} of {len(first_split)} in two or more: {first}"
            f"{'; ...' if len(shared) > 3 else ''}. A network knows them then: move their pictures, or list all in a CSV without "
            "splits (release=folders release.csv=FILE) and let these be made by release.shares or release.folds."
        )


def refuse_empty_classes(
    labels: Sequence[int], splits: Sequence[str], names: Sequence[str], classes: Sequence[str], where: str
) -> None:
    """Refuse splits, of these names, that lack a class which others have: a mean over folds would be of other classes in each.

    Raises:
        ReleaseError: naming them, with how many pictures the others have.
    """
    counts = Counter(zip(splits, labels, strict=True))
    present = sorted({label for label in labels if label != UNLABELLED})
    empty = [(split, label) for split in names for label in present if not counts[split, label]]
    if empty:
        first = ", ".join(f"no {classes[label]} in {split}" for split, label in empty[:3])
        rare = Counter(labels)
        few = any(rare[label] < len(names) for _, label in empty)  # no seed helps
        have = ", ".join(f"{classes[label]} {rare[label]}" for label in dict.fromkeys(label for _, label in empty))
        raise ReleaseError(
            f"Expected every class in every split of {where}, but got {len(empty)} empty: {first}"
            f"{', ...' if len(empty) > 3 else ''} (pictures in all: {have}). Make fewer splits, "
            f"{'' if few else 'give another release.seed, '}or leave the class out (release.leave_out)."
        )

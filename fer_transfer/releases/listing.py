"""A release as a list: which picture bears which class, split and subject; checked as a whole before anything is written."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fer_transfer.config import nearest
from fer_transfer.detection.crop import Box
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.files.names import shown
from fer_transfer.labels import EXPRESSIONS, SEVEN, UNLABELLED


@dataclass(frozen=True)
class Listed:
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
    """How many, and the first three: "5: a.png, b.png, c.png, ...".

    >>> first_three(["a", "b"])
    '2: a, b'
    """
    paths = list(paths)
    return f"{len(paths)}: {', '.join(map(shown, paths[:3]))}{', ...' if len(paths) > 3 else ''}"


def by_key(pairs: Iterable[tuple[str, str]]) -> str:
    """Paths by what is wrong with them: "contempt 5: a.png, ...; sleepy 1: b.png"."""
    paths: dict[str, list[str]] = {}
    for key, path in pairs:
        paths.setdefault(key, []).append(path)
    return "; ".join(f"{shown(key)} {first_three(of)}" for key, of in paths.items())


@dataclass(frozen=True)
class ClassMap:
    """From a release's names of classes to the expressions.

    Attributes:
        classes: expression by name, for names that are none themselves and where two names are one class.
        leave_out: names of the classes that are left out, in any case.

    Raises:
        ConfigError: if a value of classes is no expression, or a name stands in both.
    """

    classes: Mapping[str, str]
    leave_out: Sequence[str]

    def __post_init__(self) -> None:
        if odd := {name: value for name, value in self.classes.items() if not SEVEN.knows(value)}:
            raise ConfigError(f"Expected release.classes to give {', '.join(EXPRESSIONS)}, but got {odd}.")
        if both := [name for name in self.classes if self.leaves_out(name)]:
            raise ConfigError(f"Expected {both[0]!r} in release.classes or in release.leave_out, but it is in both.")

    def leaves_out(self, name: str) -> bool:
        """Whether pictures of a class are left out."""
        return name.casefold() in map(str.casefold, self.leave_out)

    def knows(self, name: str) -> bool:
        """Whether a name is that of an expression, or stands for one."""
        return name in self.classes or SEVEN.knows(name)

    def label(self, name: str) -> int:
        """Canonical label 0..6 of a name that is known, or UNLABELLED of none."""
        return SEVEN.index(self.classes.get(name, name)) if name else UNLABELLED

    def kept(self, listed: Sequence[Listed], where: str) -> list[Listed]:
        """The pictures whose classes are not left out, once every name is checked.

        Raises:
            ReleaseError: if a name is none of an expression's, or two names are one class and ``classes`` does not say so.
            ConfigError: if ``classes`` or ``leave_out`` name classes that no picture has.
        """
        counts = Counter(picture.name for picture in listed if picture.name)
        self._refuse_absent(counts)
        unknown = [p for p in listed if p.name and not self.leaves_out(p.name) and not self.knows(p.name)]
        if unknown:
            names = ",".join(dict.fromkeys(picture.name for picture in unknown))
            raise ReleaseError(
                f"Expected classes of {', '.join(EXPRESSIONS)} in {where}, but {len(unknown)} of {len(listed)} pictures are of "
                f"others: {by_key((p.name, p.path) for p in unknown)}. Leave them out, release.leave_out=[{shown(names)}], or "
                "say what they are, release.classes={NAME: EXPRESSION}."
            )
        kept = [picture for picture in listed if not self.leaves_out(picture.name)]
        self._refuse_two_names(kept, where)
        return kept

    def _refuse_absent(self, counts: Counter[str]) -> None:
        here = {name.casefold() for name in counts}
        absent = {"leave_out": [name for name in self.leave_out if name.casefold() not in here]}
        absent["classes"] = [name for name in self.classes if name not in counts]
        for option, names in absent.items():
            if names:
                found = ", ".join(f"{shown(name)} {count}" for name, count in counts.items()) or "none"
                raise ConfigError(
                    f"Expected release.{option} to name classes of the release, but it holds no {', '.join(names)}; "
                    f"it holds {found}.{nearest(names[0], counts)}"
                )

    def _refuse_two_names(self, kept: Sequence[Listed], where: str) -> None:
        names: dict[int, list[str]] = {}
        for name in dict.fromkeys(picture.name for picture in kept if picture.name):
            names.setdefault(self.label(name), []).append(name)
        for label, several in names.items():
            if len(several) > 1 and any(name not in self.classes for name in several):
                said = ", ".join(f"{shown(name)}: {EXPRESSIONS[label]}" for name in several)
                pictures = by_key((p.name, p.path) for p in kept if p.name in several)
                raise ReleaseError(
                    f"Expected one name for {EXPRESSIONS[label]} in {where}, but {len(several)} are: {pictures}. "
                    f"If they are one class say so, release.classes='{{{said}}}', or leave some out."
                )


def refuse_shared_subjects(listed: Sequence[Listed], where: str) -> None:
    """Refuse subjects that stand in two splits.

    Raises:
        ReleaseError: naming them.
    """
    splits: dict[str, dict[str, str]] = {}
    for picture in listed:
        if picture.subject:
            splits.setdefault(picture.subject, {}).setdefault(picture.split, picture.path)
    if shared := {subject: of for subject, of in splits.items() if len(of) > 1}:
        first = "; ".join(
            f"{shown(subject)} in {', '.join(f'{split} ({shown(path)})' for split, path in of.items())}"
            for subject, of in list(shared.items())[:3]
        )
        raise ReleaseError(
            f"Expected each subject in one split of {where}, but {len(shared)} of {len(splits)} stand in two or more: {first}"
            f"{'; ...' if len(shared) > 3 else ''}. A network knows them then: move their pictures, or let splits be made by "
            "release.shares or release.folds."
        )


def refuse_empty_classes(labels: Sequence[int], splits: Sequence[str], where: str) -> None:
    """Refuse splits that lack a class which others have: a mean over folds would be of other classes in each.

    Raises:
        ReleaseError: naming them, with how many pictures the others have.
    """
    counts = Counter(zip(splits, labels, strict=True))
    present = sorted({label for label in labels if label != UNLABELLED})
    empty = [(split, label) for split in dict.fromkeys(splits) for label in present if not counts[split, label]]
    if empty:
        first = ", ".join(f"no {EXPRESSIONS[label]} in {split}" for split, label in empty[:3])
        rare = Counter(labels)
        have = ", ".join(f"{EXPRESSIONS[label]} {rare[label]}" for label in dict.fromkeys(label for _, label in empty))
        raise ReleaseError(
            f"Expected every class in every split of {where}, but {len(empty)} are empty: {first}"
            f"{', ...' if len(empty) > 3 else ''} (pictures in all: {have}). Make fewer splits, give another release.seed, or "
            "leave the class out (release.leave_out)."
        )

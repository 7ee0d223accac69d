"""Label sets: the classes of faces, in one order, and the checked map from the names of releases to them.

The paper's set is the seven expressions (``SEVEN``). FER-2013 numbers its classes 0 to 6, EmotiW names folders (in alphabetical
order, which is another permutation), and the paper's Figure 5 uses a third order: an unchecked map would permute the head at
hand-off. So only readers of releases translate, through ``LabelSet.index``; whatever comes after has the order of the faces' set.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fer_transfer.errors import ConfigError, ReleaseError

#: The seven of the paper in their canonical order; FER-2013's own (Goodfellow et al. 2013).
EXPRESSIONS = ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")

#: Label of a face whose class is withheld or unknown.
UNLABELLED = -1

#: What stands in counts for faces without a label: no class is called so.
NO_LABEL = "unlabelled"

#: Spellings of one expression each, known in every label set that has it under one of them.
_SPELLINGS = (
    ("angry", "anger"),
    ("disgust", "disgusted"),
    ("fear", "fearful"),
    ("happy", "happiness"),
    ("sad", "sadness"),
    ("surprise", "surprised"),
    ("contempt", "contemptuous"),
)

#: Classes at most: labels are int8.
_MOST = 100

#: Characters of a class's name at most: it heads columns.
_LONGEST = 60


@dataclass(frozen=True)
class LabelSet:
    """Classes and what else they are called.

    Attributes:
        classes: in their order: labels are places in it.
        names: class by another name that stands for it.

    Raises:
        ConfigError: if there are fewer than two classes, one twice or without a name, or a name stands for none.
    """

    classes: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 2 <= len(self.classes) <= _MOST:
            given = ", ".join(self.classes[:3]) or "none"
            raise ConfigError(
                f"Expected a label set of 2 to {_MOST} classes (labels.classes), but got {len(self.classes)} ({given}). Name all "
                "that faces are told apart by, or take labels=seven or eight."
            )
        if odd := [name for name in (*self.classes, *self.names) if not _is_name(name)]:
            raise ConfigError(
                f"Expected names of classes of 1 to {_LONGEST} printable characters without blanks at the ends, none of them "
                f"{NO_LABEL!r}, but {_first(odd)}."
            )
        seen = {_key(name): name for name in reversed(self.classes)}
        if len(seen) < len(self.classes):
            twice = [name for n, name in enumerate(self.classes) if _key(name) in map(_key, self.classes[:n])]
            first = ", ".join(f"{seen[_key(name)]!r} and {name!r}" for name in twice[:3])
            raise ConfigError(f"Expected each class of the label set once, but got {len(twice)} twice: {first}.")
        if odd := [f"{name}: {value}" for name, value in self.names.items() if value not in self.classes]:
            raise ConfigError(f"Expected names to stand for {', '.join(self.classes)}, but {_first(odd)}.")
        if odd := [f"{name}: {value}" for name, value in self.names.items() if seen.get(_key(name), value) != value]:
            raise ConfigError(f"Expected no name that is another class's own, but {_first(odd)}.")

    @cached_property
    def _index(self) -> dict[str, int]:
        own = {name.casefold(): label for label, name in enumerate(self.classes)}
        spelt = {word: own[of] for words in _SPELLINGS for of in words if of in own for word in words}
        named = {name.strip().casefold(): self.classes.index(value) for name, value in self.names.items()}
        return spelt | named | own

    def knows(self, name: str) -> bool:
        """Whether a name is a class's, a known spelling of it, or stands for it; whatever its case."""
        return name.strip().casefold() in self._index

    def says(self, name: str) -> bool:
        """Whether ``names`` says what a name stands for, in any case."""
        return name.strip().casefold() in (said.strip().casefold() for said in self.names)

    def counted(self, counts: Iterable[tuple[str, int]]) -> dict[str, int]:
        """Counts by names of a release as counts by class, which several names may share.

        >>> LabelSet(("good", "bad"), {"Happy": "good", "Sad": "bad", "Fear": "bad"}).counted([("Sad", 3), ("Fear", 2)])
        {'bad': 5}
        """
        summed = Counter[str]()
        for name, count in counts:
            summed[self.classes[self.index(name)]] += count
        return dict(summed)

    def beyond(self, names: Iterable[str]) -> list[str]:
        """The classes that none of some names stands for."""
        held = {self.index(name) for name in names}
        return [name for label, name in enumerate(self.classes) if label not in held]

    def index(self, name: str, where: str = "") -> int:
        """The label of a name as releases spell it.

        Args:
            name: of a class, in any case; noun forms of expressions ("happiness") count.
            where: file or folder, for the error message.

        Raises:
            ReleaseError: if it is none.

        >>> SEVEN.index("Happy"), SEVEN.index("sadness"), SEVEN.index("NEUTRAL")
        (3, 4, 6)
        """
        try:
            return self._index[name.strip().casefold()]
        except KeyError:
            place = f" in {where}" if where else ""
            raise ReleaseError(
                f"Expected one of the classes {', '.join(self.classes)}{place}, but got {name!r}. "
                "Rename the class, remove it from the release, or say what it is: labels.names={NAME: CLASS}."
            ) from None


def label_set_from(content: Mapping[str, Any]) -> LabelSet:
    """The label set of a configuration (``conf/labels``): its classes, and other names of theirs.

    Raises:
        ConfigError: if it is none.
    """
    classes, names = content.get("classes"), content.get("names") or {}
    if not isinstance(classes, list) or not isinstance(names, Mapping):
        raise ConfigError(
            f"Expected labels.classes=[CLASS, ...] and labels.names={{NAME: CLASS, ...}}, but got {classes!r} and {names!r}."
        )
    if odd := [value for value in (*classes, *names.values()) if not isinstance(value, str)]:
        raise ConfigError(f"Expected names of classes, in quotes where YAML reads something else, but {_first(odd)}.")
    given = LabelSet(tuple(classes), {str(name): value for name, value in names.items()})
    return SEVEN if given == SEVEN else given


def as_columns(classes: Sequence[str], others: Iterable[str]) -> list[str]:
    """Headings of classes in a table with other columns: a class that is called as one of these is ``class NAME``.

    >>> as_columns(["low", "Happy"], ["low", "high"])
    ['class low', 'Happy']
    """
    taken = set(others)
    return [f"class {name}" if name in taken else name for name in classes]


def words_for(classes: Iterable[str]) -> tuple[str, str]:
    """What one of some classes, and several, are called in a text: expressions, where all are (contempt too).

    >>> words_for(EXPRESSIONS), words_for(["calm", "tense"])
    (('expression', 'expressions'), ('class', 'classes'))
    """
    known = {word for words in _SPELLINGS for word in words} | {name.casefold() for name in EXPRESSIONS}
    return ("expression", "expressions") if all(name.casefold() in known for name in classes) else ("class", "classes")


def _key(name: str) -> str:
    """What two names of one class have in common: their letters whatever the case, or the expression that both spell."""
    plain = name.casefold()
    return next((words[0] for words in _SPELLINGS if plain in words), plain)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST and name == name.strip() and name.isprintable() and name.casefold() != NO_LABEL


def _first(odd: Sequence[object]) -> str:
    return f"{len(odd)} {'is' if len(odd) == 1 else 'are'} not: {', '.join(map(repr, odd[:3]))}{', ...' if len(odd) > 3 else ''}"


#: The paper's.
SEVEN = LabelSet(EXPRESSIONS)

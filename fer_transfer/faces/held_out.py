"""Names for shares of splits that are held out of training, to select on; ``faces.division`` says which faces they are.

``Training~0.1~0`` is a tenth of Training by seed 0; ``Train~0.1~0~1a2b3c4d`` a tenth of Train by subject, whose digits say by
which subjects. Whatever takes the name of a split takes such a name. Of folds, which may be a person each, the share is of all
together: ``fold0-2+4-9~0.1~0``.
"""

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass

_NAME = re.compile(r"(.+)~(0\.\d+)~(\d+)(?:~([0-9a-f]{8}))?")
_FOLD = re.compile(r"fold(0|[1-9]\d*)")
_FOLDS = re.compile(r"fold((?:\d+(?:-\d+)?\+)*\d+(?:-\d+)?)")


@dataclass(frozen=True)
class HeldOut:
    """A share of a split.

    Attributes:
        split: of a release; or its folds in one word (``together``).
        share: above 0, below 1.
        seed: of the order of groups.
        subjects: eight digits of the digest of whose face is whose; empty where the release does not tell.
    """

    split: str
    share: float
    seed: int
    subjects: str = ""

    @property
    def name(self) -> str:
        """Stands for it wherever a split is named.

        >>> HeldOut("Training", 0.1, 0).name
        'Training~0.1~0'
        """
        return f"{self.split}~{self.share:.6g}~{self.seed}" + (f"~{self.subjects}" if self.subjects else "")

    def splits(self, there: Container[str]) -> list[str]:
        """The splits that it is a share of.

        Args:
            there: the splits of the release, one of which may be called like several folds.

        >>> HeldOut("fold0-2+4", 0.1, 0).splits([]), HeldOut("Training", 0.1, 0).splits(["Training"])
        (['fold0', 'fold1', 'fold2', 'fold4'], ['Training'])
        """
        found = None if self.split in there else _FOLDS.fullmatch(self.split)
        if found is None:
            return [self.split]
        ends = (part.partition("-") for part in found[1].split("+"))
        return [f"fold{number}" for first, _, last in ends for number in range(int(first), int(last or first) + 1)]


def together(splits: Iterable[str]) -> list[str]:
    """Splits of which a share is held out each; several folds are one.

    >>> together(["Training", "PublicTest"]), together(["fold0", "fold1", "fold2", "fold4"]), together(["fold7"])
    (['Training', 'PublicTest'], ['fold0-2+4'], ['fold7'])
    """
    splits = list(dict.fromkeys(splits))
    numbers = sorted(int(found[1]) for split in splits if (found := _FOLD.fullmatch(split)))
    firsts = [number for number in numbers if number - 1 not in numbers]
    lasts = [number for number in numbers if number + 1 not in numbers]
    parts = [str(first) if first == last else f"{first}-{last}" for first, last in zip(firsts, lasts, strict=True)]
    return [split for split in splits if not _FOLD.fullmatch(split)] + ([f"fold{'+'.join(parts)}"] if parts else [])


def held_out_called(name: str) -> HeldOut | None:
    """What a name stands for, or None: it is a split's own.

    >>> held_out_called("Train~0.25~7~1a2b3c4d")
    HeldOut(split='Train', share=0.25, seed=7, subjects='1a2b3c4d')
    """
    found = _NAME.fullmatch(name)
    return None if found is None else HeldOut(found[1], float(found[2]), int(found[3]), found[4] or "")


def split_said(name: str) -> str:
    """A split, or ``release/split``, for a reader.

    >>> split_said("fer2013/Training~0.1~0"), split_said("Train~0.125~3~1a2b3c4d"), split_said("Val")
    ('10 % of fer2013/Training, seed 0', '12.5 % of Train, by subject, seed 3', 'Val')
    """
    held = held_out_called(name)
    if held is None:
        return name
    return f"{100 * held.share:.6g} % of {held.split}{', by subject' if held.subjects else ''}, seed {held.seed}"

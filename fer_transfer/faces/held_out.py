"""Names for shares of splits that are held out of training, to select on; ``faces.division`` says which faces they are.

``Training~0.1~0`` is a tenth of Training by seed 0; ``Train~0.1~0~1a2b3c4d`` a tenth of Train by subject, whose digits say by
which subjects. Whatever takes the name of a split takes such a name.
"""

import re
from dataclasses import dataclass

_NAME = re.compile(r"(.+)~(0\.\d+)~(\d+)(?:~([0-9a-f]{8}))?")


@dataclass(frozen=True)
class HeldOut:
    """A share of a split.

    Attributes:
        split: of a release.
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

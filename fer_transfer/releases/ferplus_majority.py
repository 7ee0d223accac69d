"""FER+ as a data set of its own protocol: FER-2013's faces under the class that most taggers chose.

========  ==============================================================================================================
What      FER-2013's faces (``releases.fer2013``) with one label each, made of FER+'s votes (``releases.ferplus``) by the rule
          "majority" of its authors' code: single votes are outliers and count as none; the class with more than half of the
          rest is the label; a face that has none, or whose class is unknown or no face, is left out
Made by   Barsoum, Zhang, Canton Ferrer and Zhang (Microsoft Research); the faces: see ``releases.fer2013``
Licence   Votes: MIT; faces: FER-2013's
To get    github.com/microsoft/FERPlus, ``fer2013new.csv``, and FER-2013's csv
Size      With contempt: Training 25060, PublicTest 3199, PrivateTest 3153 (``STATED_COUNTS`` has them by class)
Classes   neutral 11012, happiness 9045, surprise 3960, sadness 3749, anger 2660, disgust 161, fear 677, contempt 148, in
          all splits. contempt is none of the seven and is left out (``release.leave_out=[contempt]``, the default);
          ``labels=eight release.leave_out=[]`` keeps it
Splits    FER-2013's; papers on FER+ train on Training, select on PublicTest and report PrivateTest
Forms     As FER-2013's whole csv, and FER+'s ``fer2013new.csv`` (``release.ferplus``)
Faults    Papers take most votes by other rules too (ties, fewer votes), and 8 classes: their numbers are not these
Sources   Barsoum et al. 2016, arXiv 1608.01041, and ``_process_data`` in src/ferplus.py of their repository (rule); sizes:
          counted by it in ``fer2013new.csv``; Training's and PrivateTest's are those that others count too
========  ==============================================================================================================
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.detection.reader import FrameReader
from fer_transfer.faces.faces import FERPLUS_COLUMNS
from fer_transfer.faces.source import Advance, Face
from fer_transfer.files.limits import LIMITS, Limits
from fer_transfer.labels import SEVEN, LabelSet
from fer_transfer.releases.fer2013 import FER2013Release
from fer_transfer.releases.listing import ClassMap, Listed

#: Faces by class in FER+'s order, contempt last, as the rule counts them in ``fer2013new.csv``.
STATED_COUNTS = {
    "Training": (8740, 7287, 3149, 3014, 2100, 119, 532, 119),
    "PublicTest": (1182, 865, 415, 351, 287, 24, 62, 13),
    "PrivateTest": (1090, 893, 396, 384, 273, 18, 83, 16),
}

#: Of FER+'s columns, those that are classes; unknown and NF are none.
CLASSES = FERPLUS_COLUMNS[:8]


def majority(votes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The class that more than half of the votes are for, once single votes are taken out.

    Args:
        votes: uint8 [N, 10], in the order of ``FERPLUS_COLUMNS``.

    Returns:
        int64 [N], column 0..7, or -1 where there is none, or it is unknown or no face.

    >>> majority(np.array([[6, 3, 1, 0, 0, 0, 0, 0, 0, 0], [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]], np.uint8)).tolist()
    [0, -1]
    """
    counted = np.where(votes > 1, votes, 0).astype(np.int64)
    best = counted.argmax(axis=1)
    chosen = (2 * counted.max(axis=1) > counted.sum(axis=1)) & (best < len(CLASSES))
    label: NDArray[np.int64] = np.where(chosen, best, -1)
    return label


class FERPlusRelease(FER2013Release):
    """FER+ on disk, for ``fer-prepare``.

    Args:
        path: FER-2013's csv, or an archive or folder of it.
        ferplus: FER+'s ``fer2013new.csv``.
        name: the word that plans use for the faces.
        classes: class of the label set by one of FER+.
        leave_out: classes of FER+ whose faces are left out.
        limits: how much is read at most.
        may_be_shown: whether pictures of its faces may stand in reports and be sent to trackers.
        labels: whose classes the labels are of.
        lacks: classes of that set which FER+ has no face of.

    Raises:
        ConfigError: if an option is wrong.
    """

    def __init__(
        self,
        path: str,
        ferplus: str,
        name: str = "ferplus",
        classes: Mapping[str, str] | None = None,
        leave_out: Sequence[str] = (),
        limits: Limits = LIMITS,
        may_be_shown: bool = True,
        labels: LabelSet = SEVEN,
        lacks: Sequence[str] = (),
    ) -> None:
        super().__init__(path, ferplus, name, limits, may_be_shown)
        self.labels, self.classes = labels, ClassMap(dict(classes or {}), list(leave_out), labels, list(lacks))
        self._all: list[Listed] = []
        self._kept: dict[str, int] = {}

    def settings(self) -> dict[str, Any]:
        """The rule, and what was chosen."""
        chosen = {"classes": dict(self.classes.classes), "leave_out": list(self.classes.leave_out)}
        lacks = {"lacks": list(self.classes.lacks)} if self.classes.lacks else {}  # folders of before are without
        return {**super().settings(), "reader": "FER+", "rule": "majority", **chosen, **lacks}

    def scan(self, advance: Advance) -> int:
        """Read and check everything.

        Raises:
            ReleaseError: as ``FER2013Release``; if a class is none of the label set and is not left out.
        """
        super().scan(advance)
        content = self._scanned
        assert content.votes is not None, "ferplus is given"
        chosen = zip(content.ids, majority(content.votes).tolist(), content.splits, strict=True)
        self._all = [Listed(id, CLASSES[column], split) for id, column, split in chosen if column >= 0]
        kept = self.classes.kept(self._all, str(self.path))
        self._kept = {picture.path: self.classes.label(picture.name) for picture in kept}
        return len(kept)

    def faces(self, reader: FrameReader) -> Iterator[Face]:
        """The faces that have a class, in the order of the csv."""
        for face in super().faces(reader):
            if face.id in self._kept:
                yield Face(face.pixels, face.id, face.split, self._kept[face.id], votes=face.votes)

    def caveats(self) -> list[str]:
        """Synthetic; classes left out; other counts than the rule gives of FER+'s own file."""
        differs = not self._synthetic and self._differences()
        of_faces = [
            caveat for caveat in super().caveats() if "class counts" not in caveat and "no faces of" not in caveat
        ]
        return of_faces + self.classes.caveats + (["counts differ from those of FER+"] if differs else [])

    def _lacking(self) -> list[str]:
        return list(self.classes.lacks)

    def report(self) -> dict[str, Any]:
        """Counts by split and class of FER+, what has none, and differences from the stated ones."""
        counts = {split: dict(of) for split, of in self._counts().items()}
        none = len(self._scanned.ids) - len(self._all)
        return {"counts": counts, "without a majority": none, "differences": self._differences()}

    def _counts(self) -> dict[str, Counter[str]]:
        splits = dict.fromkeys(self._scanned.splits)
        return {split: Counter(p.name for p in self._all if p.split == split) for split in splits}

    def _differences(self) -> list[str]:
        counts = self._counts()
        return [
            f"{split} {name} {counts[split][name]}, not {stated}"
            for split, of in STATED_COUNTS.items()
            if split in counts
            for name, stated in zip(CLASSES, of, strict=True)
            if counts[split][name] != stated
        ]

    def summary(self) -> list[str]:
        """Counts by split, faces without a majority, classes left out, and whether the rule counts so in FER+'s own file."""
        report = self.report()
        lines = [f"FER+ (majority): {report['without a majority']} faces have no class and are left out"]
        for split, of in report["counts"].items():
            by_class = ", ".join(f"{name} {of.get(name, 0)}" for name in CLASSES)
            lines.append(f"{split}: {sum(of.values())} faces ({by_class})")
        if self.classes.leave_out:
            lines.append(f"left out: {', '.join(self.classes.leave_out)}")
        if self._synthetic:
            return lines
        first = "; ".join(report["differences"][:5]) + ("; ..." if len(report["differences"]) > 5 else "")
        told = f"other counts than in FER+'s own file ({len(report['differences'])}): {first}"
        return [*lines, told if report["differences"] else "counts agree with those of FER+'s own file"]

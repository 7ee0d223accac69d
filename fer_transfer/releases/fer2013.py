"""FER-2013, in every form it is met in.

========  ==============================================================================================================
What      Grey faces of 48x48 pixels from web pictures, cut by a face detector and not aligned; 184 words for feelings,
          joined with words for sex, age and origin, made the queries. The paper's large, low-resolution first stage
Made by   Pierre-Luc Carrier and Aaron Courville; contest subset and seven classes by Mehdi Mirza and Ian Goodfellow
Licence   The contest's rules on Kaggle, which one accepts there; no other licence of the pictures is known
To get    Kaggle: challenges-in-representation-learning-facial-expression-recognition-challenge (registration); not
          downloaded here. md5 of the whole csv: f8428a1edbd21e88f42c73edd2a14f95
Size      35887: Training 28709, PublicTest 3589, PrivateTest 3589 (``STATED_COUNTS`` has them by class)
Classes   0 Angry 4953, 1 Disgust 547, 2 Fear 5121, 3 Happy 8989, 4 Sad 6077, 5 Surprise 4002, 6 Neutral 6198: their
          own order, and this package's
Splits    The contest's: Training; PublicTest, scored while it ran; PrivateTest, scored at its end. The paper's FER28
          trains on Training and selects on PublicTest; FER32 trains on both and selects on PrivateTest
Forms     ``fer2013.csv`` (emotion,pixels,Usage) and ``icml_face_data.csv`` (blanks in the header): all splits, FER+ can
          be joined. Kaggle's ``train.csv`` (Training) and ``test.csv`` (7178 without labels). Pictures in
          ``train/<class>/`` and ``test/<class>/``: splits by file name (``PublicTest_12.jpg``) where these tell;
          otherwise ``test`` is Public and Private merged and keeps that name. Each as a file, folder, .zip or .tar.*
Faults    34034 pictures are distinct; 280 of PublicTest and 288 of PrivateTest also stand in Training
          (``recipe.labelling.drop_leaked``); 57 bear two labels; 12 are of one colour; at least 177 show no face
          (FER+). People are right by these labels in 65 +- 5 %. A score on the merged 7178 is none on PrivateTest
Sources   Goodfellow et al. 2013, arXiv 1307.0414 (making, classes, people's accuracy); Ng et al. 2015 (FER28, FER32);
          duplicates, constant pictures and counts by split: counted in the csv of that md5
========  ==============================================================================================================
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fer_transfer.config import nearest
from fer_transfer.detection.reader import FrameReader
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.faces.counts import count_by_split
from fer_transfer.faces.source import SYNTHETIC, SYNTHETIC_MARK, Advance, Face, is_synthetic
from fer_transfer.files.archive import Archive, is_archive, open_file, passed_over_lines
from fer_transfer.files.limits import LIMITS, Limits
from fer_transfer.files.names import shown
from fer_transfer.labels import EXPRESSIONS, SEVEN, UNLABELLED, LabelSet
from fer_transfer.releases.fer2013_forms import KAGGLE, MERGED, Content, add_csv, read_archive, split_of_file
from fer_transfer.releases.ferplus import read_votes
from fer_transfer.releases.listing import left_out_line, names_given
from fer_transfer.releases.pixel_csv import SIDE, USAGES

#: What its owners state: faces by class in FER-2013's order, counted in the csv with md5 f8428a1edbd21e88f42c73edd2a14f95.
STATED_COUNTS = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}


class FER2013Release:
    """FER-2013 on disk, for ``fer-prepare``.

    Args:
        path: a csv file, a folder, or an archive.
        ferplus: FER+'s ``fer2013new.csv``, or None; only for the csv forms with all rows.
        name: the word that plans use for the faces.
        limits: how much is read at most.
        may_be_shown: whether pictures of its faces may stand in reports and be sent to trackers.
        labels: whose classes the labels are of.
        leave_out: classes whose faces are left out.

    Raises:
        ConfigError: if one of these is none of the seven.
    """

    def __init__(
        self,
        path: str,
        ferplus: str | None = None,
        name: str = "fer2013",
        limits: Limits = LIMITS,
        may_be_shown: bool = True,
        labels: LabelSet = SEVEN,
        leave_out: Sequence[str] = (),
    ) -> None:
        self.labels = labels
        self._left_out = _of_the_seven(leave_out)
        kept = (UNLABELLED if name in self._left_out else labels.index(name, "FER-2013") for name in EXPRESSIONS)
        self._own = [*kept, UNLABELLED]  # UNLABELLED is -1, the last
        self.name, self.size, self.limits, self.may_be_shown = name, (SIDE, SIDE), limits, may_be_shown
        self.path = Path(path).expanduser()
        self.ferplus = None if ferplus is None else Path(ferplus).expanduser()
        self._content: Content | None = None
        self._synthetic = False

    @property
    def sources(self) -> list[Path]:
        """The release and, where given, FER+'s votes."""
        return [self.path] if self.ferplus is None else [self.path, self.ferplus]

    def settings(self) -> dict[str, Any]:
        """The release read, and whether votes were joined."""
        left = {"leave_out": self._left_out} if self._left_out else {}  # faces of before there was a choice say nothing
        return {"reader": "FER-2013", "ferplus": self.ferplus is not None, **left}

    def scan(self, advance: Advance) -> int:
        """Read and check everything, so that the first bad row is met before anything is written.

        Raises:
            ReleaseError: naming the file and the row or picture, what was expected there, and what to do.
        """
        if not self.path.exists():
            raise ReleaseError(f"Expected FER-2013 at {self.path}, but there is nothing. Check release.path.")
        self._synthetic = is_synthetic(self.path)
        if self.path.is_dir() or is_archive(self.path):
            with Archive(self.path, self.limits) as archive:
                content = read_archive(archive, advance)
                content.passed_over = archive.passed_over
                # Also reads a tar to its end, where damage and foreign members may lie.
                self._synthetic |= any(PurePosixPath(n).name == SYNTHETIC_MARK for n in archive.names)
        else:
            with open_file(self.path, self.limits) as member:
                content = Content(f"{self.path.name}")
                add_csv(content, member, split_of_file(self.path.name), advance)
        _check_splits(content, self.path)
        if self.ferplus is not None:
            content.votes = _votes(content, self.ferplus, self.path, self.limits)
        self._content = content
        return len(content.ids) - sum(self._left().values())

    def _left(self) -> dict[str, int]:
        """Faces of each class that is left out."""
        return {name: self._scanned.labels.count(EXPRESSIONS.index(name)) for name in self._left_out}

    def faces(self, reader: FrameReader) -> Iterator[Face]:
        """The faces, in the order of the csv, or of the pictures' names; they are faces already, nothing is searched."""
        content = self._scanned
        pixels = (face for block in content.pixels for face in block)
        left = {EXPRESSIONS.index(name) for name in self._left_out}
        for row, face in enumerate(pixels):
            if content.labels[row] in left:
                continue
            votes = None if content.votes is None else content.votes[row]
            yield Face(face, content.ids[row], content.splits[row], self._own[content.labels[row]], votes=votes)

    def caveats(self) -> list[str]:
        """Synthetic; other counts than the owners state; splits merged."""
        found = [SYNTHETIC] if self._synthetic else []
        if not self._synthetic and self.report()["differences"]:
            found.append("class counts differ from those stated for FER-2013")
        if MERGED in self._scanned.splits:
            found.append("test is PublicTest and PrivateTest merged: not comparable with PrivateTest")
        if self._left_out:
            found.append(f"without {', '.join(self._left_out)}")
        if lacks := self._lacking():
            found.append(f"no faces of {', '.join(lacks)}")
        return found

    def _lacking(self) -> list[str]:
        """Classes of the label set that none of its own is, left out or not."""
        return self.labels.beyond(filter(self.labels.knows, EXPRESSIONS))

    def report(self) -> dict[str, Any]:
        """Form, counts by split and class, where these differ from the stated ones, and stray pictures.

        ``moved`` is the number of pictures in a folder of another split than their file name tells, ``ignored`` of
        those in no split's and class's folder; ``passed over`` names what is no regular file.
        """
        content = self._scanned
        numbers = {split: number for number, split in enumerate(dict.fromkeys(content.splits))}
        splits = np.array([numbers[split] for split in content.splits])
        counts = count_by_split(list(numbers), splits, np.array(content.labels, np.int8), EXPRESSIONS)
        return {
            "form": content.form,
            "counts": counts,
            "stated": {split: dict(zip(EXPRESSIONS, stated_counts(split), strict=True)) for split in counts},
            "differences": [line for split in counts for line in _differences(split, counts[split])],
            **({"left out": self._left()} if self._left_out else {}),
            "moved": content.moved,
            "ignored": content.ignored,
            "passed over": content.passed_over,
        }

    def write_extras(self, folder: Path) -> None:
        """Nothing belongs to these faces but themselves."""

    def summary(self) -> list[str]:
        """One line for each split: its number of faces, as the owners state it or not."""
        report = self.report()
        lines = [f"FER-2013 from {shown(str(self.path))} ({report['form']})"]
        for split, counts in report["counts"].items():
            title = "test (Public and Private merged)" if split == MERGED else split
            differences = _differences(split, counts)
            verdict = "as its owners state" if not differences else "its owners state " + "; ".join(differences)
            verdict = "synthetic" if self._synthetic else verdict
            by_class = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
            lines.append(f"{title}: {sum(counts.values())} faces ({by_class}); {verdict}")
        if moved := self._scanned.moved:
            lines.append(f"{moved} pictures lie in a folder of another split than their name tells; the name counts")
        if ignored := self._scanned.ignored:
            lines.append(f"{ignored} pictures outside train/<class>/ and test/<class>/ are left out")
        return [*lines, *left_out_line(self._left()), *passed_over_lines(self._scanned.passed_over)]

    @property
    def _scanned(self) -> Content:
        assert self._content is not None, "scan() comes first"
        return self._content


def _of_the_seven(names: Sequence[str]) -> list[str]:
    """The expressions that some names are, in their order."""
    given = names_given(names, "leave_out")
    if odd := [name for name in given if not SEVEN.knows(name)]:
        raise ConfigError(
            f"Expected release.leave_out to name expressions of FER-2013, {', '.join(EXPRESSIONS)}, but got "
            f"{', '.join(odd[:3])}.{nearest(odd[0], EXPRESSIONS)}"
        )
    return [name for label, name in enumerate(EXPRESSIONS) if label in map(SEVEN.index, given)]


def stated_counts(split: str) -> tuple[int, ...]:
    """Number of faces of each class in a split as the owners state it; those of the merged test are the sums.

    >>> sum(stated_counts("Training")), sum(stated_counts("test"))
    (28709, 7178)
    """
    if split == MERGED:
        return tuple(map(sum, zip(STATED_COUNTS["PublicTest"], STATED_COUNTS["PrivateTest"], strict=True)))
    return STATED_COUNTS[split]


def _differences(split: str, counts: dict[str, int]) -> list[str]:
    total = sum(counts.values())
    stated = stated_counts(split)
    if "unlabelled" in counts:
        return [] if total == sum(stated) else [f"{split} {sum(stated)}, not {total}"]
    expected = zip(EXPRESSIONS, stated, strict=True)
    return [f"{split} {name} {count}, not {counts[name]}" for name, count in expected if counts[name] != count]


def _check_splits(content: Content, path: Path) -> None:
    """FER-2013 trains on Training and is scored on others; Kaggle's two files may come alone."""
    counts = Counter(content.splits)
    if content.form in KAGGLE and not counts.keys() - {"Training", MERGED}:
        return
    missing = [] if counts["Training"] else ["Training"]
    if MERGED not in counts:
        missing += [usage for usage in USAGES[1:] if not counts[usage]]
    if missing:
        present = ", ".join(f"{split} {count}" for split, count in counts.items())
        raise ReleaseError(
            f"Expected faces in every split of {path}, but {', '.join(missing)} is empty (found: {present}). "
            "The release is incomplete: get it again."
        )


def _votes(content: Content, ferplus: Path, path: Path, limits: Limits) -> NDArray[np.uint8]:
    if content.form == "pictures" or MERGED in content.splits or "PrivateTest" not in content.splits:
        raise ReleaseError(
            f"Expected all rows of fer2013.csv to join FER+ votes to, but {path} holds {content.form}. "
            "Votes join by row number: give fer2013.csv or icml_face_data.csv, or leave release.ferplus out."
        )
    return read_votes(ferplus, content.splits, limits)

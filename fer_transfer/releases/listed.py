"""What readers of listed pictures share: classes and splits by stated rules, faces found or taken as they are, counts compared.

A reader derives from ``ListedRelease`` and says which pictures there are (``_listed``), and what its owners state (``stated``).
"""

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import Signature, signature
from itertools import chain
from typing import Any, ClassVar

from fer_transfer.detection.pipeline import LEAST_SIDE, FacePipeline
from fer_transfer.errors import ConfigError, ReleaseError
from fer_transfer.files.archive import Archive
from fer_transfer.files.limits import LIMITS, Limits
from fer_transfer.files.names import shown
from fer_transfer.files.packed import Packed
from fer_transfer.files.picture import PictureError, decode
from fer_transfer.labels import SEVEN, LabelSet
from fer_transfer.releases.dividing import divide
from fer_transfer.releases.frames import FramesRelease
from fer_transfer.releases.listing import (
    ClassMap,
    Listed,
    first_three,
    left_out_line,
    names_given,
    refuse_empty_classes,
    refuse_shared_subjects,
)
from fer_transfer.releases.sfew_layout import SPLITS, Layout, Picture, ignored_by_kind, is_picture

#: No file of so many bytes holds a face, but one may hold a picture of a pixel or two: those are looked at beforehand.
#: One of more bytes and so few pixels is told as lost.
_TINY_BYTES = 1024

_FOLD = re.compile(r"fold\d+")


#: Pictures by split (empty where the owners give none) and class, by the names of the release.
Stated = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Division:
    """How splits are made of a release, or that it has its own (neither shares nor folds).

    Attributes:
        shares: of each split, 1 in all.
        folds: number of splits of one size, ``fold0`` and so on.
        seed: of what the rule (``releases.dividing``) leaves open.

    Raises:
        ConfigError: if these contradict each other.
    """

    shares: Mapping[str, float] | None
    folds: int | None
    seed: int

    def __post_init__(self) -> None:
        if self.shares is not None and self.folds is not None:
            raise ConfigError("Expected release.shares or release.folds, but got both. Give one as null.")
        if self.folds is not None and (not isinstance(self.folds, int) or self.folds < 2):
            raise ConfigError(f"Expected release.folds to be a whole number of at least 2, but got {self.folds!r}.")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise ConfigError(f"Expected release.seed to be a whole number of 0 or more, but got {self.seed!r}.")
        if self.shares is not None and not _are_shares(self.shares):
            raise ConfigError(
                "Expected release.shares to give each split its share, above 0 and 1 in all, such as "
                f"{{Train: 0.8, Val: 0.1, Test: 0.1}}, but got {self.shares!r}."
            )

    @property
    def made(self) -> dict[str, float]:
        """Share of each split that is made; none where the release has its own."""
        if self.folds is not None:
            return {f"fold{number}": 1 / self.folds for number in range(self.folds)}
        return dict(self.shares or {})

    def __str__(self) -> str:
        if self.folds is not None:
            return f"{self.folds} folds, seed {self.seed}"
        return f"{', '.join(f'{split} {share:g}' for split, share in self.made.items())}, seed {self.seed}"


def _are_shares(shares: Any) -> bool:
    if not isinstance(shares, Mapping) or not all(re.fullmatch(r"[\w.+-]+", str(split)) for split in shares):
        return False
    numbers = [share for share in shares.values() if isinstance(share, int | float) and share > 0]
    return len(numbers) == len(shares) and abs(sum(numbers) - 1) < 1e-6


class ListedRelease(FramesRelease, ABC):
    """A release whose layout says which picture bears which label, for ``fer-prepare``.

    Args:
        path: a folder or an archive.
        pipeline: how frames become faces.
        name: the word that plans use for the faces.
        aligned: whether pictures are faces already, which are not searched: of each the central square is resized.
        size: side of a prepared face in pixels; None: the pipeline's.
        classes: class by a name of the release, for names that are none, and where two names are one class.
        leave_out: names of classes whose pictures are left out.
        shares: of each split that is to be made, of a release that has none.
        folds: number of splits that are to be made.
        seed: of splits that are made.
        note: a caveat to stand beside every number made from this release.
        limits: how much is read at most, and how long for one frame.
        may_be_shown: whether pictures of its faces may stand in reports and be sent to trackers.
        labels: whose classes the labels are of.
        lacks: classes of that set which the release has no picture of.

    Raises:
        ConfigError: if an option is wrong.
    """

    #: What the data set is called.
    title: ClassVar[str] = "pictures"

    #: What the owners state; none: nothing is compared. A reader whose owners count otherwise overrides ``_differences``.
    stated: ClassVar[Stated] = {}

    #: What stands in one split as a whole: whose pictures they are.
    unit: ClassVar[str] = "subject"

    def __init__(
        self,
        path: str,
        pipeline: FacePipeline,
        name: str,
        aligned: bool = False,
        size: int | None = None,
        classes: Mapping[str, str] | None = None,
        leave_out: Sequence[str] = (),
        shares: Mapping[str, float] | None = None,
        folds: int | None = None,
        seed: int = 0,
        note: str | None = None,
        limits: Limits = LIMITS,
        may_be_shown: bool = False,
        labels: LabelSet = SEVEN,
        lacks: Sequence[str] = (),
    ) -> None:
        pipeline = pipeline if size is None else pipeline.of_size(size)
        super().__init__(path, pipeline, note=note, name=name, limits=limits, may_be_shown=may_be_shown, labels=labels)
        self.aligned, self.division = aligned, Division(shares, folds, seed)
        self.classes = ClassMap(
            _mapping(classes), names_given(leave_out, "leave_out"), labels, names_given(lacks, "lacks")
        )
        self._all: Sequence[Listed] = []

    __signature__: ClassVar[Signature]

    def __init_subclass__(cls) -> None:
        """A reader's own options and all others (``**options``) in one signature, by which settings are checked."""
        own, all_others = signature(cls.__init__), signature(ListedRelease.__init__)
        named = [option for option in own.parameters.values() if option.kind is not option.VAR_KEYWORD]
        if len(named) == len(own.parameters):
            return
        others = [option for name, option in all_others.parameters.items() if name not in own.parameters]
        cls.__signature__ = Signature([*named, *others][1:])  # without self

    def settings(self) -> dict[str, Any]:
        """What was chosen; another choice means preparing again."""
        own = {key: value for key, value in super().settings().items() if key not in ("split", "aligned_size")}
        division = {"shares": self.division.shares and dict(self.division.shares), "folds": self.division.folds}
        chosen = {"aligned": self.aligned, **division, "seed": self.division.seed if self.division.made else None}
        maps = {"classes": dict(self.classes.classes), "leave_out": list(self.classes.leave_out)}
        lacks = {"lacks": list(self.classes.lacks)} if self.classes.lacks else {}  # folders of before are without
        return {**own, "reader": self.title, **chosen, **maps, **lacks}

    @abstractmethod
    def _listed(self, archive: Archive) -> Sequence[Listed]:
        """The pictures of the release, in its order.

        Raises:
            ReleaseError: if it is laid out otherwise.
        """

    def _read_layout(self, archive: Archive) -> Layout:
        where = shown(str(self.path))
        self._all = self._listed(archive)
        listed = self._divided(self.classes.kept(self._all, where), where)
        refuse_shared_subjects(listed, where)
        _refuse_tiny(archive, listed)
        odd = {picture.path for picture in listed if not is_picture(picture.path)}
        ignored = ignored_by_kind(name for name in archive.names if not is_picture(name) and name not in odd)
        return Layout(self._by_split(listed), self.aligned, False, ignored)

    def _by_split(self, listed: Sequence[Listed]) -> Packed[Picture]:
        """The pictures split after split, each as in the release: made splits and the usual ones first."""
        splits = {split: Packed[Picture]() for split in self.division.made or SPLITS}
        for p in listed:
            picture = Picture(
                p.path, shown(p.id), p.split, self.classes.label(p.name), self.aligned, p.subject or None, p.box
            )
            splits.setdefault(p.split, Packed()).append(picture)
        return Packed(chain.from_iterable(splits.values()))

    def _divided(self, listed: Sequence[Listed], where: str) -> Sequence[Listed]:
        """The pictures with their splits: the release's own, or made ones.

        Raises:
            ReleaseError: if there are none, of some pictures only, or both kinds; if a made split lacks a class.
        """
        given = Counter(picture.split for picture in listed if picture.split)
        if made := self.division.made:
            if len(given) > 1:
                raise ReleaseError(
                    f"Expected no splits in {where}, to make {self.division} of it, but it has its own: "
                    f"{', '.join(f'{split} {count}' for split, count in given.items())}. "
                    "Leave release.shares and release.folds out to use them."
                )
            labels = [self.classes.label(picture.name) for picture in listed]
            splits = divide(labels, (picture.subject for picture in listed), made, self.division.seed)
            refuse_empty_classes(labels, splits, list(made), self.labels.classes, where)
            return Packed(picture._replace(split=split) for picture, split in zip(listed, splits, strict=True))
        if given.total() < len(listed):
            without = [picture.path for picture in listed if not picture.split]
            raise ReleaseError(
                f"Expected a split for each picture of {where}, but none for {len(without)} of {len(listed)} "
                f"({first_three(without)}). Let them be made: release.shares='{{Train: 0.8, Val: 0.1, Test: 0.1}}' or "
                "release.folds=5; or put every picture below a folder Train, Val or Test."
            )
        if all(map(_FOLD.fullmatch, given)):  # a mean over folds is of the same classes in each
            labels = [self.classes.label(picture.name) for picture in listed]
            refuse_empty_classes(labels, [p.split for p in listed], sorted(given), self.labels.classes, where)
        return listed

    def caveats(self) -> list[str]:
        """Synthetic; the user's note; classes left out; other counts than the owners state."""
        differs = not self._synthetic and self._differences()
        lacks = [f"no faces of {', '.join(self.classes.lacks)}"] if self.classes.lacks else []
        return (
            super().caveats()
            + self.classes.caveats
            + lacks
            + ([f"counts differ from those stated for {self.title}"] if differs else [])
        )

    def _counted(self) -> dict[str, Any]:
        """Counts, lost faces, subjects by split, classes that were left out, differences from the stated counts."""
        subjects = {split: len(of) for split, of in self._subjects().items()}
        left = Counter[str]()
        for (_, name), count in self._counts.items():
            left[name] += count if self.classes.leaves_out(name) else 0
        told = {"subjects": subjects, "left out": dict(+left), "differences": self._differences()}
        return {
            **super()._counted(),
            **told,
            "splits": str(self.division) if self.division.made else "the release's own",
        }

    def _subjects(self) -> dict[str, set[str]]:
        subjects: dict[str, set[str]] = {}
        for picture in self._scanned.pictures:
            if picture.movie:
                subjects.setdefault(picture.split, set()).add(picture.movie)
        return subjects

    @cached_property
    def _counts(self) -> Counter[tuple[str, str]]:
        """Pictures by the owners' split and class, those that are left out too."""
        return Counter((picture.split, picture.name) for picture in self._all)

    def _differences(self) -> list[str]:
        """Where counts by the owners' splits and classes differ from the stated ones."""
        counts = self._counts
        return [
            f"{split} {name} {counts[split, name]}, not {count}".strip()
            for split, classes in self.stated.items()
            for name, count in classes.items()
            if counts[split, name] != count
        ]

    def summary(self) -> list[str]:
        """Counts by split and class, subjects, how splits were made, what was left out, and differences from what is stated."""
        report = self.report()
        lines = [f"{self.title}: {'faces already, not searched' if self.aligned else 'frames'}", *super().summary()]
        if self.division.made:
            known = f"a {self.unit} stands in one" if report["subjects"] else "whose faces they are is not known"
            lines.append(f"splits were made: {self.division}; {known}")
        return [*lines, *left_out_line(report["left out"]), *self._stated_lines(report["differences"])]

    def _split_line(self, split: str, report: dict[str, Any]) -> str:
        """A split's pictures, whose they are, how many were found where they were searched, and of which class."""
        counts = report["counts"][split]
        of = f", {count} {self.unit}{'s' * (count > 1)}" if (count := report["subjects"].get(split)) else ""
        lost, missing = self._lost(split, report), [name for name in self.labels.classes if name not in counts]
        found = "" if self.aligned and not lost else f", found {self._found(split, report)}"
        by_class = ", ".join(f"{name} {n}" for name, n in counts.items())
        none, gone = f"; no {', '.join(missing)}" if missing else "", f"; lost: {lost}" if lost else ""
        return f"{split}: {sum(counts.values())} pictures{of}{found} ({by_class}{none}{gone})"

    def _stated_lines(self, differences: list[str]) -> list[str]:
        if not self.stated or self._synthetic:
            return []
        if not differences:
            return [f"counts agree with those stated for {self.title}"]
        more = "; ..." if len(differences) > 5 else ""
        return [f"other counts than stated for {self.title} ({len(differences)}): {'; '.join(differences[:5])}{more}"]


def _mapping(classes: Mapping[str, str] | None) -> dict[str, str]:
    if classes is not None and not isinstance(classes, Mapping):
        raise ConfigError(f"Expected release.classes={{NAME: CLASS, ...}}, but got {classes!r}.")
    return {str(name): str(value) for name, value in (classes or {}).items()}


def _refuse_tiny(archive: Archive, listed: Sequence[Listed]) -> None:
    """Refuse pictures of a pixel or two, which decode like any other; only files that are small enough are looked at.

    Raises:
        ReleaseError: naming them.
    """
    tiny = []
    for picture in listed:
        if archive.size([picture.path]) <= _TINY_BYTES:
            try:
                height, width = decode(archive.read(picture.path)).shape[:2]
            except PictureError:  # told as unreadable, with the others
                continue
            if min(height, width) < LEAST_SIDE:
                tiny.append(f"{picture.path} ({width}x{height})")
    if tiny:
        raise ReleaseError(
            f"Expected pictures of at least {LEAST_SIDE} pixels a side in {shown(str(archive.path))}, but got {len(tiny)} of "
            f"{len(listed)} smaller ({first_three(tiny)}). Get them again, or take them out."
        )

"""A study: a paper's question, or a user's own, as data (``conf/study``).

It says which splits are reported under which heading and over which faces, which of them no stage may train on, the grid of
backbones and plans, the claims as pairs of plans, and the published numbers. Reports and the guard read it and know no
data set by name.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yaml import YAMLError

from fer_transfer.config import conf_dir, nearest, plain, typed
from fer_transfer.errors import ConfigError
from fer_transfer.labels import EXPRESSIONS, LabelSet
from fer_transfer.published import Published, read_matrices, read_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class Reported:
    """One column of a study's table.

    Attributes:
        split: ``release/split``, by the release's own name.
        over: ``found``: the faces that the detector found; ``all``: lost ones too.
        heading: in tables.
        published: beginning of the columns ``*_percent``, ``*_k``, ``*_n``, ``*_macro_recall`` of the published numbers.
        optional: a release of that name may lack the split (SFEW without Test).
    """

    split: str = "???"
    over: str = "all"
    heading: str = "???"
    published: str | None = None
    optional: bool = False


@dataclass
class Claim:
    """What the study says, and the pairs of plans that bear it: of each, the first should be the better one."""

    says: str = "???"
    pairs: list[list[str]] = field(default_factory=list)


@dataclass
class Ensemble:
    """A row made of rows, from what they predicted: nothing is trained.

    Attributes:
        rows: two or more, by the names that ``fer-predict row=`` takes: ``plan/backbone``, a plan alone, a submission (``sub3``).
        weights: of their probabilities: ``mean``, all alike; ``fitted``, those with the least log loss on the selection split.
    """

    rows: list[str] = field(default_factory=list)
    weights: str = "mean"


@dataclass
class LeftOpen:
    """What the study does not state: words of settings that are listed as choices made here, and the sentence before them."""

    words: list[str] = field(default_factory=list)
    says: str = "Chosen"


@dataclass
class Study:
    """A study, checked.

    Attributes:
        name: its file's.
        title: a few words for tables.
        reported: the columns, in order; claims, recalls and matrices are about the first.
        protected: ``release/split`` that no stage may train on.
        grid: names by configuration group (``backbone``, ``plan``): what ``fer-train -m study=NAME`` runs.
        claims: what it says.
        ensembles: rows made of rows, by name.
        margin: percentage points of accuracy that count; two plans that differ by less are as good as equal.
        baseline: the plan that the best one is compared with, or None.
        challenge: the split whose predictions a submission zip holds, or None.
        published: CSV of published numbers: a path, or a file beside the study's; None: there are none.
        matrices: CSV of published confusion matrices of the first column: likewise.
        classes: faces by class, of a release or ``release/split``, as they are published (labelled ones, lost or not).
        networks: the published backbones that have a column of their own, with their headings.
        footnote: stands under the published rows.
        order: of the classes in matrices; faces of another label set than these keep its own.
        left_open: what it does not state.
    """

    name: str = "???"
    title: str = "???"
    reported: list[Reported] = field(default_factory=list)
    protected: list[str] = field(default_factory=list)
    grid: dict[str, list[str]] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    ensembles: dict[str, Ensemble] = field(default_factory=dict)
    margin: float = 3.0
    baseline: str | None = None
    challenge: str | None = None
    published: str | None = None
    matrices: str | None = None
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    networks: dict[str, str] = field(default_factory=dict)
    footnote: str = ""
    order: list[str] = field(default_factory=lambda: list(EXPRESSIONS))
    left_open: LeftOpen = field(default_factory=LeftOpen)

    @property
    def plans(self) -> tuple[str, ...]:
        """The plans of the grid, in its order."""
        return tuple(self.grid.get("plan", ()))

    @property
    def first(self) -> Reported:
        """The column that claims, recalls and matrices are about."""
        return self.reported[0]

    def has(self, name: str) -> bool:
        """Whether a claim may be about it: a plan of the grid, an ensemble, or ``plan/backbone`` beside one."""
        plan, _, backbone = name.partition("/")
        known = self.grid.get("backbone") or [backbone]
        return name in self.ensembles or (plan in self.plans and (not backbone or backbone in known))

    def ordered(self, classes: Sequence[str]) -> list[str]:
        """The classes of a label set in the study's order, where it is of this set; otherwise in their own."""
        return self.order if sorted(self.order) == sorted(classes) else list(classes)

    def protects(self, release: str, split: str) -> bool:
        """Whether no stage may train on a split of a release of this name."""
        return f"{release}/{split}" in self.protected

    def check_releases(self, splits: Mapping[str, Iterable[str]]) -> None:
        """Compare with the releases at hand.

        Args:
            splits: those of each release, by its own name. A release that the study names and that is not at hand is no
                error: it has no column then.

        Raises:
            ConfigError: if a release lacks a split that the study names.
        """
        releases = {column.split.partition("/")[0] for column in self.reported} | set(splits)
        for name in self.protected:
            if (release := name.partition("/")[0]) not in releases:
                raise ConfigError(
                    f"Study {self.name!r} protects {name!r}, but neither reports {release!r} nor are faces of it at hand, "
                    f"only of {', '.join(sorted(releases))}.{nearest(release, releases)} Mend study.protected."
                )
        optional = {column.split for column in self.reported if column.optional}
        named = [*dict.fromkeys([*(column.split for column in self.reported), *self.protected])]
        for name in named:
            release, _, split = name.partition("/")
            if release in splits and split not in splits[release] and name not in optional:
                raise ConfigError(
                    f"Study {self.name!r} names the split {name!r}, but the faces of {release} hold "
                    f"{', '.join(splits[release])}. Mend the study (or mark the column optional), or "
                    "prepare the release that has it."
                )


def study_from(content: Mapping[str, Any]) -> Study:
    """Check and type the ``study`` of a composed configuration.

    Raises:
        ConfigError: on a misspelt key, a split that is none, a plan twice, a claim about a plan outside the grid, or published
            numbers that do not fit.
    """
    study = typed(Study, content, "The study")
    where = f"study {study.name!r}"
    if not study.reported:
        raise ConfigError(f"Expected {where} to report at least one split, but got none. Give study.reported.")
    _check_splits(study, where)
    _check_grid(study, where)
    _check_ensembles(study, where)
    _check_claims(study, where)
    _check_order(study, where)
    _check_classes(study, where)
    published_rows(study)
    _matrices(study)
    return study


def study_called(name: str | os.PathLike[str]) -> Study:
    """A study by its name in ``conf/study``, or from a file of one's own (``study/NAME.yaml``).

    Of the latter the published numbers, which lie beside it, are not read.

    Raises:
        ConfigError: if there is none, or it is wrong.
    """
    from omegaconf import OmegaConf

    own = Path(name).expanduser()
    shipped = conf_dir() / "study"
    path = own if own.suffix == ".yaml" else shipped / f"{own.name}.yaml"
    if not path.is_file():
        known = [file.stem for file in shipped.glob("*.yaml")]
        raise ConfigError(
            f"There is no study {str(name)!r}.{nearest(str(name), known)} Expected {', '.join(known)}, or a file NAME.yaml."
        )
    try:
        content = plain(OmegaConf.load(path))
    except (OSError, YAMLError) as error:
        raise ConfigError(f"Expected a study in {path}, but got: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"Expected a study in {path}, but it holds no settings.")
    return study_from(content if path.parent == shipped else content | {"published": None, "matrices": None})


def _check_splits(study: Study, where: str) -> None:
    named = (
        [column.split for column in study.reported] + study.protected + ([study.challenge] if study.challenge else [])
    )
    if odd := [name for name in named if len(parts := name.split("/")) != 2 or not all(parts)]:
        raise ConfigError(f"Expected splits of {where} as release/split, such as emotiw/Val, but got {odd[:3]}.")
    if odd := [column.over for column in study.reported if column.over not in ("found", "all")]:
        raise ConfigError(f"Expected over of a column of {where} to be found or all, but got {odd[0]!r}.")
    columns = [(column.split, column.over) for column in study.reported]
    if twice := _twice(columns):
        raise ConfigError(f"Expected each column of {where} once, but got {twice[0][0]} over {twice[0][1]} twice.")
    headings = dict.fromkeys((column.heading, column.over, column.split) for column in study.reported)
    if twice := _twice([(heading, over) for heading, over, _ in headings]):
        raise ConfigError(f"Expected a heading for each split of {where}, but {twice[0][0]!r} stands over two.")
    if study.challenge and study.challenge not in named[: len(study.reported)]:
        raise ConfigError(f"Expected challenge of {where} to be a reported split, but got {study.challenge!r}.")


def _check_order(study: Study, where: str) -> None:
    try:
        LabelSet(tuple(study.order))
    except ConfigError as error:
        raise ConfigError(
            f"Expected order of {where} to hold every class once, but got {study.order}: {error}"
        ) from None


def _check_classes(study: Study, where: str) -> None:
    for name, counts in study.classes.items():
        if sorted(counts) != sorted(study.order) or min(counts.values()) < 0 or not any(counts.values()):
            raise ConfigError(
                f"Expected in classes.{name} of {where} how many faces {', '.join(study.order)} have, but got {counts}."
            )


def _check_grid(study: Study, where: str) -> None:
    for group, names in study.grid.items():
        if odd := [name for name in names if not re.fullmatch(r"[\w.+-]+", name)]:
            raise ConfigError(f"Expected names in grid.{group} of {where}, one an entry, but got {odd[0]!r}.")
        if not names or _twice(names):
            raise ConfigError(
                f"Expected grid.{group} of {where} to name each once, but got {_twice(names)[0]!r} twice."
                if names
                else f"Expected grid.{group} of {where} to name something, but it is empty."
            )
    if study.baseline is not None and study.baseline not in study.plans:
        raise ConfigError(
            f"Expected baseline of {where} among its plans {list(study.plans)}, but got {study.baseline!r}."
        )


def _check_ensembles(study: Study, where: str) -> None:
    for name, of in study.ensembles.items():
        named = f"ensemble {name!r} of {where}"
        if not re.fullmatch(r"[\w.+-]+", name) or name in study.plans:
            raise ConfigError(f"Expected a name of letters and digits that is no plan's for {named}. Give it another.")
        if len(of.rows) < 2 or _twice(of.rows):
            raise ConfigError(f"Expected two rows or more, each once, in {named}, but got {of.rows}.")
        if inner := [row for row in of.rows if row in study.ensembles]:
            raise ConfigError(
                f"Expected rows that were trained in {named}, but {inner[0]!r} is an ensemble: name its rows."
            )
        if of.weights not in ("mean", "fitted"):
            raise ConfigError(f"Expected weights of {named} to be mean or fitted, but got {of.weights!r}.")


def _check_claims(study: Study, where: str) -> None:
    if not 0 < study.margin < 100:
        raise ConfigError(f"Expected margin of {where} in points, above 0 and below 100, but got {study.margin:g}.")
    for claim in study.claims:
        for pair in claim.pairs:
            if len(pair) != 2 or pair[0] == pair[1]:
                raise ConfigError(f"Expected pairs of two plans in claim {claim.says!r} of {where}, but got {pair}.")
            if outside := [name for name in pair if not study.has(name)]:
                raise ConfigError(
                    f"Claim {claim.says!r} of {where} is about {outside[0]!r}, which its grid does not run: "
                    f"{', '.join((*study.plans, *study.ensembles))}. Add it to grid.plan or change the claim."
                )


def _twice(values: Sequence[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]


def published_rows(study: Study) -> list[Published]:
    """The published rows of a study, in their order; none where it has none.

    Raises:
        ConfigError: if the file is not there, lacks columns, holds a word for a number, or one row twice.
    """
    prefixes = [column.published for column in study.reported if column.published]
    return [] if study.published is None else read_rows(study.published, prefixes, study.name)


def published_matrices(study: Study) -> dict[tuple[str, str], "NDArray[np.float64]"]:
    """The published confusion matrices, counts by backbone and plan; none where the study has none.

    Returns:
        Of each float64 [C, C], rows truth, columns prediction, in the study's order of classes.

    Raises:
        ConfigError: if the file is not there, lacks columns or an expression, or holds anything but counts.
    """
    import numpy as np  # here: checking a study, before every training, does not wait for it

    return {row: np.array(counts, np.float64) for row, counts in _matrices(study).items()}


def _matrices(study: Study) -> dict[tuple[str, str], list[list[int]]]:
    return {} if study.matrices is None else read_matrices(study.matrices, study.order, study.name)

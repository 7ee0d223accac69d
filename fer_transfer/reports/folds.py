"""Rows that leave out one fold each, and the row that they make together: of every face what the network says that left it out.

A plan called ``NAME#fold3`` leaves out the split ``fold3`` of a release. Its predictions of that split stand under
``release/folds``, so that the rows of all folds have one column; those of all of them together are the row ``NAME``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar

import numpy as np

from fer_transfer.evaluation.statistics import mean_and_spread
from fer_transfer.reports.ensembles import EnsembleRow, made_record
from fer_transfer.reports.missing import Missing
from fer_transfer.reports.results import Group, Row
from fer_transfer.reports.scores import Score, score
from fer_transfer.stages.lineage import Prepared

#: What stands for the split that a row left out.
FOLDS = "folds"

_PLAN = re.compile(r"(.+)#fold(\d+)")
_SPLIT = re.compile(r"fold(\d+)")


@dataclass(frozen=True, eq=False)
class FoldRow(Row):
    """A row that left out one fold.

    Attributes:
        left_out: ``release/fold3`` by ``release/folds``.
        base: the plan's name without the fold.
    """

    left_out: Mapping[str, str] = field(default_factory=dict)
    base: str = ""

    def _prepared(self, split: str) -> tuple[Prepared, str]:
        return super()._prepared(self.left_out.get(split, split))


@dataclass(frozen=True, eq=False)
class FoldsRow(EnsembleRow):
    """The rows of all folds as one, at one seed."""

    kind: ClassVar[str] = "folds"

    @property
    def last_stages(self) -> tuple[str, ...]:
        """None: no network says all of its faces."""
        return ()


@dataclass(frozen=True)
class FoldMean:
    """Accuracy on the folds that were left out.

    Attributes:
        percents: by fold, in their order; of several seeds the mean.
    """

    percents: tuple[float, ...]

    @property
    def mean_and_spread(self) -> tuple[float, float]:
        """Mean over folds, and sample standard deviation, in points."""
        return mean_and_spread(self.percents)

    def interval(self, level: float) -> tuple[float, float]:
        """Student's interval of the mean, in percent, as if folds were independent.

        They share faces to train on, so it is too narrow, by how much nobody can tell from them (Bengio and Grandvalet 2004).
        """
        from scipy.special import stdtrit  # here: --help does not wait for it

        mean, spread = self.mean_and_spread
        half = float(stdtrit(len(self.percents) - 1, (1 + level) / 2)) * spread / len(self.percents) ** 0.5
        return mean - half, mean + half

    def says(self, level: float) -> str:
        """For a reader."""
        (mean, spread), (low, high) = self.mean_and_spread, self.interval(level)
        return (
            f"{len(self.percents)} folds, each said by the network that left it out; mean over folds {mean:.1f} ± {spread:.1f}, "
            f"{100 * level:g} % interval [{low:.1f}, {high:.1f}] (Student, as if folds were independent: they share faces)"
        )


def with_folds(groups: Sequence[Group], level: float, missing: list[Missing]) -> list[Group]:
    """Groups in which rows of folds have one column, and the row that they make together follows them.

    Args:
        groups: of finished rows.
        level: of intervals.
        missing: folds that did not run are added to it.
    """
    return [_with_folds(group, level, missing) for group in groups]


def _with_folds(group: Group, level: float, missing: list[Missing]) -> Group:
    rows = tuple(map(fold_row, group.rows))
    folds = [row for row in rows if isinstance(row, FoldRow)]
    keys = dict.fromkeys((row.base, split) for row in folds for split in row.left_out)
    made = [row for base, split in keys for row in _made(base, split, group, folds, level, missing)]
    return replace(group, rows=(*rows, *made)) if folds else group


def fold_row(row: Row) -> Row:
    """The row with what it left out under ``release/folds``; any other row as it is."""
    match = _PLAN.fullmatch(row.plan)
    if not match or row.ensemble:
        return row
    left_out = {
        f"{split.partition('/')[0]}/{FOLDS}": split
        for split in row.predictions
        if split.endswith(f"/fold{int(match[2])}")
    }
    names = {split: name for name, split in left_out.items()}
    given = {of_row.name: getattr(row, of_row.name) for of_row in fields(Row)}
    given["predictions"] = {names.get(split, split): of for split, of in row.predictions.items()}
    return FoldRow(**given, left_out=left_out, base=match[1])


def _made(
    base: str, split: str, group: Group, rows: Sequence[FoldRow], level: float, missing: list[Missing]
) -> Iterator[FoldsRow]:
    """The row of all folds at each seed that ran them all."""
    own = [row for row in rows if row.base == base and split in row.left_out]
    wanted = _folds(own[0], split)
    by_seed: dict[str, dict[str, FoldRow]] = {}
    for row in own:
        by_seed.setdefault(row.seed, {})[row.left_out[split].partition("/")[2]] = row
    whole = {seed: [of[fold] for fold in wanted] for seed, of in by_seed.items() if set(wanted) <= set(of)}
    for seed in by_seed.keys() - whole.keys():
        lacking = [fold for fold in wanted if fold not in by_seed[seed]]
        ran = f"{len(wanted) - len(lacking)} of {len(wanted)} folds ran with seed {seed}"
        why = f"{ran}, so there is no mean: not {', '.join(lacking)}."
        missing.append(Missing("folds", base, why))
    if whole and (mean := fold_mean(list(whole.values()), split)):
        for members in whole.values():
            yield _together(base, split, group, members, mean.says(level))


def _folds(row: FoldRow, split: str) -> list[str]:
    """The folds of the release, in their order."""
    prepared, _ = row._prepared(split)
    return sorted((name for name in prepared.splits if _SPLIT.fullmatch(name)), key=lambda name: int(name[4:]))


def fold_mean(by_seed: Sequence[Sequence[Row]], split: str) -> FoldMean | None:
    """Of the rows of all folds, by seed, accuracy on what each left out; None where a fold has no score."""
    scores = [score(of_fold, split, "all") for of_fold in zip(*by_seed, strict=True)]
    percents = [of.percent[0] for of in scores if isinstance(of, Score)]
    return FoldMean(tuple(percents)) if len(percents) == len(scores) > 1 else None


def _together(base: str, split: str, group: Group, members: Sequence[FoldRow], says: str) -> FoldsRow:
    said = [row.predictions[split] for row in members]
    joined = replace(
        said[0],
        ids=np.concatenate([of.ids for of in said]),
        labels=np.concatenate([of.labels for of in said]),
        found=np.concatenate([of.found for of in said]),
        probabilities=np.concatenate([of.probabilities for of in said]),
    )
    record = made_record(base, group.backbone, members)
    return FoldsRow(
        members[0].path,
        record,
        group.settings_id,
        base,
        group.faces,
        {split: joined},
        frozenset(),
        tuple(members),
        says,
    )


def fold_lines(groups: Sequence[Group], level: float) -> list[dict[str, object]]:
    """For CSV: a line a fold, then their mean with its interval; k and n by seed, as in table.csv."""
    lines: list[dict[str, object]] = []
    for group in groups:
        for base in dict.fromkeys(row.plan for row in group.rows if isinstance(row, FoldsRow)):
            made = [row for row in group.of(base) if isinstance(row, FoldsRow)]
            split = next(iter(made[0].predictions))
            by_seed, caveats = [row.members for row in made], {"caveats": "; ".join(group.caveats)}
            where: dict[str, object] = {
                "backbone": group.backbone,
                "plan": base,
                "settings_id": group.settings_id,
                "split": split,
            }
            for of_fold in zip(*by_seed, strict=True):
                fold = of_fold[0].left_out[split] if isinstance(of_fold[0], FoldRow) else ""
                lines.append(where | {"fold": fold} | _scored(of_fold, split, level) | caveats)
            mean = fold_mean(by_seed, split)
            assert mean is not None
            (percent, spread), (low, high) = mean.mean_and_spread, mean.interval(level)
            numbers: dict[str, object] = {
                "percent": percent,
                "sd": spread,
                "k": None,
                "n": None,
                "low": low,
                "high": high,
            }
            lines.append(where | {"fold": "mean", "seeds": " ".join(row.seed for row in made)} | numbers | caveats)
    return lines


def _scored(rows: Sequence[Row], split: str, level: float) -> dict[str, object]:
    found = score(rows, split, "all")
    assert isinstance(found, Score), "a mean has none but these"
    (percent, spread), (low, high) = found.percent, found.interval(level)
    right, seeds = (" ".join(map(str, values)) for values in (found.correct, found.seeds))
    return {"seeds": seeds, "percent": percent, "sd": spread, "k": right, "n": found.count[0], "low": low, "high": high}

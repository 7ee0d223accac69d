"""A study's claims, each as paired comparisons of two plans on the faces of the study's first column."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import Comparison, compare, mean_and_spread, paired_over_seeds
from fer_transfer.reports.results import Group, base_plan
from fer_transfer.study import Published, Reported, Study

#: From so many common seeds on a verdict rests on seeds as well as on images.
SEEDS_FOR_A_VERDICT = 3

#: The reason that a user need not be told again: the table of plans says it.
NOT_RUN = "not run"

#: The rule of a verdict, as it stands under every table of claims; alpha is filled in.
RULE = (
    f"Shows: p < {{alpha:.2g}}, and better. With {SEEDS_FOR_A_VERDICT} common seeds or more p is of the mean over seeds and "
    "images (both vary; Student's t, Satterthwaite). With fewer it is McNemar's exact test of the first common seed, every "
    "common seed must agree in sign, and the verdict rests on images only, not seeds: another seed may turn it. Does not show: "
    "the reverse is so; not resolvable: neither. p is not corrected for several tests."
)


@dataclass(frozen=True)
class Finding:
    """What two plans' predictions say of "the first is better".

    Attributes:
        better, worse: the plans as the claim has them.
        seeds: those at which both have predictions, ascending; empty without a comparison.
        points: difference of accuracy in percentage points, by seed.
        p: two-sided; None without a comparison.
        only_better, only_worse: images that one of the two alone has right, at the first common seed.
        reason: why there is no comparison, or "".
        run: whether both plans were run.
        part: whether one of them was scored on a part of the split only.
    """

    better: str
    worse: str
    seeds: tuple[str, ...] = ()
    points: tuple[float, ...] = ()
    p: float | None = None
    only_better: int = 0
    only_worse: int = 0
    reason: str = ""
    run: bool = True
    part: bool = False

    def verdict(self, alpha: float) -> str:
        """``shows``, ``does not show`` (the reverse is significant) or ``not resolvable``; else why there is none. ``RULE``."""
        if self.p is None:
            return self.reason
        if self.part:
            return "no verdict on a part of the split"
        agree = [mean_and_spread(self.points)[0]] if self.knows_seeds else self.points
        if self.p < alpha and min(agree) > 0:
            return "shows"
        if self.p < alpha and max(agree) < 0:
            return "does not show"
        return "not resolvable"

    @property
    def knows_seeds(self) -> bool:
        """Whether p rests on seeds as well as on images."""
        return len(self.seeds) >= SEEDS_FOR_A_VERDICT

    @property
    def rests_on(self) -> str:
        """What p knows of, to stand beside a verdict; empty without one."""
        if self.p is None:
            return ""
        return "images and seeds" if self.knows_seeds else "images only, not seeds"

    def difference(self) -> str:
        """Mean difference in points with sign, and its standard deviation over several seeds."""
        if not self.points:
            return ""
        mean, spread = mean_and_spread(self.points)
        return f"{mean:+.1f} ± {spread:.1f}" if len(self.points) > 1 else f"{mean:+.1f}"


def claimed(study: Study) -> Iterator[tuple[str, str, str]]:
    """What is claimed, and the two plans of which the first should be the better one."""
    return ((claim.says, better, worse) for claim in study.claims for better, worse in claim.pairs)


def find(group: Group, better: str, worse: str, column: Reported) -> Finding:
    """Compare two plans of a group on the faces of a column, at each seed at which both have predictions of it."""
    scored = {plan: _by_seed(group, plan, column) for plan in (better, worse)}
    plans_by_reason: dict[str, list[str]] = {}
    for plan, found in scored.items():
        if isinstance(found, str):
            plans_by_reason.setdefault(found, []).append(plan)
    if plans_by_reason:
        reason = "; ".join(f"{' and '.join(plans)} {reason}" for reason, plans in plans_by_reason.items())
        return Finding(better, worse, reason=reason, run=NOT_RUN not in plans_by_reason)
    finding = _compared(better, worse, *(found for found in scored.values() if not isinstance(found, str)))
    return replace(finding, part=any(row.is_part(column.split) for plan in scored for row in group.of(plan)))


def _by_seed(group: Group, plan: str, column: Reported) -> dict[str, Predictions] | str:
    """Predictions of a column's faces by ascending seed, or why a plan has none to compare."""
    rows = group.of(plan)
    if not rows:
        return "run with several settings of its own" if any(base_plan(r.plan) == plan for r in group.rows) else NOT_RUN
    if any(row.trained_on(column.split) for row in rows):
        return f"trained on {column.split}"
    having = {row.seed: row.predictions[column.split] for row in rows if row.predictions.get(column.split)}
    return {seed: of.only_found() if column.over == "found" else of for seed, of in having.items()} or (
        f"without predictions of {column.split}"
    )


def _compared(
    better: str, worse: str, of_better: Mapping[str, Predictions], of_worse: Mapping[str, Predictions]
) -> Finding:
    seeds = tuple(seed for seed in of_better if seed in of_worse)
    if not seeds:
        return Finding(better, worse, reason="no common seed")
    pairs = [(of_better[seed], of_worse[seed]) for seed in seeds]
    if not all(predictions.labelled for pair in pairs for predictions in pair):
        return Finding(better, worse, reason="labels withheld")
    try:
        compared = [compare(*pair) for pair in pairs]
    except StoreError:
        return Finding(better, worse, reason="not the same labelled faces")
    first = compared[0]
    if first.n < 2:  # no spread over faces, and nothing that could be resolved
        return Finding(better, worse, reason=f"too few faces ({first.n})")
    points = tuple(100 * comparison.difference for comparison in compared)
    return Finding(better, worse, seeds, points, _p(compared), first.only_a, first.only_b)


def _p(compared: Sequence[Comparison]) -> float:
    if len(compared) < SEEDS_FOR_A_VERDICT:
        return compared[0].p
    return paired_over_seeds(np.stack([comparison.by_face for comparison in compared]).astype(np.float64))[1]


def best_against_baseline(group: Group, study: Study) -> Finding | None:
    """The plan that is most above the study's baseline, against it; None if there is nothing to compare."""
    if study.baseline is None:
        return None
    plans = [plan for plan in group.plans(study) if plan != study.baseline and group.of(plan)]
    findings = [find(group, plan, study.baseline, study.first) for plan in plans]
    compared = [finding for finding in findings if finding.points]
    return max(compared, key=lambda finding: mean_and_spread(finding.points)[0], default=None)


def published_difference(published: Sequence[Published], study: Study, backbone: str, better: str, worse: str) -> str:
    """The published difference on the study's first column in points, or an empty string where there is none."""
    column = study.first.published
    percents = {row.plan: row.numbers[column][0] for row in published if row.backbone == backbone and column}
    first, second = percents.get(better), percents.get(worse)
    return f"{first - second:+.1f}" if first is not None and second is not None else ""

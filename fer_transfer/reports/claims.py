"""The paper's claims, each as paired comparisons of two plans on the validation faces that were found."""

from collections.abc import Sequence
from dataclasses import dataclass

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import compare, mean_and_spread
from fer_transfer.reports.results import Group, Published, Row, base_plan
from fer_transfer.reports.scores import VAL

#: Claim, and the two plans of which the first should be the better one (Ng et al. 2015, sections 4 and 5).
CLAIMS = (
    ("1. FER before EmotiW beats EmotiW alone", "fer28_emotiw", "emotiw"),
    ("1. FER before EmotiW beats EmotiW alone", "fer32_emotiw", "emotiw"),
    ("2. Two stages beat one", "fer28_emotiw", "fer28"),
    ("2. Two stages beat one", "fer32_emotiw", "fer32"),
    ("3. Two stages beat the combined sets", "fer32_emotiw", "fer32+emotiw"),
    ("4. FER alone beats EmotiW alone", "fer28", "emotiw"),
    ("4. FER alone beats EmotiW alone", "fer32", "emotiw"),
)


@dataclass(frozen=True)
class Finding:
    """What two plans' predictions say of "the first is better".

    Attributes:
        better, worse: the plans as the claim has them.
        seeds: those that both were run with, ascending; empty if one was not run.
        points: difference of accuracy in percentage points, by seed.
        p: McNemar's exact two-sided p of the first common seed; None without one.
        only_better, only_worse: images that one of the two alone has right, at that seed.
        reason: why there is no comparison, or "".
    """

    better: str
    worse: str
    seeds: tuple[int, ...] = ()
    points: tuple[float, ...] = ()
    p: float | None = None
    only_better: int = 0
    only_worse: int = 0
    reason: str = ""

    def verdict(self, alpha: float) -> str:
        """``shows``, ``does not show`` (the reverse is significant) or ``not resolvable``; else the reason.

        The p of one seed knows the images but not the seeds, so every common seed must also agree in sign.
        """
        if self.p is None:
            return self.reason
        if self.p < alpha and min(self.points) > 0:
            return "shows"
        if self.p < alpha and max(self.points) < 0:
            return "does not show"
        return "not resolvable"

    def difference(self) -> str:
        """Mean difference in points with sign, and its standard deviation over several seeds."""
        if not self.points:
            return ""
        mean, spread = mean_and_spread(self.points)
        return f"{mean:+.1f} ± {spread:.1f}" if len(self.points) > 1 else f"{mean:+.1f}"


def find(group: Group, better: str, worse: str) -> Finding:
    """Compare two plans of a group, seed by seed."""
    of_better, of_worse = ({row.seed: row for row in group.of(plan)} for plan in (better, worse))
    missing = [plan for plan, rows in ((better, of_better), (worse, of_worse)) if not rows]
    if missing:
        several = [plan for plan in missing if any(base_plan(row.plan) == plan for row in group.rows)]
        if several:
            return Finding(better, worse, reason=f"{' and '.join(several)} run with several settings of its own")
        return Finding(better, worse, reason=f"{' and '.join(missing)} not run")
    seeds = tuple(sorted(of_better.keys() & of_worse.keys()))
    if not seeds:
        return Finding(better, worse, reason="no common seed")
    try:
        compared = [compare(_val(of_better[seed]), _val(of_worse[seed])) for seed in seeds]
    except StoreError:
        return Finding(better, worse, reason="not the same labelled faces")
    first = compared[0]
    points = tuple(100 * comparison.difference for comparison in compared)
    return Finding(better, worse, seeds, points, first.p, first.only_a, first.only_b)


def _val(row: Row) -> Predictions:
    if VAL not in row.predictions:
        raise StoreError(f"Expected predictions of {VAL} in {row.record}.")
    return row.predictions[VAL].only_found()


def best_against_emotiw(group: Group) -> Finding | None:
    """The plan that is most above EmotiW alone on Val, against it; None if there is nothing to compare."""
    findings = [find(group, plan, "emotiw") for plan in group.plans if plan != "emotiw" and group.of(plan)]
    compared = [finding for finding in findings if finding.points]
    return max(compared, key=lambda finding: mean_and_spread(finding.points)[0], default=None)


def published_difference(published: Sequence[Published], backbone: str, better: str, worse: str) -> str:
    """The paper's own difference on Val in points, or an empty string where it gives none."""
    percents = {row.plan: row.val[0] for row in published if row.backbone == backbone}
    first, second = percents.get(better), percents.get(worse)
    return f"{first - second:+.1f}" if first is not None and second is not None else ""

"""What two rows' predictions say of "the first is better", with the words for it."""

import math
from dataclasses import dataclass

from fer_transfer.evaluation.comparison import Comparison
from fer_transfer.evaluation.statistics import mcnemar_exact, mean_and_spread
from fer_transfer.evaluation.verdict import CANNOT_BE_TOLD, NOT_SHOWN, Verdict, variances

#: What a comparison with one seed rests on.
ONE_SEED = "images only: another seed may turn it"


@dataclass(frozen=True, eq=False)
class Finding:
    """What two rows' predictions say of "the first is better".

    Points are percentage points of accuracy, the first less the second.

    Attributes:
        better, worse: the rows as the claim has them: plans, or what else names them.
        says: the claim; empty for a comparison that no claim asks for.
        seeds: those at which both have predictions, ascending; empty without a comparison.
        comparison: their differences face by face, seeds in this order; None without one.
        judged: what it says among those it was looked at with; None without a comparison.
        reason: why there is no comparison, or "".
        run: whether both were run.
        part: whether one of them was scored on a part of the split only.
        level: of intervals; 1 - level bounds p.
        margin: points that count.
    """

    better: str
    worse: str
    says: str = ""
    seeds: tuple[str, ...] = ()
    comparison: Comparison | None = None
    judged: Verdict | None = None
    reason: str = ""
    run: bool = True
    part: bool = False
    level: float = 0.95
    margin: float = 3.0

    @property
    def points(self) -> tuple[float, ...]:
        """Difference by seed; empty without a comparison."""
        return tuple(100 * float(value) for value in self.comparison.by_seed) if self.comparison else ()

    @property
    def mean_and_sd(self) -> tuple[float, float]:
        """Mean over the seeds and sample standard deviation (nan with one); both nan without a comparison."""
        return mean_and_spread(self.points) if self.points else (math.nan, math.nan)

    @property
    def faces(self) -> int:
        """Faces compared."""
        return self.comparison.faces if self.comparison else 0

    @property
    def interval(self) -> tuple[float, float]:
        """What the true difference may be, over faces and seeds; with one seed over faces only; nan without a comparison."""
        return _points(self.comparison.estimate.interval(self.level)) if self.comparison else (math.nan, math.nan)

    @property
    def bootstrap(self) -> tuple[float, float]:
        """Percentile interval of a paired bootstrap over faces and seeds; nan without a comparison."""
        return _points(self.comparison.bootstrap(self.level)) if self.comparison else (math.nan, math.nan)

    @property
    def over_seeds(self) -> tuple[float, float]:
        """Student's paired interval over seeds, on these very faces; nan with fewer than two."""
        return _points(self.comparison.over_seeds(self.level)) if self.comparison else (math.nan, math.nan)

    @property
    def p(self) -> float | None:
        """Two-sided p of no difference, over faces and seeds; with one seed McNemar's; None without a comparison."""
        return self.comparison.p if self.comparison else None

    @property
    def adjusted(self) -> float | None:
        """The same, corrected for the comparisons it was looked at with (Holm)."""
        return self.judged.p if self.judged else None

    @property
    def among(self) -> int:
        """Comparisons that p is corrected for; 0 without a comparison."""
        return self.judged.among if self.judged else 0

    @property
    def only_better(self) -> int:
        """Faces that the first alone has right, at the first common seed."""
        return self.comparison.only_one[0] if self.comparison else 0

    @property
    def only_worse(self) -> int:
        """Faces that the second alone has right, at the first common seed."""
        return self.comparison.only_one[1] if self.comparison else 0

    @property
    def p_mcnemar(self) -> float | None:
        """McNemar's exact p at the first common seed; None without a comparison."""
        return mcnemar_exact(self.only_better, self.only_worse) if self.comparison else None

    @property
    def networks_differ(self) -> bool:
        """Whether these very networks differ beyond the chance of the faces (corrected), whatever another seed would give."""
        return self.judged is not None and self.judged.p_faces < 1 - self.level

    @property
    def verdict(self) -> str:
        """``shown``, ``not shown`` or ``cannot be told``; else why there is none."""
        if self.judged is None:
            return self.reason
        return "no verdict on a part of the split" if self.part else self.judged.word

    @property
    def rests_on(self) -> str:
        """What p knows of, to stand beside a verdict; empty without one."""
        if self.judged is None:
            return ""
        return "images and seeds" if len(self.seeds) > 1 else ONE_SEED

    @property
    def equivalence(self) -> str:
        """What can be said of the size, where something can: the reverse, within the margin, or better by less than it."""
        if self.judged is None or self.part:
            return ""
        if self.judged.reverse:
            less = f", by less than {self.margin:g} points" if self.judged.within else ""
            return f"{self.worse} is the better one{less}"
        if self.judged.within:
            return f"the two are within {self.margin:g} points"
        return f"better by less than {self.margin:g} points, if at all" if self.judged.word == NOT_SHOWN else ""

    @property
    def needed(self) -> str:
        """What would tell, where it cannot be told; else empty."""
        if self.comparison is None or self.judged is None or self.part or self.judged.word != CANNOT_BE_TOLD:
            return ""
        return needed(self.comparison, (1 - self.level) / self.among, self.margin)

    @property
    def details(self) -> str:
        """What stands below a table of findings: why there is no verdict, of what size it is, or what would tell; or empty."""
        without = self.verdict if self.judged is None or self.part else ""
        return without or self.equivalence or self.needed


def _points(interval: tuple[float, float]) -> tuple[float, float]:
    return 100 * interval[0], 100 * interval[1]


def needed(of: Comparison, alpha: float, margin: float) -> str:
    """How many seeds or faces would tell, in words.

    So many that the difference seen, or the margin where that is larger, shows with a chance of 80 %.

    Args:
        of: the comparison that does not tell.
        alpha: level of the test, corrected.
        margin: points that count.
    """
    if of.seeds == 1 or of.faces < 2:
        return "more seeds would tell: three at least" if of.faces > 1 else "more faces would tell"
    difference = max(abs(of.estimate.mean), margin / 100)
    vary, at = variances(of), f"{100 * difference:.1f} points"
    if vary.shows(difference, of.seeds, of.faces, alpha):
        return f"{at} would have shown; less needs more faces or seeds"
    seeds, faces = vary.seeds_for(difference, of.faces, alpha), vary.faces_for(difference, of.seeds, alpha)
    ways = [f"{seeds} seeds"] if seeds else []
    ways += [f"{_about(faces)} faces"] if faces else []
    for more in (2, 4, 8, 16, 32):
        if not ways and (faces := vary.faces_for(difference, of.seeds * more, alpha)):
            ways = [f"{of.seeds * more} seeds with {_about(faces)} faces"]
    return f"about {' or '.join(ways)} would tell ({at})" if ways else f"no number of faces and seeds would tell ({at})"


def _about(number: int) -> str:
    """A number to two digits.

    >>> _about(1874), _about(87)
    ('1,900', '87')
    """
    digits = max(0, len(str(number)) - 2)
    return f"{round(number, -digits):,}"

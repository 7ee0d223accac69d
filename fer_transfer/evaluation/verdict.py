"""What several comparisons of rows show, by stated rules, and how many seeds or faces would tell.

Rules, at a level of 95 % and a margin of 3 points (both are settings):

- *shown*: no difference is ruled out (two-sided p, Holm's correction over the comparisons, below 5 %), and the first is better.
- *not shown*: that the first is better by the margin or more is ruled out (one-sided p, corrected likewise), or the reverse is
  shown.
- *cannot be told*: neither. Always so with one seed, which says nothing of another.
- *within the margin*: a difference of the margin or more is ruled out to either side (two one-sided tests, corrected likewise).

With no true difference at most 5 % of sets of comparisons show anything, seeds included (``tests/false_claims.py``).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from fer_transfer.evaluation.comparison import Comparison, Estimate, quantile
from fer_transfer.evaluation.statistics import holm

SHOWN, NOT_SHOWN, CANNOT_BE_TOLD = "shown", "not shown", "cannot be told"

#: A difference is said to need so many seeds or faces that it shows with this chance.
POWER = 0.8

#: No more seeds or faces than this are advised.
MOST_SEEDS, MOST_FACES = 100, 1_000_000


@dataclass(frozen=True)
class Verdict:
    """What one of several comparisons says.

    Attributes:
        word: ``shown``, ``not shown`` or ``cannot be told``.
        p: two-sided p of no difference, corrected; with one seed of the faces alone.
        among: comparisons that p is corrected for: those over several seeds, or all where there is one seed.
        p_faces: of the faces alone, corrected: small where these very networks differ, whatever another seed would give.
        reverse: whether the second is shown to be the better one.
        within: whether a difference of the margin or more is ruled out to either side.
    """

    word: str
    p: float
    among: int
    p_faces: float
    reverse: bool
    within: bool


def verdicts(comparisons: Sequence[Comparison], level: float, margin: float) -> tuple[Verdict, ...]:
    """Judge comparisons that are looked at together.

    Args:
        comparisons: of each the first row should be the better one.
        level: 0..1; 1 - level is how often one of them may falsely show.
        margin: a difference that counts, in 0..1.
    """
    seeded = [index for index, of in enumerate(comparisons) if of.seeds > 1]

    def corrected(p: Callable[[Comparison], float]) -> dict[int, float]:
        return dict(zip(seeded, holm([p(comparisons[index]) for index in seeded]), strict=True))

    of_faces = holm([of.p_faces for of in comparisons])
    of_both = corrected(lambda of: of.p)
    better = corrected(lambda of: of.estimate.at_least(margin))
    either = corrected(lambda of: max(of.estimate.at_least(margin), of.estimate.at_most(-margin)))

    def judged(index: int, of: Comparison) -> Verdict:
        if of.seeds == 1:
            return Verdict(CANNOT_BE_TOLD, of_faces[index], len(comparisons), of_faces[index], False, False)
        differs, alpha = of_both[index] < 1 - level, 1 - level
        reverse = differs and of.estimate.mean < 0
        excluded = reverse or better[index] < alpha
        word = SHOWN if differs and not reverse else NOT_SHOWN if excluded else CANNOT_BE_TOLD
        return Verdict(word, of_both[index], len(seeded), of_faces[index], reverse, either[index] < alpha)

    return tuple(judged(index, of) for index, of in enumerate(comparisons))


@dataclass(frozen=True)
class Variances:
    """Where the differences of two rows vary, as a two-way analysis of variance has it.

    Attributes:
        seeds: between seeds, all faces alike.
        faces: between faces, all seeds alike.
        rest: of one face at one seed.
    """

    seeds: float
    faces: float
    rest: float

    def shows(self, difference: float, seeds: int, faces: int, alpha: float) -> bool:
        """Whether a true difference shows at two-sided level alpha with a chance of ``POWER``, about."""
        of_faces = math.sqrt((self.faces + self.rest / seeds) / faces + 1 / (faces + 2) ** 2)
        of_seeds = math.sqrt((self.seeds + self.rest / faces) / seeds)
        needed = quantile(Estimate(0.0, of_faces, of_seeds, seeds - 1).at_most, alpha / 2)
        spread = math.sqrt(self.seeds / seeds + self.faces / faces + self.rest / (seeds * faces))
        return difference >= needed + NormalDist().inv_cdf(POWER) * spread

    def seeds_for(self, difference: float, faces: int, alpha: float) -> int | None:
        """Seeds from which on a difference shows on so many faces; None if ``MOST_SEEDS`` do not do."""
        return _least(lambda seeds: self.shows(difference, seeds, faces, alpha), 2, MOST_SEEDS)

    def faces_for(self, difference: float, seeds: int, alpha: float) -> int | None:
        """Faces from which on a difference shows with so many seeds; None if ``MOST_FACES`` do not do."""
        return _least(lambda faces: self.shows(difference, seeds, faces, alpha), 2, MOST_FACES)


def variances(of: Comparison) -> Variances:
    """Components of variance of a comparison over at least two seeds and two faces; none is below 0."""
    seeds, faces, values = of.seeds, of.faces, of.by_face.astype(float)
    of_face, of_seed, mean = values.mean(axis=0), values.mean(axis=1), values.mean()
    rest = float(((values - of_face - of_seed[:, None] + mean) ** 2).sum()) / ((seeds - 1) * (faces - 1))
    between_seeds = float(of_seed.var(ddof=1)) - rest / faces
    between_faces = float(of_face.var(ddof=1)) - rest / seeds
    return Variances(max(0.0, between_seeds), max(0.0, between_faces), rest)


def _least(enough: Callable[[int], bool], low: int, high: int) -> int | None:
    """The least number in low..high that is enough, where every larger one is too."""
    if not enough(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low

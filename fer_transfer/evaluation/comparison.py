"""Two rows on the same faces: how sure their difference is, over faces and over seeds.

A difference is right (1) or wrong (0) of the one row less that of the other, [seeds, faces] in -1, 0, 1. Both the faces and the
seeds are samples: another collection would have held other faces, and another seed would have given other networks.

SciPy is imported where a distribution is asked for: ``--help`` does not wait for it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.statistics import mcnemar_exact

#: Draws of the bootstrap, and the seed of its generator: the same faces give the same interval.
DRAWS, GENERATOR = 2000, 0


@dataclass(frozen=True, eq=False)
class Comparison:
    """Differences of two rows on the same faces.

    Attributes:
        by_face: int8 [seeds, n]: 1 where the first alone is right, -1 where the second alone is; n is at least 1.
    """

    by_face: NDArray[np.int8]

    @property
    def seeds(self) -> int:
        """Seeds compared."""
        return len(self.by_face)

    @property
    def faces(self) -> int:
        """Faces compared."""
        return int(self.by_face.shape[1])

    @property
    def by_seed(self) -> NDArray[np.float64]:
        """Accuracy of the first less that of the second, float64 [seeds], -1..1."""
        means: NDArray[np.float64] = self.by_face.mean(axis=1)
        return means

    @property
    def only_one(self) -> tuple[int, int]:
        """Faces that the first alone, and the second alone, has right at the first seed."""
        return int((self.by_face[0] > 0).sum()), int((self.by_face[0] < 0).sum())

    @cached_property
    def estimate(self) -> "Estimate":
        """The mean difference with what it may be off by."""
        return estimated(self.by_face)

    @cached_property
    def p_faces(self) -> float:
        """Two-sided p of these very networks: only the faces are a sample. With one seed it is McNemar's exact test.

        The exact test of exchanging the two rows face by face, for all seeds at once (Fisher's sign flips).
        """
        return sign_flips(self.by_face.sum(axis=0, dtype=np.int64))

    @cached_property
    def p(self) -> float:
        """Two-sided p of no difference. From two seeds on it knows faces and seeds, with one faces only.

        Never below that of the faces alone, which is exact where faces are few.
        """
        return self.p_faces if self.seeds == 1 else max(self.p_faces, self.estimate.p)

    def bootstrap(self, level: float) -> tuple[float, float]:
        """Interval of the mean difference by a paired bootstrap over faces and seeds (percentiles of ``DRAWS`` draws).

        Faces and seeds are drawn with replacement, independently (Owen 2007). Three seeds have but ten distinct draws, so with
        few seeds it is too short: verdicts rest on ``Estimate`` instead.
        """
        return bootstrap_interval(self.by_face, level)

    def over_seeds(self, level: float) -> tuple[float, float]:
        """Student's paired interval of the mean difference over seeds, on these very faces; nan with one seed."""
        from scipy.special import stdtrit  # scipy.stats has it too, after half a second of imports

        if self.seeds == 1:
            return math.nan, math.nan
        half = float(stdtrit(self.seeds - 1, (1 + level) / 2) * self.by_seed.std(ddof=1)) / math.sqrt(self.seeds)
        mean = float(self.by_seed.mean())
        return mean - half, mean + half


def compare(a: Sequence[Predictions], b: Sequence[Predictions]) -> Comparison:
    """Compare two rows face by face; the order of the faces may differ.

    Args:
        a: predictions of the first row, one a seed.
        b: of the second, for the same seeds in the same order.

    Raises:
        StoreError: if they are not all predictions of the same labelled faces.
    """
    first = a[0]
    order = np.argsort(first.ids)
    ids, labels = first.ids[order], first.labels[order]
    right = [[_right(of, ids, labels) for of in row] for row in (a, b)]
    return Comparison(np.stack(right[0]) - np.stack(right[1]))


def _right(of: Predictions, ids: NDArray[np.str_], labels: NDArray[np.int8]) -> NDArray[np.int8]:
    """Right (1) or wrong (0) by ascending id."""
    order = np.argsort(of.ids)
    same = len(of) == len(ids) and bool((of.ids[order] == ids).all())
    if not (same and len(ids) and of.labelled and bool((of.labels[order] == labels).all())):
        raise StoreError(
            f"Expected predictions of the same labelled faces, but got {len(ids)} and {len(of)} faces that differ in "
            "ids or labels. Compare rows that were made from the same faces."
        )
    right: NDArray[np.int8] = (of.predicted == of.labels)[order].astype(np.int8)
    return right


@dataclass(frozen=True)
class Estimate:
    """A mean difference, and the two errors that it may be off by.

    What the true difference may be is the mean plus a normal error over faces plus a Student's t error over seeds (the
    Behrens-Fisher distribution): few seeds have the heavy tails of their few degrees of freedom, whatever the faces say.
    Satterthwaite's single t lets through up to 10 % of false claims with three seeds (``tests/false_claims.py``).

    Attributes:
        mean: -1..1.
        of_faces: standard error over faces (of the mean over seeds), above 0.
        of_seeds: standard error over seeds (of the mean over faces); 0 with one seed, which says nothing of another.
        freedom: degrees of freedom of the latter, seeds - 1.
    """

    mean: float
    of_faces: float
    of_seeds: float
    freedom: int

    @property
    def p(self) -> float:
        """Two-sided p of no difference.

        >>> round(Estimate(0.05, 0.02, 0.02, 2).p, 3)
        0.18
        """
        return min(1.0, 2 * min(self.at_least(0.0), self.at_most(0.0)))

    def at_least(self, bound: float) -> float:
        """One-sided p of a true difference of at least the bound: small where that is ruled out."""
        return self._below(self.mean - bound)

    def at_most(self, bound: float) -> float:
        """One-sided p of a true difference of at most the bound."""
        return self._below(bound - self.mean)

    def interval(self, level: float) -> tuple[float, float]:
        """What the true difference may be, within -1..1."""
        half = quantile(self._below, (1 - level) / 2)
        return max(-1.0, self.mean - half), min(1.0, self.mean + half)

    def _below(self, distance: float) -> float:
        """Chance of an error of at most this."""
        from scipy.special import ndtr, stdtr

        if self.of_seeds < 1e-9 * self.of_faces:
            return float(ndtr(distance / self.of_faces))
        if self.of_seeds < self.of_faces:  # sum over the narrower error, of the wider one's smooth distribution
            nodes, weights = _student_nodes(self.freedom)
            return float(weights @ ndtr((distance - self.of_seeds * nodes) / self.of_faces))
        nodes, weights = _normal_nodes()
        return float(weights @ stdtr(self.freedom, (distance - self.of_faces * nodes) / self.of_seeds))


def quantile(below: Callable[[float], float], share: float) -> float:
    """How far from 0 a symmetric error is with this chance on one side.

    >>> from statistics import NormalDist
    >>> round(quantile(NormalDist().cdf, 0.025), 3)
    1.96
    """
    from scipy.optimize import brentq

    far = 1e-3
    while below(-far) > share and far < 1e6:
        far *= 2
    return float(brentq(lambda x: below(-x) - share, 0.0, far, xtol=1e-9)) if far < 1e6 else far


@lru_cache
def _normal_nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    return nodes, weights / weights.sum()


@lru_cache
def _legendre_nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The eigenvalues of a large matrix: found once."""
    nodes, weights = np.polynomial.legendre.leggauss(400)
    return nodes, weights


@lru_cache
def _student_nodes(freedom: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Student's t on nodes of Gauss and Legendre over its arc tangent, which reach far into the tails."""
    angle, weights = _legendre_nodes()
    nodes = np.tan(angle * np.pi / 2)
    weights = weights * (1 + nodes**2 / freedom) ** (-(freedom + 1) / 2) * (1 + nodes**2)  # the density, to a factor
    return nodes, weights / weights.sum()


def estimated(differences: NDArray[np.integer]) -> Estimate:
    """Mean and standard errors of differences.

    The error over faces is that of Agresti and Min (2005), with half a face in each cell of the two-by-two table: it is
    never 0. What is left of a face at a seed (neither its own nor the seed's) counts in both errors: the careful side.

    Args:
        differences: [seeds, n] in -1, 0, 1.
    """
    seeds, faces = differences.shape
    of_face, of_seed = differences.mean(axis=0), differences.mean(axis=1)
    second, first = (float((of_face**2).sum()) + 1) / (faces + 2), float(of_face.sum()) / (faces + 2)
    return Estimate(
        float(of_seed.mean()),
        math.sqrt((second - first**2) / (faces + 2)),
        float(of_seed.std(ddof=1)) / math.sqrt(seeds) if seeds > 1 else 0.0,
        seeds - 1,
    )


def sign_flips(sums: NDArray[np.int64]) -> float:
    """Two-sided p of a sum of integers whose signs are as likely to be the other way round, each on its own; exact.

    Args:
        sums: [n], of each face its differences summed over the seeds.

    >>> sign_flips(np.array([1, 1, 1, 1, -1])), round(sign_flips(np.array([2, 3, 1])), 9)
    (0.375, 0.25)
    """
    sizes, counts = np.unique(np.abs(sums), return_counts=True)
    if sizes.max(initial=0) <= 1:
        return mcnemar_exact(int((sums > 0).sum()), int((sums < 0).sum()))
    from scipy.special import gammaln

    chances, lowest = np.ones(1), 0  # of the sum of those that stay above 0, and the least that is kept
    for size, count in zip(sizes[sizes > 0], counts[sizes > 0], strict=True):
        above = np.arange(count + 1)
        of_above = np.exp(gammaln(count + 1) - gammaln(above + 1) - gammaln(count - above + 1) - count * np.log(2))
        above, of_above = above[of_above > 1e-40], of_above[of_above > 1e-40]
        spaced = np.zeros(size * (len(above) - 1) + 1)
        spaced[::size] = of_above
        chances, lowest = np.convolve(chances, spaced), lowest + size * int(above[0])
    values = 2 * (lowest + np.arange(len(chances))) - int(np.abs(sums).sum())
    return float(min(1.0, chances[np.abs(values) >= abs(int(sums.sum()))].sum()))


def bootstrap_interval(differences: NDArray[np.integer], level: float) -> tuple[float, float]:
    """Percentile interval of the mean difference over ``DRAWS`` draws of faces and of seeds.

    >>> bootstrap_interval(np.array([[1, 1, 0, -1] * 25]), 0.95)
    (0.09, 0.41)
    """
    seeds, faces = differences.shape
    sums = _drawn(faces) @ differences.T.astype(np.float32)  # [draws, seeds], whole numbers; floats have a fast product
    drawn_seeds = _drawn(seeds)[::-1]  # the other way round: not those of as many faces
    means = (sums * drawn_seeds).sum(axis=1, dtype=np.float64) / (seeds * faces)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@lru_cache(maxsize=4)
def _drawn(count: int) -> NDArray[np.float32]:
    """How often each of so many is drawn, with replacement, float32 [draws, count]; the same for every comparison."""
    random = np.random.default_rng([GENERATOR, count])
    drawn = [np.bincount(random.integers(0, count, count), minlength=count) for _ in range(DRAWS)]
    return np.stack(drawn).astype(np.float32)

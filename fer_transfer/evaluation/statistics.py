"""How sure a number is: intervals for one row, spread over seeds, and a paired test of two rows.

SciPy is imported where a distribution is asked for: ``--help`` does not wait for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.predictions import Predictions


def wilson_interval(k: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (Wilson 1927) of a share k / n, without continuity correction.

    Args:
        k: successes, 0..n; a mean over repeats need not be whole.
        n: trials. With none nothing is known, and the interval is (0, 1).
        level: confidence, above 0 and below 1.

    Returns:
        Low and high, in 0..1.

    Raises:
        ValueError: if k is outside 0..n or the level outside (0, 1).

    >>> [round(100 * end, 1) for end in wilson_interval(208, 429)]
    [43.8, 53.2]
    """
    if not 0 <= k <= n:
        raise ValueError(f"Expected 0 <= k <= n, but got k = {k}, n = {n}.")
    if not 0 < level < 1:
        raise ValueError(f"Expected a level between 0 and 1, but got {level}.")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (k + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    # At the ends the bound is exact; rounding would leave 1e-17 there.
    return (0.0 if k == 0 else max(0.0, centre - half)), (1.0 if k == n else min(1.0, centre + half))


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1); the latter is nan for a single value.

    Raises:
        ValueError: if there are no values.

    >>> mean_and_spread([1.0, 3.0])
    (2.0, 1.4142135623730951)
    """
    if not values:
        raise ValueError("Expected at least one value, but got none.")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, math.nan
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided p of McNemar's exact test: a binomial test of the faces that only one of two rows has right.

    Args:
        only_a: faces that a has right and b wrong.
        only_b: the reverse.

    Raises:
        ValueError: if a count is negative.

    >>> mcnemar_exact(10, 2)
    0.03857421875
    """
    if min(only_a, only_b) < 0:
        raise ValueError(f"Expected counts, but got {only_a} and {only_b}.")
    n = only_a + only_b
    tail = sum(math.comb(n, i) for i in range(min(only_a, only_b) + 1))
    return float(min(1.0, 2 * tail / 2**n))  # integers: exact however large, rounded once


def paired_over_seeds(differences: NDArray[np.floating]) -> tuple[float, float]:
    """Mean difference of two rows over seeds and faces, and a two-sided p that knows both.

    Both are samples: of the runs that another seed would have given, and of the faces that another collection would have
    held. The variance of the mean is that over faces (of the mean over seeds) plus that over seeds (of the mean over faces),
    which counts the rest twice and so errs to the careful side; degrees of freedom by Satterthwaite (1946).

    Args:
        differences: float [seeds, faces]: right (1) or wrong (0) of the one row less that of the other. At least two of each.

    Returns:
        The mean, and p of Student's t.

    Raises:
        ValueError: with fewer than two seeds or faces.

    >>> mean, p = paired_over_seeds(np.array([[1.0, 0, 1, 0], [1, 0, 1, 0], [1, 0, 0, 0]]))
    >>> round(mean, 3), round(p, 2)
    (0.417, 0.2)
    """
    seeds, faces = differences.shape
    if min(seeds, faces) < 2:
        raise ValueError(f"Expected at least two seeds and two faces, but got {seeds} and {faces}.")
    from scipy.stats import t

    mean = float(differences.mean())
    over_faces = float(differences.mean(axis=0).var(ddof=1)) / faces
    over_seeds = float(differences.mean(axis=1).var(ddof=1)) / seeds
    variance = over_faces + over_seeds
    if variance == 0:
        return mean, 1.0 if mean == 0 else 0.0
    freedom = variance**2 / (over_faces**2 / (faces - 1) + over_seeds**2 / (seeds - 1))
    return mean, float(2 * t.sf(abs(mean) / math.sqrt(variance), freedom))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two rows on the same faces.

    Attributes:
        by_face: int8 [n]: 1 where the first alone is right, -1 where the second alone is, in the order of the ids.
        only_a: faces that the first alone has right.
        only_b: faces that the second alone has right.
        n: faces compared.
        p: McNemar's exact two-sided p.
    """

    by_face: NDArray[np.int8]
    only_a: int
    only_b: int
    n: int
    p: float

    @property
    def difference(self) -> float:
        """Accuracy of the first minus that of the second, -1..1."""
        return (self.only_a - self.only_b) / self.n if self.n else math.nan


def compare(a: Predictions, b: Predictions) -> Comparison:
    """Compare two rows face by face; the order of the faces may differ.

    Raises:
        StoreError: if they are not predictions of the same labelled faces.
    """
    order_a, order_b = np.argsort(a.ids), np.argsort(b.ids)
    same = len(a) == len(b) and bool((a.ids[order_a] == b.ids[order_b]).all())
    if not (same and a.labelled and b.labelled and bool((a.labels[order_a] == b.labels[order_b]).all())):
        raise StoreError(
            f"Expected predictions of the same labelled faces, but got {len(a)} and {len(b)} faces that differ in "
            "ids or labels. Compare rows that were made from the same faces."
        )
    right_a = (a.predicted == a.labels)[order_a]
    right_b = (b.predicted == b.labels)[order_b]
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    by_face = right_a.astype(np.int8) - right_b.astype(np.int8)
    return Comparison(by_face, only_a, only_b, len(a), mcnemar_exact(only_a, only_b))

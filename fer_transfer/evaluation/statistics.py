"""How sure a number is: intervals for one row, spread over seeds, an exact paired test, and a correction for several tests."""

import math
from collections.abc import Sequence
from statistics import NormalDist


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


def holm(ps: Sequence[float]) -> tuple[float, ...]:
    """Correct p values for being several (Holm 1979): the chance that any is falsely below a level is at most that level.

    It holds however the tests depend on each other.

    Args:
        ps: two-sided or one-sided, 0..1, in any order.

    Returns:
        The corrected ones, in the same order, each at least as large.

    >>> holm([0.01, 0.5, 0.02])
    (0.03, 0.5, 0.04)
    """
    corrected, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = largest
    return tuple(corrected)

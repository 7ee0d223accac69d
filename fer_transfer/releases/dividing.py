"""Splits of a release that has none, by a stated rule: a subject stands in one, and every class has its share in each.

Subjects come largest first, those of one size in an order that the seed gives; each goes where it brings the numbers of every
class nearest to its shares, a rare class weighing as much as a frequent one. Pictures of no known subject, or of one that has no
other, then fill up what each class lacks where, in an order that the seed gives too.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def divide(labels: Sequence[int], subjects: Iterable[str], shares: Mapping[str, float], seed: int) -> list[str]:
    """The split of each picture.

    Args:
        labels: of N pictures, any numbers; -1 is a class like the others.
        subjects: of the same pictures; empty where none is known.
        shares: of each split, above 0 and 1 in all.
        seed: decides what the shares leave open.

    >>> divide([0, 0, 0, 0], ["ann", "ann", "bob", "bob"], {"a": 0.5, "b": 0.5}, seed=0)
    ['b', 'b', 'a', 'a']
    """
    random = np.random.RandomState(seed)  # of all numpy's generators this one never changes
    label = np.unique(np.array(labels), return_inverse=True)[1].reshape(-1)
    group, several = _groups(subjects)
    counts = np.bincount(label)
    missing = np.outer(list(shares.values()), counts)
    split = np.full(len(label), -1)
    _place_groups(split, group, several, label, missing, random)
    for number in range(len(counts)):
        single = random.permutation(np.flatnonzero((label == number) & (split < 0)))
        split[single] = np.repeat(np.arange(len(shares)), _whole(missing[:, number], len(single)))
    names = list(shares)
    return [names[number] for number in split.tolist()]


def _groups(subjects: Iterable[str]) -> tuple[Numbers, Numbers]:
    """int64 [N]: the group of each picture; and, of the groups, those with several pictures. Subjects are in their order."""
    met: dict[str, int] = {}
    first = np.fromiter((met.setdefault(subject, len(met)) if subject else -1 for subject in subjects), np.int64)
    place = np.empty(len(met), np.int64)
    place[[met[subject] for subject in sorted(met)]] = np.arange(len(met))
    alone = first < 0
    group = np.empty_like(first)
    group[~alone] = place[first[~alone]]
    group[alone] = len(met) + np.arange(alone.sum())
    return group, np.flatnonzero(np.bincount(group) > 1)


def _place_groups(
    split: Numbers, group: Numbers, several: Numbers, label: Numbers, missing: NDArray[np.float64],
    random: np.random.RandomState,
) -> None:  # fmt: skip
    """Place every group of several pictures, and take what it holds from what is missing, float64 [splits, classes]."""
    rows = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[rows], np.arange(group.max(initial=-1) + 2))
    order = random.permutation(several)
    sizes = starts[order + 1] - starts[order]
    weight = 1 / np.bincount(label)
    for number in order[np.argsort(-sizes, kind="stable")].tolist():
        of_group = rows[starts[number] : starts[number + 1]]
        held = np.bincount(label[of_group], minlength=missing.shape[1])
        nearest = int(np.argmin((held * (held - 2 * missing) * weight).sum(axis=1)))
        split[of_group] = nearest
        missing[nearest] -= held


def _whole(missing: NDArray[np.float64], count: int) -> Numbers:
    """``count`` pictures as whole numbers a split, in proportion to what each lacks."""
    lack: NDArray[np.float64] = np.maximum(missing, 0)
    exact = count * (lack / lack.sum() if lack.any() else np.full(len(lack), 1 / len(lack)))
    whole: Numbers = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: count - int(whole.sum())]] += 1
    return whole

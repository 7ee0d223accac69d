"""How often a study's claims falsely show: six plans and seven claims a network, as the paper's, predictions drawn from a model.

::

    python tests/false_claims.py --studies 1000

A face is right where the sum of normal variables is above 0: one of the face (shared by all plans), one of the face and the
plan, one of the seed, and the rest. Plans that do not differ have the same chance; what a seed adds moves all faces of a row at
once. ``spread`` is its standard deviation in points of accuracy. Several networks share the faces and nothing else, and the
claims of all are judged together. Every study is judged by ``verdicts``, as reports are.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from fer_transfer.evaluation.comparison import Comparison
from fer_transfer.evaluation.statistics import holm, wilson_interval
from fer_transfer.evaluation.verdict import NOT_SHOWN, SHOWN, verdicts

#: Better and worse of each claim, as numbers of plans: of two that follow each other through 3, 4, 5 against 0, 1, 2.
CLAIMS = ((3, 0), (4, 0), (5, 0), (3, 1), (4, 1), (4, 2), (5, 2))

#: Shares of the variance of one answer: the face itself, and the face with the plan.
OF_FACE, OF_PLAN = 0.6, 0.1

LEVEL, MARGIN = 0.95, 0.03

#: How seeds vary: normal; now and then far off (Student's t, 3 degrees of freedom); one run in ten fails.
SEEDS = ("normal", "heavy tails", "failures")


def studies(
    number: int,
    seeds: int,
    faces: int,
    spread: float,
    better: float = 0.0,
    vary: str = "normal",
    seed: int = 0,
    networks: int = 1,
) -> Iterator[list[Comparison]]:
    """The comparisons of the claims of so many studies.

    Args:
        number: studies.
        seeds, faces: of each row.
        spread: points of accuracy that a seed adds, standard deviation, as a share of 1.
        better: true difference of each claim, likewise: plans 3, 4, 5 have it over 0, 1, 2.
        vary: one of ``SEEDS``.
        seed: of the generator.
        networks: each with all plans and claims.
    """
    random = np.random.default_rng(seed)
    at_half = stats.norm.pdf(0)  # points of accuracy for a unit, where half of the faces are right
    plans = 6 * networks
    lift = np.where(np.arange(plans) % 6 >= 3, 0.5, -0.5) * better / at_half
    claims = [(a + first, b + first) for first in range(0, plans, 6) for a, b in CLAIMS]
    for _ in range(number):
        of_seed = _of_seeds(random, vary, (plans, seeds, 1)) * spread / at_half
        level = lift[:, None, None] * np.sqrt(1 + (spread / at_half) ** 2) + of_seed
        own = np.sqrt(OF_FACE) * random.standard_normal((1, 1, faces))
        with_plan = np.sqrt(OF_PLAN) * random.standard_normal((plans, 1, faces))
        rest = np.sqrt(1 - OF_FACE - OF_PLAN) * random.standard_normal((plans, seeds, faces))
        right = (level + own + with_plan + rest > 0).astype(np.int8)
        yield [Comparison(right[a] - right[b]) for a, b in claims]


def _of_seeds(random: np.random.Generator, vary: str, shape: tuple[int, ...]) -> np.ndarray:
    """Of standard deviation 1."""
    if vary == "heavy tails":
        return random.standard_t(3, shape) / np.sqrt(3)
    if vary == "failures":
        return -np.where(random.random(shape) < 0.1, 1, 0) / 0.3
    return random.standard_normal(shape)


def shares(drawn: Sequence[list[Comparison]]) -> dict[str, float]:
    """Shares of studies in which a claim or its reverse shows, a claim is not shown, or is said to be within the margin."""
    judged = [verdicts(comparisons, LEVEL, MARGIN) for comparisons in drawn]
    return {
        "shown": float(np.mean([any(v.word == SHOWN or v.reverse for v in of) for of in judged])),
        "not shown": float(np.mean([any(v.word == NOT_SHOWN for v in of) for of in judged])),
        "within": float(np.mean([any(v.within for v in of) for of in judged])),
        "one shown": float(np.mean([v.word == SHOWN or v.reverse for of in judged for v in of])),
    }


def by_other_rules(drawn: Sequence[list[Comparison]]) -> dict[str, float]:
    """The same share of "shown" by what one might take instead, each with Holm's correction."""
    return {
        "McNemar": _any_below(drawn, lambda of: Comparison(of.by_face[:1]).p_faces),
        "faces": _any_below(drawn, lambda of: of.p_faces),
        "Satterthwaite": _any_below(drawn, satterthwaite),
        "paired t": _any_below(drawn, paired_t),
    }


def _any_below(drawn: Sequence[list[Comparison]], p) -> float:
    return float(np.mean([min(holm([p(of) for of in comparisons])) < 1 - LEVEL for comparisons in drawn]))


def satterthwaite(of: Comparison) -> float:
    """Student's t with both variances in one, degrees of freedom by Satterthwaite (1946)."""
    if of.seeds == 1:
        return of.p_faces
    estimate = of.estimate
    faces, seeds = estimate.of_faces**2, estimate.of_seeds**2
    freedom = (faces + seeds) ** 2 / (faces**2 / (of.faces - 1) + seeds**2 / (of.seeds - 1))
    return float(2 * stats.t.sf(abs(estimate.mean) / np.sqrt(faces + seeds), freedom))


def paired_t(of: Comparison) -> float:
    """Student's paired t over seeds, as if there were no other faces."""
    if of.seeds == 1 or np.ptp(of.by_seed) == 0:
        return 1.0
    return float(2 * stats.t.sf(abs(of.estimate.mean) / of.estimate.of_seeds, of.seeds - 1))


def coverage(drawn: Sequence[list[Comparison]], truth: float) -> tuple[float, float]:
    """Shares of intervals, ours and the bootstrap's, of the first claim that hold the true difference."""
    ends = [(of.estimate.interval(LEVEL), of.bootstrap(LEVEL)) for of, *_ in drawn]
    ours, bootstrap = np.mean([[low <= truth <= high for low, high in of] for of in ends], axis=0)
    return float(ours), float(bootstrap)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--studies",
        type=int,
        default=1000,
        help="of each line; of those with 3589 faces, and of the intervals, a fifth",
    )
    number = parser.parse_args().studies
    over = _without_difference(number) + _with_the_margin(number)
    print(f"\nLines above 5 % by more than the chance of so many studies: {over}")
    raise SystemExit(over > 0)


def _is_over(share: float, number: int) -> bool:
    """Whether a share is above what the level allows by more than chance."""
    return wilson_interval(round(share * number), number)[0] > 1 - LEVEL


def _without_difference(number: int) -> int:
    print("No true difference. Percent of studies in which a claim or its reverse shows; of single claims that do;")
    print("the first by other rules (Holm); percent of intervals that hold 0.\n")
    print(
        "networks seeds faces spread               shown  single | McNemar   faces  Satterth. paired t | interval bootstrap"
    )
    over = 0
    for networks, vary, seeds, faces, spread in _lines():
        drawn = list(studies(_fewer(number, faces), seeds, faces, spread, vary=vary, networks=networks))
        ours, others = shares(drawn), by_other_rules(drawn)
        held = coverage(drawn[: number // 5], 0.0) if faces == 429 else ()
        over += _is_over(ours["shown"], len(drawn))
        cells = (f"{100 * value:8.1f}" for value in (ours["shown"], ours["one shown"], *others.values(), *held))
        print(f"{networks:8} {seeds:5} {faces:5} {100 * spread:6.1f} {vary:11} {' '.join(cells)}", flush=True)
    return over


def _with_the_margin(number: int) -> int:
    print(
        f"\nEach claim truly better by the margin ({100 * MARGIN:g} points). Percent of studies in which one is said to be:\n"
    )
    print("seeds faces spread   not shown   within the margin")
    over = 0
    for seeds, faces, spread in ((2, 429, 0.025), (3, 429, 0.0), (3, 429, 0.025), (3, 3589, 0.01), (5, 3589, 0.01)):
        found = shares(list(studies(_fewer(number, faces), seeds, faces, spread, better=MARGIN)))
        over += _is_over(max(found["not shown"], found["within"]), _fewer(number, faces))
        cells = f"{100 * found['not shown']:11.1f} {100 * found['within']:11.1f}"
        print(f"{seeds:5} {faces:5} {100 * spread:6.1f} {cells}", flush=True)
    return over


def _fewer(number: int, faces: int) -> int:
    """A fifth of the studies where they are large."""
    return number if faces < 1000 else max(1, number // 5)


def _lines() -> Iterator[tuple[int, str, int, int, float]]:
    for seeds in (1, 2, 3, 5, 10):
        for spread in (0.0, 0.01, 0.025, 0.035):
            yield 1, "normal", seeds, 429, spread
    for seeds in (2, 3):
        for faces, spread in ((30, 0.0), (30, 0.035), (100, 0.035), (3589, 0.0), (3589, 0.01), (3589, 0.035)):
            yield 1, "normal", seeds, faces, spread
    for vary in SEEDS[1:]:
        for seeds in (2, 3, 5):
            yield 1, vary, seeds, 429, 0.035
    for seeds in (2, 3, 5):
        yield 2, "normal", seeds, 429, 0.035


if __name__ == "__main__":
    main()

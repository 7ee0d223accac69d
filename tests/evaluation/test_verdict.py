import numpy as np
import pytest
from false_claims import LEVEL, MARGIN, by_other_rules, satterthwaite, shares, studies
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from fer_transfer.evaluation.comparison import Comparison, Estimate
from fer_transfer.evaluation.verdict import CANNOT_BE_TOLD, NOT_SHOWN, SHOWN, Variances, variances, verdicts


def rows(seeds, faces, better, worse):
    """A comparison in which the first alone is right on a share of the faces, the second alone on another; seeds are alike."""
    one = np.zeros(faces, np.int8)
    one[: round(better * faces)] = 1
    one[faces - round(worse * faces) :] = -1
    return Comparison(np.stack([one] * seeds))


RULES = [
    (rows(3, 400, 0.2, 0.05), SHOWN, False, False),
    (rows(3, 400, 0.05, 0.2), NOT_SHOWN, True, False),
    (rows(3, 4000, 0.02, 0.02), NOT_SHOWN, False, True),
    (rows(3, 4000, 0.03, 0.01), SHOWN, False, True),  # sure, and small
    (rows(3, 400, 0.1, 0.15), NOT_SHOWN, False, False),  # not better by the margin; worse, perhaps
    (rows(3, 400, 0.1, 0.1), CANNOT_BE_TOLD, False, False),
    (rows(1, 400, 0.5, 0.0), CANNOT_BE_TOLD, False, False),
    (rows(1, 40000, 0.0, 0.0), CANNOT_BE_TOLD, False, False),
    (rows(3, 5, 1.0, 0.0), CANNOT_BE_TOLD, False, False),
]


@pytest.mark.parametrize(("comparison", "word", "reverse", "within"), RULES)
def test_each_rule(comparison, word, reverse, within):
    [found] = verdicts([comparison], LEVEL, MARGIN)
    assert (found.word, found.reverse, found.within) == (word, reverse, within)


def test_p_is_corrected_for_what_is_looked_at_together():
    of = rows(3, 400, 0.12, 0.065)
    assert verdicts([of], LEVEL, MARGIN)[0].word == SHOWN
    among = verdicts([of] + [rows(3, 400, 0.1, 0.1)] * 9, LEVEL, MARGIN)
    assert among[0].word == CANNOT_BE_TOLD and among[0].p == pytest.approx(10 * of.p)
    assert verdicts([], LEVEL, MARGIN) == ()


def test_comparisons_with_one_seed_do_not_weigh_on_the_others():
    of, alone = rows(3, 400, 0.12, 0.065), rows(1, 400, 0.13, 0.06)
    found = verdicts([of, *[alone] * 9], LEVEL, MARGIN)
    assert found[0].word == SHOWN and found[0].p == of.p and (found[0].among, found[1].among) == (1, 10)
    assert found[1].word == CANNOT_BE_TOLD and found[1].p == found[1].p_faces > alone.p


def test_two_one_sided_tests_agree_with_statsmodels_where_seeds_decide():
    a, b = np.random.default_rng(0).normal(0.5, 0.005, (2, 5))
    estimate = Estimate(float((a - b).mean()), 1e-8, float((a - b).std(ddof=1)) / np.sqrt(5), 4)
    theirs = ttost_paired(a, b, -MARGIN, MARGIN)
    assert max(estimate.at_least(MARGIN), estimate.at_most(-MARGIN)) == pytest.approx(theirs[0], rel=1e-4)


NO_DIFFERENCE = [(1, 0.035, 1), (2, 0.035, 1), (3, 0.0, 1), (3, 0.035, 2), (5, 0.025, 1)]


@pytest.mark.parametrize(("seeds", "spread", "networks"), NO_DIFFERENCE)
def test_with_no_true_difference_at_most_one_study_in_twenty_shows_anything(seeds, spread, networks):
    """The long form is ``tests/false_claims.py``."""
    drawn = list(studies(200, seeds, 429, spread, networks=networks))
    assert {len(of) for of in drawn} == {7 * networks} and shares(drawn)["shown"] <= 0.05


def test_other_rules_would_not_hold():
    """So the simulation can fail: seeds do turn what one seed, or one t for faces and seeds, says."""
    one, three = list(studies(100, 1, 429, 0.035)), list(studies(200, 3, 429, 0.035))
    assert by_other_rules(one)["McNemar"] > 0.4
    assert np.mean([min(map(satterthwaite, of)) < 0.05 / len(of) for of in three]) > 0.05


@pytest.mark.parametrize(("seeds", "faces", "spread"), [(3, 429, 0.0), (3, 2000, 0.01)])
def test_a_difference_of_the_margin_is_seldom_ruled_out(seeds, faces, spread):
    found = shares(list(studies(150, seeds, faces, spread, better=MARGIN)))
    assert max(found["not shown"], found["within"]) <= 0.05


def test_components_of_variance_are_those_that_were_drawn():
    random = np.random.default_rng(0)
    of_seed, of_face = random.normal(0, 0.1, (300, 1)), random.normal(0, 0.3, (1, 300))
    values = (of_seed + of_face + random.normal(0, 0.2, (300, 300))).astype(np.float64)
    found = variances(Comparison(values))  # type: ignore[arg-type]
    assert (found.seeds, found.faces, found.rest) == pytest.approx((0.01, 0.09, 0.04), rel=0.15)


def test_what_is_said_to_tell_tells_four_times_in_five():
    [pilot, *_] = next(studies(1, 60, 3000, 0.025))
    seeds = variances(pilot).seeds_for(0.08, 429, 0.05)
    assert seeds is not None and 3 <= seeds <= 12
    drawn = [of for of, *_ in studies(150, seeds, 429, 0.025, better=0.08)]
    assert 0.72 <= np.mean([verdicts([of], LEVEL, MARGIN)[0].word == SHOWN for of in drawn]) <= 0.95


def test_what_no_number_of_seeds_tells_more_faces_tell():
    vary = Variances(0.0, 0.2, 0.05)
    assert vary.seeds_for(0.03, 429, 0.007) is None
    faces = vary.faces_for(0.03, 3, 0.007)
    assert faces is not None and not vary.shows(0.03, 3, faces - 1, 0.007) and vary.shows(0.03, 3, faces, 0.007)
    least = (stats.norm.isf(0.0035) + stats.norm.isf(0.2)) ** 2 * 0.2 / 0.03**2
    assert least < faces < 3 * least
    assert Variances(0.01, 0.0, 0.0).faces_for(0.03, 3, 0.007) is None

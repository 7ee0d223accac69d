from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad
from statsmodels.stats.contingency_tables import mcnemar

from fer_transfer.errors import StoreError
from fer_transfer.evaluation.comparison import Comparison, Estimate, bootstrap_interval, compare, estimated, sign_flips
from fer_transfer.evaluation.predictions import Predictions


def predictions(ids, labels, predicted):
    probabilities = np.eye(7)[predicted]
    return Predictions(np.array(list(ids)), np.array(labels, np.int8), np.ones(len(ids), bool), probabilities)


def test_compare_pairs_faces_by_id_whatever_their_order():
    a = predictions("abcd", [0, 1, 2, 3], [0, 1, 2, 0])  # right: a b c
    b = predictions("dcba", [3, 2, 1, 0], [3, 0, 0, 0])  # right: d a
    found, reversed_ = compare([a], [b]), compare([b], [a])
    assert found.only_one == (2, 1) and found.faces == 4 and found.by_face.tolist() == [[0, 1, 1, -1]]
    assert found.estimate.mean == 0.25 == -reversed_.estimate.mean and reversed_.p == found.p


@pytest.mark.parametrize("ids, labels", [("abx", [0, 1, 2]), ("ab", [0, 1]), ("abc", [0, 1, 3]), ("abc", [0, 1, -1])])
def test_compare_refuses_other_faces_or_labels(ids, labels):
    with pytest.raises(StoreError, match="same labelled faces"):
        compare([predictions("abc", [0, 1, 2], [0, 0, 0])], [predictions(ids, labels, [0] * len(ids))])


def test_other_faces_at_another_seed_are_refused():
    rows = [predictions("abc", [0, 1, 2], [0, 0, 0]), predictions("abx", [0, 1, 2], [0, 0, 0])]
    with pytest.raises(StoreError, match="same labelled faces"):
        compare(rows, rows)


def differences(seeds, faces, mean=0.1, seed=0):
    random = np.random.default_rng(seed)
    latent = mean + random.standard_normal((1, faces)) + 0.1 * random.standard_normal((seeds, 1))
    return np.rint((latent + random.standard_normal((seeds, faces))).clip(-1.4, 1.4) / 1.4).astype(np.int8)


ERRORS = st.floats(0.001, 0.1)


@settings(max_examples=12, deadline=None)
@given(st.floats(-0.3, 0.3), ERRORS, ERRORS, st.integers(1, 9))
def test_p_is_that_of_a_normal_and_a_students_t_error(mean, of_faces, of_seeds, freedom):
    def density(z):
        return stats.norm.pdf(z) * stats.t.cdf((-abs(mean) - of_faces * z) / of_seeds, freedom)

    theirs = 2 * quad(density, -9, 9, limit=400, points=[max(-8.9, -abs(mean) / of_faces)])[0]
    assert Estimate(mean, of_faces, of_seeds, freedom).p == pytest.approx(theirs, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_the_interval_ends_where_p_says(level):
    estimate = estimated(differences(3, 400))
    low, high = estimate.interval(level)
    assert low < estimate.mean < high
    assert estimate.at_most(low) == pytest.approx((1 - level) / 2, rel=1e-4)
    assert estimate.at_least(high) == pytest.approx((1 - level) / 2, rel=1e-4)


def test_where_seeds_decide_it_is_students_paired_t():
    a, b = np.random.default_rng(0).normal(0.5, 0.03, (2, 4))
    theirs = stats.ttest_rel(a, b)
    ours = Estimate(float((a - b).mean()), 1e-7, float((a - b).std(ddof=1)) / 2, 3)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-4)
    assert ours.interval(0.95) == pytest.approx(tuple(theirs.confidence_interval(0.95)), rel=1e-4)


def test_where_faces_decide_it_is_the_paired_z():
    one = differences(1, 3000)
    assert estimated(one).p == pytest.approx(stats.ttest_1samp(one[0], 0).pvalue, rel=0.05)


def test_over_seeds_agrees_with_scipy():
    of = Comparison(differences(4, 200))
    assert of.over_seeds(0.9) == pytest.approx(tuple(stats.ttest_1samp(of.by_seed, 0).confidence_interval(0.9)))
    assert np.isnan(Comparison(differences(1, 200)).over_seeds(0.9)).all()


def test_the_exact_test_of_the_faces_counts_every_exchange():
    for seed in range(5):
        sums = differences(3, 11, seed=seed).sum(axis=0).astype(np.int64)
        every = [abs((np.array(signs) * sums).sum()) >= abs(sums.sum()) for signs in product((-1, 1), repeat=11)]
        assert sign_flips(sums) == pytest.approx(np.mean(every))
    theirs = stats.permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flips(sums) == pytest.approx(theirs.pvalue)


def test_with_one_seed_p_is_mcnemars():
    of = Comparison(differences(1, 300))
    only_a, only_b = of.only_one
    assert of.p == of.p_faces == pytest.approx(mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue)


def test_on_many_faces_the_exact_test_is_the_normal_one():
    sums = differences(5, 5000, mean=0.01).sum(axis=0).astype(np.int64)
    assert sign_flips(sums) == pytest.approx(2 * stats.norm.sf(abs(sums.sum()) / np.sqrt((sums**2).sum())), rel=0.02)


def test_the_bootstrap_agrees_with_scipy_on_one_seed():
    one = differences(1, 300)
    theirs = stats.bootstrap((one[0],), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert bootstrap_interval(one, 0.95) == pytest.approx(tuple(theirs), abs=0.01)
    assert bootstrap_interval(one, 0.95) == bootstrap_interval(one, 0.95)


def test_the_bootstrap_draws_faces_and_seeds():
    several, random = differences(3, 60), np.random.default_rng(1)
    drawn = [several[random.integers(0, 3, 3)][:, random.integers(0, 60, 60)].mean() for _ in range(6000)]
    assert bootstrap_interval(several, 0.9) == pytest.approx(np.quantile(drawn, [0.05, 0.95]).tolist(), abs=0.01)


def test_a_handful_of_faces_shows_nothing_however_much_they_agree():
    of = Comparison(np.ones((3, 5), np.int8))
    assert of.p == 2 / 2**5
    assert of.estimate.interval(0.95)[0] < 1


def test_rows_that_never_differ_are_not_known_to_be_equal():
    of = Comparison(np.zeros((3, 400), np.int8))
    low, high = of.estimate.interval(0.95)
    assert of.p == 1.0 and 0 < high < 0.01 and low == pytest.approx(-high)
    assert Comparison(np.zeros((3, 10), np.int8)).estimate.interval(0.95)[1] > 0.1

import statistics
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import multitest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from fer_transfer.evaluation.statistics import holm, mcnemar_exact, mean_and_spread, wilson_interval

trials = st.integers(1, 4000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(trials, st.floats(0.5, 0.999))
def test_wilson_agrees_with_scipy_and_statsmodels(trial, level):
    k, n = trial
    ours = wilson_interval(k, n, level)
    assert ours == pytest.approx(tuple(stats.binomtest(k, n).proportion_ci(level, method="wilson")), abs=1e-9)
    assert ours == pytest.approx(proportion_confint(k, n, 1 - level, method="wilson"), abs=1e-9)


@given(trials)
def test_wilson_holds_the_share_and_stays_in_range(trial):
    low, high = wilson_interval(*trial)
    assert 0 <= low <= trial[0] / trial[1] <= high <= 1


def test_wilson_knows_nothing_of_no_faces():
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("arguments", [(2, 1), (-1, 1), (1, 2, 0.0), (1, 2, 1.0)])
def test_wilson_refuses(arguments):
    with pytest.raises(ValueError, match="Expected"):
        wilson_interval(*arguments)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=10))
def test_spread_is_the_sample_standard_deviation(values):
    mean, spread = mean_and_spread(values)
    assert mean == pytest.approx(statistics.fmean(values))
    assert spread == pytest.approx(statistics.stdev(values), abs=1e-9)


def test_one_seed_has_no_spread():
    mean, spread = mean_and_spread([3.0])
    assert mean == 3.0 and np.isnan(spread)
    with pytest.raises(ValueError, match="at least one"):
        mean_and_spread([])


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_agrees_with_statsmodels_and_scipy(b, c):
    p = mcnemar_exact(b, c)
    assert p == pytest.approx(mcnemar([[0, b], [c, 0]], exact=True).pvalue if b + c else 1.0)
    assert p == pytest.approx(stats.binomtest(b, b + c).pvalue if b + c else 1.0)


def test_mcnemar_of_many_faces_and_of_nonsense():
    assert 0 <= mcnemar_exact(2500, 1000) < 1e-100
    with pytest.raises(ValueError, match="counts"):
        mcnemar_exact(-1, 2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(ps):
    with patch("gc.collect"):  # it collects all garbage each time, a second in a long process
        theirs = multitest.multipletests(ps, method="holm")[1].tolist()
    assert holm(ps) == pytest.approx(theirs, abs=1e-12)
    assert holm([]) == ()

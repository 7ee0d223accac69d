"""The fitted temperature beside SciPy's optimiser."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.temperature import (
    RANGE,
    calibrated,
    crossed,
    fit_temperature,
    fitted,
    negative_log_likelihood,
    tempered,
)


def drawn(seed: int, sureness: float, count: int = 300):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (count, 7))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(7, p=p) for p in true])
    said = np.exp(sureness * logits)
    return said / said.sum(axis=1, keepdims=True), labels


@pytest.mark.parametrize("sureness", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_minimum_that_scipy_finds(seed, sureness):
    probabilities, labels = drawn(seed, sureness)

    def loss(temperature):
        return log_loss(labels, tempered(probabilities, temperature), labels=range(7))

    found = minimize_scalar(loss, bounds=RANGE, method="bounded", options={"xatol": 1e-7})
    fitted = fit_temperature(probabilities, labels)
    assert fitted == pytest.approx(found.x, rel=1e-4)
    assert fitted == pytest.approx(sureness, rel=0.25)  # what the logits were multiplied by
    assert negative_log_likelihood(tempered(probabilities, fitted), labels) <= negative_log_likelihood(
        probabilities, labels
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(*RANGE))
def test_no_temperature_changes_what_is_most_probable(seed, temperature):
    probabilities, _ = drawn(seed, 1.0, 20)
    after = tempered(probabilities, temperature)
    assert (after.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    np.testing.assert_allclose(after.sum(axis=1), 1)


def test_a_split_without_a_mistake_ends_at_the_range():
    probabilities = np.full((5, 3), 0.1)
    probabilities[:, 0] = 0.8
    assert fit_temperature(probabilities, np.zeros(5, int)) == pytest.approx(RANGE[0], rel=0.1)
    assert fit_temperature(probabilities, np.ones(5, int)) == pytest.approx(RANGE[1], rel=0.1)


def test_probabilities_of_zero_are_no_infinities():
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
    fitted = fit_temperature(probabilities, np.array([0, 1, 1]))
    assert np.isfinite(tempered(probabilities, fitted)).all() and RANGE[0] < fitted <= RANGE[1]


@pytest.mark.parametrize("labels", [np.zeros(0, int), np.array([0, -1]), np.array([0, 3])])
def test_labels_that_are_none_are_refused(labels):
    with pytest.raises(ValueError, match="Expected"):
        fit_temperature(np.full((len(labels), 3), 1 / 3), labels)


def predictions(probabilities, labels):
    ids = np.array([f"{i:04}" for i in range(len(labels))])
    return Predictions(ids, labels.astype(np.int8), np.ones(len(labels), bool), probabilities)


def test_a_half_is_calibrated_by_what_the_other_half_says():
    of = predictions(*drawn(0, 3.0, 300))
    found = crossed(of)
    for own, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        value = fit_temperature(of.probabilities[other], of.labels[other])
        assert found.probabilities[own] == pytest.approx(tempered(of.probabilities[own], value))
    assert (found.predicted == of.predicted).all() and found.ids is of.ids
    kept = fitted(of, "a/b")
    assert kept.value == fit_temperature(of.probabilities, of.labels) and kept.after < kept.before and kept.count == 300
    assert (calibrated(of, kept.value).probabilities == tempered(of.probabilities, kept.value)).all()
    one = predictions(np.full((1, 7), 1 / 7), np.zeros(1))
    assert crossed(one) is one
